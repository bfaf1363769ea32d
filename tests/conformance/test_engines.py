"""What every engine owes its caller, asked of each: ours, the embedded model, and llama.cpp's server."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio.lowlevel
import pytest

from dicast.base.errors import AdapterError
from dicast.base.types import RequestId
from dicast.engines.anthropic import AnthropicEngine
from dicast.engines.feed import FeedEngine
from dicast.engines.llama_cpp import LlamaCppEngine
from dicast.engines.memory import MemoryEngine
from dicast.engines.openai import OpenAIEngine
from dicast.engines.tiny import TinyEngine
from dicast.ports import Engine
from dicast.protocol.messages import Message
from dicast.protocol.outputs import StartInference

pytestmark = pytest.mark.anyio
PEER_PYTHON = Path(__file__).parents[2] / ".venv-peer-engine" / "bin" / "python"
SENTENCE = "The capital of France is Paris."
CONTEXT_TOKENS = 256


@dataclass
class Subject:
    """An engine, a model of its, what it says, and the same engine when it would take for ever."""

    engine: Engine
    model: str
    slow: Engine
    text: str = SENTENCE
    streams: bool = True
    reads_prompt: bool = True
    slow_model: str = ""
    in_one_packet: bool = False
    pieces: list[str] = field(default_factory=list)

    def job(self, prompt: str = "What is the capital of France?", **changes: Any) -> StartInference:
        settings: dict[str, Any] = {
            "request_id": RequestId("ab" * 32),
            "messages": (Message("user", prompt),),
            "model": self.model,
            "max_tokens": 32,
            "temperature_milli": 0,
            "seed": 7,
            "deadline_ms": 60_000,
        }
        return StartInference(**(settings | changes))


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection; the client may leave at any time."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        await answer(reader, writer)
    writer.close()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """`/feed` gives the sentence, `/v1` chats in it; `/hang` and the model `slow` never end."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next(
        (int(line.split()[1]) for line in head.split("\r\n") if line.startswith("content-length")), 0
    )
    asked = await reader.readexactly(length)
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n")
    if "/v1/models" in head:
        listed = [{"id": name, "max_model_len": CONTEXT_TOKENS} for name in ("words", "slow")]
        writer.write(b"\r\n" + json.dumps({"data": listed}).encode())
    elif "/feed" in head:
        writer.write(b"\r\n" + SENTENCE.encode())
    elif "/hang" in head:
        writer.write(b"\r\n")
        await reader.read()
    else:
        await chat(json.loads(asked), reader, writer)


