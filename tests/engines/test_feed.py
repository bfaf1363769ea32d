"""The `feed` engine: commands and addresses whose text is the answer."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import psutil
import pytest

from asked_engines import failure_of
from dicast.base.errors import AdapterError, ConfigurationError
from dicast.engines.answer import ANSWER_BYTES_MAX
from dicast.engines.feed import FeedEngine

pytestmark = pytest.mark.anyio
TOO_MUCH = f"import sys; sys.stdout.write('x' * {ANSWER_BYTES_MAX + 1})"


async def run(job: Any, *command: str) -> str:
    return (await FeedEngine("m", command=command).generate(job, lambda text: None)).text


async def test_a_command_reads_the_last_message_and_line_ends_are_dropped(job: Any) -> None:
    assert (
        await run(job("two\nlines"), "sh", "-c", "cat; echo; echo; printf 'end\\r\\n'") == "two\nlines\n\nend"
    )


async def test_a_command_need_not_read_its_input(job: Any) -> None:
    assert await run(job("x" * 300_000), "echo", "fine") == "fine"


async def test_arguments_are_not_given_to_a_shell(job: Any) -> None:
    assert await run(job(), "echo", "$HOME;", "`id`") == "$HOME; `id`"


async def test_our_own_settings_are_not_handed_on(job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICAST_PASSWORD", "secret")
    monkeypatch.setenv("OTHER", "open")
    assert await run(job(), "sh", "-c", "echo [$DICAST_PASSWORD] [$OTHER]") == "[] [open]"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("/does/not/exist",), "engine_unreachable"),
        (("/",), "engine_unreachable"),
        (("sh", "-c", "echo half; echo the disk is full >&2; exit 3"), "engine_refused"),
        (("sh", "-c", "kill -9 $$"), "engine_refused"),
        (("true",), "engine_bad_answer"),
        (("printf", "\\377\\376"), "engine_bad_answer"),
        ((sys.executable, "-c", TOO_MUCH), "answer_too_large"),
        (("yes",), "answer_too_large"),
    ],
)
async def test_a_command_that_fails_says_how(job: Any, command: tuple[str, ...], code: str) -> None:
    assert (await failure_of(FeedEngine("m", command=command), job())).code == code


async def test_the_words_of_a_failing_command_are_shown(job: Any) -> None:
    command = ("sh", "-c", "printf 'no \\033[31mdisk\\n' >&2; exit 7")
    error = await failure_of(FeedEngine("m", command=command), job())
    assert error.message == "sh ended with status 7: no [31mdisk"


async def test_much_error_output_does_not_block(job: Any) -> None:
    assert (
        await run(job(), sys.executable, "-c", "import sys; sys.stderr.write('x' * 1_000_000); print('ok')")
        == "ok"
    )


async def test_an_endless_complaint_runs_into_the_deadline(job: Any) -> None:
    engine = FeedEngine("m", command=("sh", "-c", "yes >&2"))
    assert (await failure_of(engine, job(deadline_ms=200))).code == "engine_timeout"


PARENT = """
import os, socket, subprocess, sys
child = subprocess.Popen(["sleep", "600"])
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as report:
    report.sendall(f"{os.getpid()} {child.pid}".encode())
print("done", flush=True)
if sys.argv[2] == "wait":
    child.wait()
"""


@pytest.fixture
async def family() -> AsyncIterator[Callable[[str], tuple[FeedEngine, Awaitable[list[psutil.Process]]]]]:
    """An engine whose command starts a child and reports both processes."""
    found: asyncio.Future[list[psutil.Process]] = asyncio.get_running_loop().create_future()

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pids = [int(pid) for pid in (await reader.read()).split()]
        found.set_result([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)])
        writer.close()

    listener = await asyncio.start_server(note, "127.0.0.1", 0)
    port = str(listener.sockets[0].getsockname()[1])
    yield lambda end: (FeedEngine("m", command=(sys.executable, "-c", PARENT, port, end)), found)
    listener.close()
    await listener.wait_closed()


def survivors(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that are still there after the time that dying takes."""
    return psutil.wait_procs(processes, timeout=60)[1]


@pytest.mark.parametrize("by_deadline", [True, False])
async def test_nothing_is_left_running(job: Any, family: Any, by_deadline: bool) -> None:
    engine, started = family("wait")
    task = asyncio.create_task(engine.generate(job(deadline_ms=2_000 if by_deadline else 60_000), print))
    processes = await started
    if not by_deadline:
        task.cancel()
    with pytest.raises(AdapterError if by_deadline else asyncio.CancelledError):
        await task
    assert (len(processes), survivors(processes)) == (2, [])


async def test_children_left_behind_do_not_hold_the_answer_up(job: Any, family: Any) -> None:
    engine, started = family("go")
    assert (await engine.generate(job(), print)).text == "done"
    assert survivors(await started) == []


async def test_the_body_of_an_address_is_the_answer(chat_server: Any, job: Any) -> None:
    chat_server.listing = "21,5 °C\n".encode()
    engine = FeedEngine("m", url=f"{chat_server.url}/weather")
    assert (await engine.generate(job("the prompt stays here"), print)).text == "21,5 °C"
    first, _, body = chat_server.requests[0]
    assert (first, body) == ("GET /weather HTTP/1.1", b"")


@pytest.mark.parametrize(
    ("listing", "code"),
    [
        (None, "engine_refused"),
        (b"", "engine_bad_answer"),
        (b"\xff", "engine_bad_answer"),
        (b"x" * (ANSWER_BYTES_MAX + 1), "answer_too_large"),
    ],
)
async def test_an_address_that_fails_says_how(
    chat_server: Any, job: Any, listing: bytes | None, code: str
) -> None:
    chat_server.listing = listing
    assert (await failure_of(FeedEngine("m", url=chat_server.url), job())).code == code


async def test_nobody_at_the_address(job: Any) -> None:
    assert (await failure_of(FeedEngine("m", url="http://127.0.0.1:1/"), job())).code == "engine_unreachable"


@pytest.mark.parametrize(
    "source", [{}, {"command": ("a",), "url": "http://b"}, {"url": "file:///etc/passwd"}]
)
def test_a_feed_has_one_source_that_we_can_read(source: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        FeedEngine("m", **source)


async def test_a_feed_whose_command_is_missing_offers_nothing() -> None:
    assert await FeedEngine("clock", command=("no-such-command-here",)).models() == ()
    assert [model.name for model in await FeedEngine("clock", command=("date",)).models()] == ["clock"]
