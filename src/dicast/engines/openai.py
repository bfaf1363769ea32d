"""The engine `openai`: any server that speaks OpenAI's chat completions over HTTP, streaming."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import msgspec

from dicast.base.errors import AdapterError, ConfigurationError
from dicast.engines.answer import Answer, bad_answer, model_missing, too_long, within_deadline
from dicast.engines.replies import MODEL_CHARS_MAX, Chunk, Listing, Reply, refusal
from dicast.engines.sse import LINE_BYTES_MAX, events, parse
from dicast.ports import Generation
from dicast.protocol.messages import OfferedModel
from dicast.protocol.outputs import StartInference

OLLAMA_URL: Final = "http://127.0.0.1:11434"
OLLAMA_CONTEXT_TOKENS: Final = (
    4_096  # what Ollama gives a model unless told otherwise; it cuts the rest silently
)
CONNECT_TIMEOUT_S: Final = 5.0
LIST_TIMEOUT_S: Final = 5.0
FIND_TIMEOUT_S: Final = 0.5  # a server on this machine answers in a few ms
MODELS_MAX: Final = 4_096  # public gateways list some hundreds
BODY_BYTES_MAX: Final = 8 * 1024 * 1024  # the list of a public gateway is about 1 MB
CHARS_PER_TOKEN_MIN: Final = 3  # English has 4 to 5: an estimate that errs towards refusing
TOKENS_PER_MESSAGE: Final = 8  # role marks and separators of common chat templates
SEED_MASK: Final = 2**31 - 1  # some servers keep the seed in 32 bits, signed


class OpenAIEngine:
    """One server at `base_url` (with its `/v1`). The key is sent to that server and shown nowhere."""

    def __init__(
        self, base_url: str, *, name: str = "openai", key: str = "", context_tokens: int = 0
    ) -> None:
        self.name = name
        url = _checked_url(base_url)
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {key}"} if key else {}
        )
        self._client = httpx.AsyncClient(
            base_url=url,
            headers=headers,
            timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT_S),
            trust_env=not _is_local(url),  # a proxy has no business between us and this machine
        )
        self._key = key
        self._context_tokens = context_tokens
        self._listed: frozenset[str] | None = None

    def __repr__(self) -> str:
        return f"OpenAIEngine({str(self._client.base_url)!r})"

    async def models(self) -> tuple[OfferedModel, ...]:
        """What the server lists now; empty when it is not there or answers nonsense."""
        try:
            async with asyncio.timeout(LIST_TIMEOUT_S):
                found = await self._list()
        except (AdapterError, TimeoutError):
            found = None
        self._listed = frozenset(model.name for model in found) if found else None
        return found or ()

    async def generate(self, job: StartInference, on_text: Callable[[str], None]) -> Generation:
        """Stream one chat completion. `Generation.model` is what the server says answered."""
        self._check_length(job)
        answer = Answer(self.name, on_text)
        async with within_deadline(job, self.name):
            if self._listed is None or job.model not in self._listed:
                await self.models()
            if self._listed is not None and job.model not in self._listed:
                raise model_missing(self.name, job.model)
            try:
                return await self._stream(job, _body(job, "max_tokens"), answer)
            except _OtherLimitNameError:
                return await self._stream(job, _body(job, "max_completion_tokens"), answer)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _check_length(self, job: StartInference) -> None:
        """For servers that cut a long prompt silently: refuse what might not fit."""
        if not self._context_tokens:
            return
        characters = sum(len(message.content) for message in job.messages)
        needed = characters // CHARS_PER_TOKEN_MIN + TOKENS_PER_MESSAGE * len(job.messages) + job.max_tokens
        if needed > self._context_tokens:
            raise too_long(self.name, needed, self._context_tokens)

    async def _list(self) -> tuple[OfferedModel, ...] | None:
        """None when the server keeps no list."""
        async with self._request("GET", "models") as response:
            if response.status_code == 404:
                return None
            if response.status_code != 200:
                raise refusal(self.name, response.status_code, await _bounded(response, self.name), self._key)
            listing = parse(await _bounded(response, self.name), Listing, self.name)
        return tuple(
            OfferedModel(
                name=model.id,
                engine=self.name,
                context_tokens=self._context_tokens or model.context_tokens(),
            )
            for model in (listing.data or ())[:MODELS_MAX]
            if 0 < len(model.id) <= MODEL_CHARS_MAX
        )

    async def _stream(self, job: StartInference, body: dict[str, Any], answer: Answer) -> Generation:
        reply = Reply(self.name, answer, job.model, self._key)
        async with self._request("POST", "chat/completions", content=msgspec.json.encode(body)) as response:
            if response.status_code != 200:
                refused = await _bounded(response, self.name)
                if (
                    response.status_code == 400
                    and "max_tokens" in body
                    and b"max_completion_tokens" in refused
                ):
                    raise _OtherLimitNameError
                raise refusal(self.name, response.status_code, refused, self._key)
            if "text/event-stream" in response.headers.get("Content-Type", ""):
                await self._take_events(response, reply)
            else:
                reply.take(parse(await _bounded(response, self.name), Chunk, self.name))
        return reply.finish()

    async def _take_events(self, response: httpx.Response, reply: Reply) -> None:
        async with aclosing(events(response.aiter_bytes(), self.name, Chunk)) as stream:
            async for chunk in stream:
                reply.take(chunk) if chunk else reply.end()

    @asynccontextmanager
    async def _request(self, method: str, path: str, **options: Any) -> AsyncGenerator[httpx.Response]:
        """One request; foreign errors become ours. Leaving the block closes the connection."""
        try:
            async with self._client.stream(method, path, **options) as response:
                yield response
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            message = f"{self.name} at {self._client.base_url} broke off or is not there: {reason}."
            raise AdapterError("engine_unreachable", message, "Is the server running?") from error


async def find_ollama(url: str = OLLAMA_URL) -> OpenAIEngine | None:
    """The Ollama server of this machine, when one answers."""
    try:
        async with asyncio.timeout(FIND_TIMEOUT_S), httpx.AsyncClient(trust_env=False) as client:
            response = await client.get(f"{url.rstrip('/')}/api/version")
            version = msgspec.json.decode(response.content, type=dict[str, Any]).get("version")
    except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, msgspec.DecodeError, UnicodeDecodeError):
        return None
    if response.status_code != 200 or not isinstance(version, str):
        return None
    return OpenAIEngine(url, name="ollama", context_tokens=OLLAMA_CONTEXT_TOKENS)


def read_key(file: Path | None = None, variable: str = "") -> str:
    """An API key out of a file or an environment variable; "" when neither is named."""
    if file is not None:
        try:
            key = file.expanduser().read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                "key_file", f"Cannot read the key file {file}.", "Check key_file."
            ) from error
    elif variable:
        key = os.environ.get(variable, "").strip()
    else:
        return ""
    if not key or not key.isascii() or not key.isprintable():
        where = file or f"${variable}"
        raise ConfigurationError(
            "key_missing", f"There is no usable API key in {where}.", "Put the key there."
        )
    return key


class _OtherLimitNameError(Exception):
    """The server wants `max_completion_tokens`, the newer name of the same limit."""


def _body(job: StartInference, limit_name: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": job.model,
        "messages": [{"role": message.role, "content": message.content} for message in job.messages],
        limit_name: job.max_tokens,
        "temperature": job.temperature_milli / 1000,
        "seed": job.seed & SEED_MASK,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if job.schema:
        schema = {"name": "answer", "strict": True, "schema": msgspec.Raw(job.schema.encode())}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


async def _bounded(response: httpx.Response, engine: str) -> bytes:
    limit = BODY_BYTES_MAX if response.request.method == "GET" else LINE_BYTES_MAX
    data = b""
    async for piece in response.aiter_bytes():
        data += piece
        if len(data) > limit:
            raise bad_answer(engine, "more than an answer can need")
    return data


def _checked_url(base_url: str) -> str:
    """With a closing slash, and with /v1 where the address names no path."""
    example = "For example http://127.0.0.1:8080/v1."
    try:
        parts = urlsplit(base_url)
        well_formed = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        raise ConfigurationError("engine_url", f"{base_url!r} is not an address.", example) from None
    if parts.username or parts.password:
        raise ConfigurationError(
            "engine_url", "An engine's address must not hold a password.", "Use key_file."
        )
    if not well_formed or parts.query or parts.fragment:
        raise ConfigurationError("engine_url", f"{base_url!r} is not an address.", example)
    return base_url.rstrip("/") + ("/" if parts.path.strip("/") else "/v1/")


def _is_local(url: str) -> bool:
    return urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}
