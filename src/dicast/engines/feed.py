"""The engine `feed`: a command's or a URL's text is the answer. An oracle for data that is not inference."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Callable
from typing import Final, cast

import httpx

from dicast.base.errors import AdapterError, ConfigurationError
from dicast.base.limits import PROMPT_BYTES_MAX
from dicast.engines.answer import ANSWER_BYTES_MAX, Answer, bad_answer, model_missing, within_deadline
from dicast.ports import Generation
from dicast.protocol.messages import OfferedModel
from dicast.protocol.outputs import StartInference

ERROR_BYTES_MAX: Final = 4_096  # of a command's error output: enough for its last words
ERROR_CHARS_SHOWN: Final = 200
REDIRECTS_MAX: Final = 5
CONNECT_TIMEOUT_S: Final = 10.0
_STDOUT, _STDERR = 1, 2
_BYTES_MAX: Final = {_STDOUT: ANSWER_BYTES_MAX, _STDERR: ERROR_BYTES_MAX}
OWN_SETTINGS: Final = "DICAST_"  # our own settings may hold a password; a command has no need of them


class FeedEngine:
    """Offers one model, `model`; give either a command (no shell; the last message on its input) or a URL."""

    name = "feed"

    def __init__(self, model: str, *, command: tuple[str, ...] = (), url: str = "", domain: str = "") -> None:
        if bool(command) == bool(url):
            message = f"The feed {model!r} needs either a command or a URL."
            raise ConfigurationError("feed_source", message, 'For example: command = ["date", "-u", "+%F"].')
        if url and not url.startswith(("http://", "https://")):
            raise ConfigurationError(
                "feed_url", f"The feed {model!r} has the URL {url!r}.", "Use http:// or https://."
            )
        self._model = model
        self._command = command
        self._url = url
        self._domain = domain

    async def models(self) -> tuple[OfferedModel, ...]:
        """The one feed, whatever the prompt: no model reads it. None while its command is missing."""
        if self._command and shutil.which(self._command[0]) is None:
            return ()
        return (
            OfferedModel(
                name=self._model, engine=self.name, context_tokens=PROMPT_BYTES_MAX, domain=self._domain
            ),
        )

    async def generate(self, job: StartInference, on_text: Callable[[str], None]) -> Generation:
        """Run the command or fetch the URL; its text, without trailing line ends, is the answer."""
        if job.model != self._model:
            raise model_missing(self.name, job.model)
        answer = Answer(self.name, on_text)
        async with within_deadline(job, self.name):
            data = await (_run(self._command, job) if self._command else _fetch(self._url))
        try:
            answer.add(data.decode("utf-8").rstrip("\r\n"))
        except UnicodeDecodeError as error:
            raise bad_answer(self.name, "bytes that are not UTF-8") from error
        return answer.finish(self._model)

    async def close(self) -> None:
        """Nothing is held between answers."""


class _Output(asyncio.SubprocessProtocol):
    """Collects what a command writes, each stream cut one byte past its limit; the rest is drained."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.too_much: asyncio.Future[None] = loop.create_future()
        self.streams = {_STDOUT: bytearray(), _STDERR: bytearray()}
        self._open = {_STDOUT, _STDERR}

    def keep(self, fd: int, data: bytes) -> None:
        """What came, as far as it fits."""
        kept = self.streams[fd]
        kept += data[: max(0, _BYTES_MAX[fd] + 1 - len(kept))]
        if fd == _STDOUT and len(kept) > ANSWER_BYTES_MAX and not self.too_much.done():
            self.too_much.set_result(None)

    pipe_data_received = keep  # asyncio's name for it

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Both output streams have ended."""
        self._open.discard(fd)
        if not self._open and not self.closed.done():
            self.closed.set_result(None)

    def process_exited(self) -> None:
        """The command is gone; its children may not be."""
        if not self.exited.done():
            self.exited.set_result(None)


async def _run(command: tuple[str, ...], job: StartInference) -> bytes:
    """Standard output of the command. Whatever happens, its process group is gone afterwards."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(OWN_SETTINGS)}
    try:
        transport, output = await asyncio.get_running_loop().subprocess_exec(
            _Output, *command, env=environment, start_new_session=True
        )
    except (OSError, ValueError) as error:
        raise AdapterError("engine_unreachable", f"Cannot run {command[0]!r}: {error}.") from error
    try:
        _give(transport, job.messages[-1].content.encode())
        await asyncio.wait({output.exited, output.too_much}, return_when=asyncio.FIRST_COMPLETED)
        _kill_group(transport.get_pid())  # children left behind would keep the pipes open
        await output.exited
        await output.closed
    finally:
        if not output.exited.done():
            _kill_group(transport.get_pid())
            await asyncio.shield(output.exited)
        transport.close()
    return _checked(command[0], output, transport.get_returncode())


def _give(transport: asyncio.SubprocessTransport, prompt: bytes) -> None:
    """Hand over the prompt; a command that does not read it is fine."""
    stdin = cast("asyncio.WriteTransport", transport.get_pipe_transport(0))
    stdin.write(prompt)
    stdin.write_eof()


def _checked(program: str, output: _Output, status: int | None) -> bytes:
    text, complaint = (bytes(output.streams[fd]) for fd in (_STDOUT, _STDERR))
    if len(text) > ANSWER_BYTES_MAX:
        message = f"{program} wrote more than {ANSWER_BYTES_MAX} bytes."
        raise AdapterError("answer_too_large", message, "A feed is a short text.")
    if status != 0:
        raise AdapterError("engine_refused", f"{program} ended with status {status}: {_shown(complaint)}")
    return text


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


async def _fetch(url: str) -> bytes:
    """The body at `url`, bounded."""
    timeout = httpx.Timeout(None, connect=CONNECT_TIMEOUT_S)
    try:
        async with (
            httpx.AsyncClient(timeout=timeout, follow_redirects=True, max_redirects=REDIRECTS_MAX) as client,
            client.stream("GET", url) as response,
        ):
            return await _body(url, response)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        raise AdapterError(
            "engine_unreachable", f"Cannot read {url}: {reason}.", "Is the server up?"
        ) from error


async def _body(url: str, response: httpx.Response) -> bytes:
    if response.status_code != 200:
        raise AdapterError("engine_refused", f"{url} answered HTTP {response.status_code}.")
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > ANSWER_BYTES_MAX:
            message = f"{url} sent more than {ANSWER_BYTES_MAX} bytes."
            raise AdapterError("answer_too_large", message, "A feed is a short text.")
    return bytes(body)


def _shown(complaint: bytes) -> str:
    text = " ".join(complaint.decode("utf-8", "replace").split())
    return "".join(character for character in text if character.isprintable())[:ERROR_CHARS_SHOWN]