async def chat(asked: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if sum(len(message["content"].split()) for message in asked["messages"]) > CONTEXT_TOKENS:
        writer.write(b"\r\n" + json.dumps({"error": "the context length is 256 tokens"}).encode())
        return
    writer.write(b"Content-Type: text/event-stream\r\n\r\n")
    for index, word in enumerate(SENTENCE.split(" ")):
        choice = {"index": 0, "delta": {"content": f" {word}" if index else word}}
        writer.write(f"data: {json.dumps({'model': asked['model'], 'choices': [choice]})}\n\n".encode())
        if asked["model"] == "slow":
            await writer.drain()
            await reader.read()
            return
    writer.write(b"data: [DONE]\n\n")


@pytest.fixture
async def server() -> AsyncIterator[str]:
    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    listener.close()
    await listener.wait_closed()


@pytest.fixture(scope="module")
def llama_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    with contextlib.ExitStack() as stack:

        @functools.cache
        def start() -> str:
            if not PEER_PYTHON.exists():
                pytest.fail("llama.cpp's server is not installed: make .venv/.peer-engine")
            script, folder = Path(__file__).with_name("llama_server.py"), tmp_path_factory.mktemp("llama")
            pipe = subprocess.PIPE
            command = [str(PEER_PYTHON), str(script), str(folder)]
            process = stack.enter_context(
                subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            return process.stdout.readline().split()[1]

        yield start


KINDS = (
    *("memory", "feed-command", "feed-url", "tiny", "openai"),
    *("openai-llama.cpp", "anthropic-llama.cpp", "llama_cpp-llama.cpp"),
)


ENGINES: dict[str, Callable[[str], Engine]] = {
    "openai": OpenAIEngine,
    "anthropic": AnthropicEngine,
    "llama_cpp": LlamaCppEngine,
}


@pytest.fixture(params=KINDS)
async def subject(request: pytest.FixtureRequest, server: str) -> AsyncIterator[Subject]:
    made = make(request, server)
    yield made
    await made.engine.close()
    await made.slow.close()


def make(request: pytest.FixtureRequest, server: str) -> Subject:
    match request.param:
        case "memory":
            never = MemoryEngine(lambda job: SENTENCE, hold=asyncio.Event())
            return Subject(MemoryEngine(lambda job: SENTENCE), "memory", never)
        case "feed-command":
            command = (sys.executable, "-c", f"print({SENTENCE!r})")
            slow = FeedEngine("f", command=("sleep", "600"))
            return Subject(FeedEngine("f", command=command), "f", slow, streams=False, reads_prompt=False)
        case "feed-url":
            engine, slow = (FeedEngine("f", url=f"{server}/{path}") for path in ("feed", "hang"))
            return Subject(engine, "f", slow, streams=False, reads_prompt=False)
        case "tiny":
            return Subject(TinyEngine(), "tiny-1", TinyEngine(), text="")
        case "openai":
            return Subject(OpenAIEngine(server), "words", OpenAIEngine(server), slow_model="slow")
        case _:
            url = request.getfixturevalue("llama_url")()
            make_engine = ENGINES[request.param.partition("-")[0]]
            engine, slow = make_engine(url), make_engine(url)
            return Subject(engine, "paris", slow, text=f" {SENTENCE}", in_one_packet=True)


async def test_it_offers_its_models(subject: Subject) -> None:
    offered = {model.name: model for model in await subject.engine.models()}
    assert subject.model in offered
    assert {model.engine for model in offered.values()} == {subject.engine.name}
    assert offered[subject.model].context_tokens > 0


async def test_the_pieces_are_the_text(subject: Subject) -> None:
    got = await subject.engine.generate(subject.job(), subject.pieces.append)
    assert (got.model, got.engine) == (subject.model, subject.engine.name)
    assert "".join(subject.pieces) == got.text != ""
    assert got.text == (subject.text or got.text)
    assert (len(subject.pieces) > 1, 0 <= got.first_token_ms <= got.total_ms) == (subject.streams, True)


async def test_the_same_seed_gives_the_same_text(subject: Subject) -> None:
    jobs = [subject.job(temperature_milli=700, seed=3) for _ in range(2)]
    first, second = [(await subject.engine.generate(job, subject.pieces.append)).text for job in jobs]
    assert first == second


async def test_two_jobs_at_a_time_do_not_mix(subject: Subject) -> None:
    pieces: list[list[str]] = [[], []]
    jobs = [subject.engine.generate(subject.job(), mine.append) for mine in pieces]
    for got, mine in zip(await asyncio.gather(*jobs), pieces, strict=True):
        assert "".join(mine) == got.text


async def test_an_unknown_model_is_missing(subject: Subject) -> None:
    assert await failure(subject.engine, subject.job(model="no-such-model")) == "model_missing"


async def test_a_prompt_that_does_not_fit_is_refused_not_cut(subject: Subject) -> None:
    if not subject.reads_prompt:  # a feed has no context to outgrow: it answers whatever is asked
        assert (await subject.engine.generate(subject.job("word " * 9_000), subject.pieces.append)).text
        return
    assert await failure(subject.engine, subject.job("word " * 9_000)) == "context_length_exceeded"
    assert subject.pieces == []


async def test_the_deadline_ends_the_work(subject: Subject) -> None:
    job = subject.job(deadline_ms=1, model=subject.slow_model or subject.model)
    assert await failure(subject.slow, job) == "engine_timeout"


async def test_cancelling_ends_the_work(subject: Subject) -> None:
    def take(piece: str) -> None:
        subject.pieces.append(piece)
        task.cancel()

    model = subject.slow_model or subject.model
    task = asyncio.create_task(subject.slow.generate(subject.job(model=model), take))
    await anyio.lowlevel.checkpoint()
    if not subject.streams:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    whole = await subject.engine.generate(subject.job(), lambda text: None)
    assert subject.in_one_packet or "".join(subject.pieces) != whole.text


async def test_it_works_on_after_an_error(subject: Subject) -> None:
    await failure(subject.engine, subject.job(model="no-such-model"))
    await failure(subject.engine, subject.job(deadline_ms=0))
    got = await subject.engine.generate(subject.job(), subject.pieces.append)
    assert got.text == (subject.text or got.text)


async def failure(engine: Engine, job: StartInference) -> str:
    with pytest.raises(AdapterError) as caught:
        await engine.generate(job, lambda text: None)
    return caught.value.code
