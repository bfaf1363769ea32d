"""What transports over one connection at a time share: the way out, greeting, counting, coming back."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager

from dicast.base.errors import LocalProtocolError
from dicast.base.limits import PACKET_BYTES_MAX
from dicast.ports import TransportHealth
from dicast.transports.background import described, end_tasks, start_task
from dicast.transports.backoff import Backoff
from dicast.transports.newcomers import SETTLE_SECONDS, Greeter, Recent, Repeated
from dicast.transports.packet_queue import PacketQueue

FLUSH_SECONDS_MAX = 1.0  # what `stop` gives to packets on their way
WRITE_SECONDS_MAX = 20.0  # whoever takes nothing for so long is gone


class QueuedTransport(ABC):
    """A transport whose `_converse` is one connection from its opening to its end."""

    failures: tuple[type[Exception], ...] = (OSError, ValueError, EOFError, TimeoutError)
    """What may end a connection; anything else is a mistake of ours."""

    def __init__(self, name: str, place: str) -> None:
        self.name = name
        self.payload_bytes_max = PACKET_BYTES_MAX
        self._place = place
        self._queue = PacketQueue()
        self._recent = Recent()
        self._greeter = Greeter(self._recent, self._queue.put)
        self._backoff = Backoff()
        self._on_packet: Callable[[bytes], None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_connected = False
        self._state = "starting"
        self._problem = ""
        self._sent = 0
        self._received = 0
        self._refused = 0
        self._round_trip_ms: int | None = None

    async def start(self, topic: str, on_packet: Callable[[bytes], None]) -> None:
        """Begin to connect; returns at once."""
        if self._task is not None or self._state == "stopped":
            return
        self._on_packet = on_packet
        self._task = start_task(self._run(topic), f"{self.name} {self._place}")

    def publish(self, wire: bytes) -> None:
        """Queue one packet; never blocks."""
        if len(wire) > PACKET_BYTES_MAX:
            raise LocalProtocolError("not_a_packet", "Only packets of at most 64 KiB can be published.")
        if self._state != "stopped":
            self._recent.add(wire)
            self._queue.put(wire)

    def peers(self) -> Sequence[str]:
        """Where it is connected to."""
        return [self._place] if self._is_connected and self._state != "stopped" else []

    def health(self) -> TransportHealth:
        """Whether it is connected, and what is wrong."""
        return TransportHealth(
            state="down" if self._state == "stopped" else self._state,
            detail=f"{self._place}: {self._problem}" if self._problem else self._place,
            sent=self._sent,
            received=self._received,
            dropped=self._queue.dropped + self._refused,
            round_trip_ms=self._round_trip_ms if self._is_connected else None,
        )

    async def stop(self) -> None:
        """Give what is queued a second if somebody takes it, then disconnect."""
        has_peers = bool(self.peers())
        self._state = "stopped"
        if has_peers:
            await self._queue.flush(FLUSH_SECONDS_MAX)
        self._greeter.stop()
        task, self._task = self._task, None
        await end_tasks(task)

    @abstractmethod
    async def _converse(self, topic: str) -> None:
        """One connection; ends when it ends, raising one of `failures` where there is something to say."""

    @contextmanager
    def _standing(self) -> Generator[None]:
        """The connection stands while this lasts; a moment later whoever is there has answered us."""
        self._is_connected = True
        self._problem = ""
        self._backoff.connected()
        self._greeter.somebody_came()
        settling = asyncio.get_running_loop().call_later(SETTLE_SECONDS, self._settled)
        try:
            yield
        finally:
            settling.cancel()
            self._is_connected = False

    async def _write_queue(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Write what is queued until cancelled; what could not be written waits for the next connection."""
        while True:
            wires = await self._queue.take()
            if len(wires[0]) > self.payload_bytes_max:  # the other transports carry it
                self._refused += not isinstance(wires[0], Repeated)
            else:
                await self._write_one(write, wires)
            self._queue.done()

    async def _write_one(self, write: Callable[[bytes], Awaitable[None]], wires: list[bytes]) -> None:
        counted = not isinstance(wires[0], Repeated)
        self._sent += counted  # before it is heard
        try:
            await self._until_somebody_listens()
            async with asyncio.timeout(WRITE_SECONDS_MAX):
                await write(wires[0])
        except BaseException:
            self._sent -= counted
            self._queue.put_back(wires)
            raise

    async def _until_somebody_listens(self) -> None:
        """What is written before is lost. A broker always listens."""
        return

    def _take(self, wire: bytes) -> None:
        """Hand over a packet that came in; a larger one than a packet may be is counted."""
        if self._on_packet is None or self._state == "stopped":
            return
        if len(wire) > PACKET_BYTES_MAX:
            self._refused += 1
            return
        self._received += 1
        self._on_packet(wire)

    def _settled(self) -> None:
        if self._state != "stopped":
            self._state = "up"

    async def _run(self, topic: str) -> None:
        while True:
            try:
                await self._converse(topic)
            except self.failures as error:
                self._problem = described(error)
            if self._state != "stopped":
                self._state = "down"
            await asyncio.sleep(self._backoff.next_seconds())


async def first_to_end(*works: Awaitable[None]) -> None:
    """Do all at once until one ends; then end the others, and raise what it raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
