"""The `llama_cpp` engine against servers that misbehave; llama.cpp itself is in the conformance suite."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from asked_engines import failure_of
from dicast.engines.llama_cpp import LlamaCppEngine

pytestmark = pytest.mark.anyio
GOOD: dict[str, Any] = {
    "/v1/models": {"data": [{"id": "m"}]},
    "/props": {"default_generation_settings": {"n_ctx": 64}},
    "/apply-template": {"prompt": "user: hi\n"},
    "/tokenize": {"tokens": [1, 2, 3]},
}
LAST = {"content": "", "stop": True, "stop_type": "eos", "tokens_evaluated": 3, "tokens_predicted": 2}


class Llama:
    """Routes with bodies that a test may change; `said` is the stream of a completion."""

    def __init__(self) -> None:
        self.bodies: dict[str, Any] = dict(GOOD)
        self.said: bytes = self.stream({"content": "yes"}, LAST)
        self.asked: dict[str, Any] = {}
        self.url = ""

    @staticmethod
    def stream(*events: object) -> bytes:
        return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        path = head.split(" ")[1]
        length = next(
            (int(line.split()[1]) for line in head.split("\r\n") if line.startswith("content-length")), 0
        )
        asked = await reader.readexactly(length)
        if path == "/completion":
            self.asked = json.loads(asked)
            body, kind = self.said, "text/event-stream"
        else:
            body, kind = json.dumps(self.bodies[path]).encode(), "application/json"
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()


@pytest.fixture
async def llama() -> AsyncIterator[Llama]:
    server = Llama()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
    yield server
    listener.close()
    await listener.wait_closed()


async def failure(server: Llama, job: Any) -> str:
    return (await failure_of(LlamaCppEngine(server.url), job)).code


async def test_the_completion_says_what_the_job_says(llama: Llama, job: Any) -> None:
    engine = LlamaCppEngine(llama.url)
    got = await engine.generate(job(schema='{"type":"object"}'), lambda _: None)
    await engine.close()
    assert (got.text, got.model, got.prompt_tokens, got.completion_tokens) == ("yes", "m", 3, 2)
    assert llama.asked == {
        "prompt": "user: hi\n",
        "n_predict": 16,
        "temperature": 0.7,
        "seed": 5,
        "stream": True,
        "cache_prompt": True,
        "json_schema": {"type": "object"},
    }


async def test_a_prompt_is_counted_before_it_is_cut(llama: Llama, job: Any) -> None:
    llama.bodies["/tokenize"] = {"tokens": list(range(50))}
    assert await failure(llama, job()) == "context_length_exceeded"


@pytest.mark.parametrize(
    ("events", "code"),
    [
        (({"content": "half"},), "engine_unreachable"),
        (({"content": "x"}, LAST | {"truncated": True}), "engine_bad_answer"),
        (({"content": "x"}, LAST | {"stop_type": "none"}), "engine_bad_answer"),
        ((LAST,), "engine_bad_answer"),
        (({"content": 7},), "engine_bad_answer"),
        (({"error": {"message": "exceed_context_size"}},), "context_length_exceeded"),
    ],
)
async def test_what_is_no_answer_is_an_error_with_its_reason(
    llama: Llama, job: Any, events: tuple[object, ...], code: str
) -> None:
    llama.said = llama.stream(*events)
    assert await failure(llama, job()) == code


@pytest.mark.parametrize("path", sorted(GOOD))
async def test_nonsense_from_any_route_is_an_error_or_no_offer(llama: Llama, job: Any, path: str) -> None:
    llama.bodies[path] = ["nonsense"]
    engine = LlamaCppEngine(llama.url)
    if path in ("/v1/models", "/props"):
        assert await engine.models() == ()
    else:
        assert await failure(llama, job()) == "engine_bad_answer"
    await engine.close()
