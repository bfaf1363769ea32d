"""Packets on their way out: bounded, the oldest dropped first, one reader."""

from __future__ import annotations

import asyncio
from collections import deque

QUEUE_PACKETS_MAX = 1024  # half a minute of a busy node; what is older is stale
QUEUE_BYTES_MAX = 4 << 20  # 64 packets of the largest size, or thousands of the usual


class PacketQueue:
    """`put` never waits; `drained` is set while nothing is queued and all that was taken is written."""

    def __init__(self, packets_max: int = QUEUE_PACKETS_MAX, bytes_max: int = QUEUE_BYTES_MAX) -> None:
        self._packets_max = packets_max
        self._bytes_max = bytes_max
        self._packets: deque[bytes] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self.drained = asyncio.Event()
        self.drained.set()
        self.dropped = 0

    def put(self, packet: bytes) -> None:
        """Queue one; the oldest make room for it."""
        self._packets.append(packet)
        self._bytes += len(packet)
        while len(self._packets) > self._packets_max or (
            self._bytes > self._bytes_max and len(self._packets) > 1
        ):
            self._bytes -= len(self._packets.popleft())
            self.dropped += 1
        self.drained.clear()
        self._filled.set()

    async def take(self, count_max: int = 1) -> list[bytes]:
        """The next packets, at least one; say `done` when they are written."""
        while not self._packets:
            self._filled.clear()
            await self._filled.wait()
        taken = [self._packets.popleft() for _ in range(min(count_max, len(self._packets)))]
        self._bytes -= sum(map(len, taken))
        return taken

    def done(self) -> None:
        """What was taken is written."""
        if not self._packets:
            self.drained.set()

    def put_back(self, packets: list[bytes]) -> None:
        """What was taken could not be written: it goes to the front, where there is room."""
        for packet in reversed(packets):
            if len(self._packets) >= self._packets_max or self._bytes + len(packet) > self._bytes_max:
                self.dropped += 1
                continue
            self._packets.appendleft(packet)
            self._bytes += len(packet)
        self._filled.set()

    async def flush(self, seconds: float) -> None:
        """Wait until all is written, at most so long."""
        try:
            async with asyncio.timeout(seconds):
                await self.drained.wait()
        except TimeoutError:
            pass

    def __len__(self) -> int:
        return len(self._packets)

    @property
    def packet_bytes(self) -> int:
        """Bytes held."""
        return self._bytes
