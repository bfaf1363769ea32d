"""Signallers of this process on free ports, and clients that keep what they hear."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from dicast.base.crypto import KeyPair
from dicast.queries.document import Document, document_topic, make_document
from dicast.signalling.settings import SignalSettings
from dicast.signalling.signaller import Signaller
from waiting import until

KEY = KeyPair.from_seed(b"signalling".ljust(32))
TOPIC = document_topic("main")


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    return until


@pytest.fixture
def make() -> Callable[[Any], Document]:
    """A signed document."""

    def sign(value: Any) -> Document:
        return make_document(KEY, TOPIC, json.dumps(value).encode(), int(time.time() * 1000))

    return sign


MakeSignaller = Callable[..., Awaitable[Signaller]]


@pytest.fixture
async def make_signaller() -> AsyncIterator[MakeSignaller]:
    """Started signallers; what they leave behind on the loop is a failure."""
    started, complaints = list[Signaller](), list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))

    async def start(*joins: Signaller, **options: Any) -> Signaller:
        urls = tuple(one.url for one in joins)
        settings = SignalSettings(listen=("127.0.0.1", 0), join=urls, **options)
        started.append(Signaller(settings))
        await started[-1].start()
        return started[-1]

    yield start
    await asyncio.gather(*(one.stop() for one in started))
    assert complaints == []


class Client:
    """A connection and the frames that came over it, apart from documents."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.frames: list[dict[str, Any]] = []
        self.titles: list[Any] = []
        self._reading = asyncio.create_task(self._read())

    async def say(self, **frame: Any) -> None:
        await self.connection.send(json.dumps(frame))

    async def publish(self, document: Document) -> None:
        await self.connection.send('{"do":"publish","event":' + document.wire.decode() + "}")

    async def subscribe(self, query: Any, **options: Any) -> None:
        await self.say(do="subscribe", id="q", query=query, **options)
        await self.hear("caught_up")

    async def hear(self, kind: str) -> dict[str, Any]:
        await until(lambda: any(frame["is"] == kind for frame in self.frames))
        return next(frame for frame in reversed(self.frames) if frame["is"] == kind)

    async def has(self, *titles: Any) -> None:
        await until(lambda: list(titles) == self.titles[-len(titles) :])

    async def _read(self) -> None:
        async for text in self.connection:
            frame = json.loads(text)
            if frame["is"] == "document":
                self.titles.append(json.loads(frame["event"]["content"])["title"])
            else:
                self.frames.append(frame)

    async def close(self) -> None:
        self._reading.cancel()
        await self.connection.close()


@pytest.fixture
async def join() -> AsyncIterator[Callable[..., Awaitable[Client]]]:
    """Connected clients."""
    clients: list[Client] = []

    async def connected(signaller: Signaller, **options: Any) -> Client:
        connection = await connect(signaller.url, compression=None, proxy=None, close_timeout=0.5, **options)
        clients.append(Client(connection))
        return clients[-1]

    yield connected
    for client in clients:
        await client.close()
