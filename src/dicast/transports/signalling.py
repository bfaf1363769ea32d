"""Ways to meet before there is a connection: what they share, and the loop that keeps a socket open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, WebSocketException

from dicast.transports.background import described, end_tasks, start_task
from dicast.transports.backoff import Backoff
from dicast.transports.nostr_socket import open_socket
from dicast.transports.packet_queue import PacketQueue
from dicast.transports.trystero import Room, Signal

WAITING_MAX = 128  # signals that wait on one server: as many as eight attempts make
WAITING_BYTES_MAX = 1 << 20
MESSAGES_A_SECOND = 200  # that one server may bring; what is over is dropped, for it may come from strangers


class Offer(msgspec.Struct, frozen=True):
    """An open offer that a tracker may hand to anybody in the room."""

    id: str
    sealed: str


class Party(msgspec.Struct, frozen=True):
    """Who meets where: our id, the room, and what to do with a signal that came."""

    peer_id: str
    room: Room
    heard: Callable[[Signaller, Signal], None]


class Signaller(Protocol):
    """A server at which peers of a room meet."""

    url: str
    problem: str
    is_up: bool
    takes_offers: bool
    """Whether it hands on offers to anybody, and knows no other announcement."""

    def start(self, party: Party, on_up: Callable[[Signaller], None]) -> None:
        """Begin to connect and to listen; `on_up` is called each time that it can be talked to."""
        ...

    def announce(self, offers: Sequence[Offer]) -> None:
        """Say to everybody that we are there."""
        ...

    def tell(self, peer_id: str, signal: Signal) -> None:
        """Say something to one peer."""
        ...

    async def stop(self) -> None:
        """Disconnect."""
        ...


class Throttle:
    """Lets so many messages a second through."""

    def __init__(self, a_second: int = MESSAGES_A_SECOND) -> None:
        self._a_second = a_second
        self._second = 0
        self._count = 0

    def lets_through(self, now: float) -> bool:
        """Whether one more is fine at this time (seconds)."""
        if int(now) != self._second:
            self._second, self._count = int(now), 0
        self._count += 1
        return self._count <= self._a_second


class SocketSignaller:
    """A server behind a WebSocket; what is said while it is away is said when it is back, if still new."""

    takes_offers = False

    def __init__(self, url: str) -> None:
        self.url = url
        self.problem = ""
        self.is_up = False
        self._queue = PacketQueue(WAITING_MAX, WAITING_BYTES_MAX)
        self._party: Party | None = None
        self._on_up: Callable[[Signaller], None] = _nothing
        self._task: asyncio.Task[None] | None = None
        self._throttle = Throttle()

    def start(self, party: Party, on_up: Callable[[Signaller], None]) -> None:
        """Begin to connect; returns at once."""
        self._party, self._on_up = party, on_up
        self._task = start_task(self._run(party), f"signalling {self.url}")

    async def stop(self) -> None:
        """Disconnect."""
        task, self._task = self._task, None
        await end_tasks(task)
        self.is_up = False

    def announce(self, offers: Sequence[Offer]) -> None:
        """Say to everybody that we are there."""
        raise NotImplementedError

    def tell(self, peer_id: str, signal: Signal) -> None:
        """Say something to one peer."""
        raise NotImplementedError

    def _greeting(self, party: Party) -> list[bytes]:
        """What is said first on a new connection."""
        raise NotImplementedError

    def _take(self, party: Party, text: bytes) -> None:
        """What the server said. Never raises, whatever the bytes."""
        raise NotImplementedError

    def _say(self, text: bytes) -> None:
        if self.is_up:
            self._queue.put(text)

    async def _run(self, party: Party) -> None:
        backoff = Backoff()
        while True:
            try:
                await self._converse(party, backoff)
            except (OSError, WebSocketException, EOFError, ValueError) as error:
                self.problem = described(error)
            await asyncio.sleep(backoff.next_seconds())

    async def _converse(self, party: Party, backoff: Backoff) -> None:
        socket = await open_socket(self.url)
        self._queue = PacketQueue(WAITING_MAX, WAITING_BYTES_MAX)
        writing = asyncio.create_task(self._write(socket))
        try:
            for text in self._greeting(party):
                await socket.send(text, text=True)
            self.is_up, self.problem = True, ""
            backoff.connected()
            self._on_up(self)
            await self._read(party, socket)
        finally:
            self.is_up = False
            try:
                await end_tasks(writing)
                await socket.close()
            finally:
                socket.transport.abort()  # closing waits for the server, and may be cancelled

    async def _write(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                texts = await self._queue.take()
                await socket.send(texts[0], text=True)
                self._queue.done()

    async def _read(self, party: Party, socket: ClientConnection) -> None:
        loop = asyncio.get_running_loop()
        while True:
            text = await socket.recv(decode=False)
            if self._throttle.lets_through(loop.time()):
                self._take(party, text)


def _nothing(_: Signaller) -> None:
    """Before it is started."""
