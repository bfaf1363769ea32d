"""A chat-completions server that does what a test tells it: byte for byte, over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from dicast.base.types import RequestId
from dicast.protocol.messages import Message
from dicast.protocol.outputs import StartInference

Script = Callable[[asyncio.StreamWriter], Awaitable[None]]


class ChatServer:
    """Answers GET with `listing` and POST by running `script`; remembers requests; sees clients leave."""

    def __init__(self) -> None:
        self.listing: bytes | None = json.dumps({"data": [{"id": "m", "max_model_len": 64}]}).encode()
        self.script: Script = self.say("hello", " there")
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.client_left = asyncio.Event()
        self.first_sent = asyncio.Event()
        self.url = ""

    def say(self, *pieces: str, model: str = "m", ending: str | None = "stop", done: bool = True) -> Script:
        events = [self.chunk(piece, model=model) for piece in pieces]
        events += [self.chunk(None, ending, model)] if ending else []
        body = b"".join(self.event(event) for event in events) + (b"data: [DONE]\n\n" if done else b"")
        return self.raw(body)

    @staticmethod
    def chunk(text: object, ending: str | None = None, model: str = "m") -> dict[str, Any]:
        return {
            "model": model,
            "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": ending}],
        }

    @staticmethod
    def event(value: object) -> bytes:
        return b"data: " + json.dumps(value).encode() + b"\n\n"

    def raw(self, body: bytes, content_type: str = "text/event-stream", *, hang: bool = False) -> Script:
        async def script(writer: asyncio.StreamWriter) -> None:
            writer.write(
                f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nConnection: close\r\n\r\n".encode()
            )
            writer.write(body)
            await writer.drain()
            self.first_sent.set()
            if hang:
                await self.client_left.wait()

        return script

    def status(self, status: int, body: bytes = b"", headers: str = "") -> Script:
        async def script(writer: asyncio.StreamWriter) -> None:
            head = (
                f"HTTP/1.1 {status} Word\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n"
            )
            writer.write(head.encode() + body)
            await writer.drain()

        return script

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await self._answer(reader, writer)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.requests.append((first, headers, body))
        if first.startswith("GET"):
            answer = self.status(404) if self.listing is None else self.status(200, self.listing)
            await answer(writer)
        else:
            leaving = asyncio.ensure_future(self._watch(reader))
            await self.script(writer)
            leaving.cancel()

    async def _watch(self, reader: asyncio.StreamReader) -> None:
        await reader.read()
        self.client_left.set()


@pytest.fixture
async def chat_server() -> AsyncIterator[ChatServer]:
    server = ChatServer()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    server.url = f"http://127.0.0.1:{port}"
    yield server
    server.client_left.set()
    listener.close()
    await listener.wait_closed()


@pytest.fixture
def job() -> Callable[..., StartInference]:
    def make(prompt: str = "hi", **changes: Any) -> StartInference:
        settings: dict[str, Any] = {
            "request_id": RequestId("ab" * 32),
            "messages": (Message("system", "be brief"), Message("user", prompt)),
            "model": "m",
            "max_tokens": 16,
            "temperature_milli": 700,
            "seed": 2**40 + 5,
            "deadline_ms": 20_000,
        }
        return StartInference(**(settings | changes))

    return make
