"""Many networks as one: every packet goes out over all of them, and comes in once."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable, Sequence

import msgspec

from dicast.base.expiring import SeenIds
from dicast.daemon.logs import Log
from dicast.ports import Transport

START_WAIT_S = 0.5
"""What a transport gets to start before the node goes on without it; starting returns at once by contract."""
RETRY_FIRST_S = 0.5
RETRY_MAX_S = 60.0
"""A transport that cannot start is tried again after half a second, then twice as long, up to a minute."""
STOP_S = 3.0
"""A transport flushes for at most a second; one that hangs must not keep the node from ending."""
COPY_WINDOW_MS = 450
"""Copies of other transports within one to two of these are dropped; a repetition comes after a second."""
ARRIVAL_WINDOW_MS = 30_000
"""A packet that comes so much later than over another transport counts as a first arrival again."""
DIGESTS_KNOWN_MAX = 16_384
"""About 4 MB for both windows; when full, copies pass, and the node drops them by id."""


class LaneCounts(msgspec.Struct):
    """What went over one transport: `first` packets came by it before any other, `copies` after."""

    published: int = 0
    oversized: int = 0
    failed: int = 0
    first: int = 0
    copies: int = 0


class Lane:
    """One transport among others, and what went over it."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.counts = LaneCounts()
        self.problem = ""
        """Why it has not started yet; empty once it has."""

    def publish(self, wire: bytes) -> None:
        """Hand it a packet, unless that is over its limit. One that breaks its contract harms itself."""
        if len(wire) > self.transport.payload_bytes_max:
            self.counts.oversized += 1
            return
        try:
            self.transport.publish(wire)
        except Exception as error:
            self.problem = repr(error)[:200]
            self.counts.failed += 1
        else:
            self.counts.published += 1

    def arrived(self, is_first: bool) -> None:
        """A packet came over it."""
        if is_first:
            self.counts.first += 1
        else:
            self.counts.copies += 1


class Arrivals:
    """Which packets came a moment ago, and over which transport first. The time is an argument."""

    def __init__(self) -> None:
        self._copies = SeenIds(COPY_WINDOW_MS, DIGESTS_KNOWN_MAX)
        self._arrived = SeenIds(ARRIVAL_WINDOW_MS, DIGESTS_KNOWN_MAX)

    def note(self, wire: bytes, now_ms: int) -> tuple[bool, bool]:
        """Whether to hand a packet on, and whether it came for the first time.

        Copies are the same bytes, so a forged packet shadows none but itself.
        """
        digest = hashlib.sha256(wire).digest()
        return self._copies.add(digest, now_ms), self._arrived.add(digest, now_ms)


class Multiplexer:
    """Starts, feeds and stops the transports; none delays, stops or doubles another."""

    def __init__(
        self, transports: Sequence[Transport], deliver: Callable[[bytes, str], None], log: Log
    ) -> None:
        self.lanes = tuple(Lane(transport) for transport in transports)
        self._deliver = deliver
        self._log = log
        self._arrivals = Arrivals()
        self._starting: list[asyncio.Task[None]] = []

    async def start(self, topic: str) -> None:
        """Start all at once; one that fails is tried again, one that hangs is not waited for."""
        self._starting = [asyncio.create_task(self._start_lane(lane, topic)) for lane in self.lanes]
        if self._starting:
            await asyncio.wait(self._starting, timeout=START_WAIT_S)

    def publish(self, wire: bytes) -> None:
        """Hand a packet to every transport that can carry it; each queues for itself."""
        if len(self.lanes) > 1:
            self._arrivals.note(wire, _now_ms())  # when it comes back, it is a copy
        for lane in self.lanes:
            lane.publish(wire)

    async def stop(self) -> None:
        """Stop all at once."""
        for task in self._starting:
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        await asyncio.gather(*(self._stop_lane(lane) for lane in self.lanes))

    def _receiver(self, lane: Lane) -> Callable[[bytes], None]:
        carrier = lane.transport.name
        if len(self.lanes) == 1:  # then copies are the transport's to drop
            return lambda wire: self._receive_alone(lane, wire)

        def receive(wire: bytes) -> None:
            is_new, is_first = self._arrivals.note(wire, _now_ms())
            lane.arrived(is_first)
            if is_new:
                self._deliver(wire, carrier)

        return receive

    def _receive_alone(self, lane: Lane, wire: bytes) -> None:
        lane.arrived(True)
        self._deliver(wire, lane.transport.name)

    async def _start_lane(self, lane: Lane, topic: str) -> None:
        pause = RETRY_FIRST_S
        while True:
            try:
                await lane.transport.start(topic, self._receiver(lane))
            except Exception as error:
                lane.problem = f"it does not start: {error}"[:200]
                self._log.warning("transport_start_failed", transport=lane.transport.name, error=repr(error))
            else:
                lane.problem = ""
                return
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)
            pause = min(2 * pause, RETRY_MAX_S)

    async def _stop_lane(self, lane: Lane) -> None:
        try:
            async with asyncio.timeout(STOP_S):
                await lane.transport.stop()
        except Exception as error:
            self._log.warning("transport_stop_failed", transport=lane.transport.name, error=repr(error))


def _now_ms() -> int:
    return int(asyncio.get_running_loop().time() * 1000)
