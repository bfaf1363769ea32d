"""What a node says again to those who have just come: networks without memory forget, nodes do not."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import msgspec

from dicast.protocol.messages import Kind

RECENT_SECONDS = 2.0  # longer than joining takes: who was on the way in misses nothing
RECENT_PACKETS_MAX = 64  # what a node says in two busy seconds
RECENT_BYTES_MAX = 1 << 20  # 16 packets of the largest size


class Head(msgspec.Struct, frozen=True):
    """What a transport reads of a packet; nothing of it is proven."""

    kind: int
    pubkey: str


def head_of(wire: bytes) -> Head | None:
    """Kind and author as claimed, None when it is no packet. Never raises, whatever the bytes."""
    try:
        return _HEAD.decode(wire)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


class Repeated(bytes):
    """A packet that is said again: it does not count as sent."""


class Recent:
    """A node's own announcement, and its own packets of the last moments, bounded."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._announcement: bytes | None = None
        self._packets: deque[tuple[float, bytes]] = deque()
        self._bytes = 0

    def add(self, wire: bytes) -> None:
        """Remember a packet that this node publishes."""
        head = head_of(wire)
        if head is not None and head.kind == Kind.ANNOUNCEMENT:
            self._announcement = wire
            return
        self._packets.append((self._clock(), wire))
        self._bytes += len(wire)
        while len(self._packets) > RECENT_PACKETS_MAX or self._bytes > RECENT_BYTES_MAX:
            self._drop()

    def again(self) -> list[Repeated]:
        """What a newcomer should hear: the announcement, then the latest packets in their order."""
        oldest = self._clock() - RECENT_SECONDS
        while self._packets and self._packets[0][0] < oldest:
            self._drop()
        announced = [] if self._announcement is None else [self._announcement]
        return [Repeated(wire) for wire in (*announced, *(wire for _, wire in self._packets))]

    def _drop(self) -> None:
        self._bytes -= len(self._packets.popleft()[1])


_HEAD = msgspec.json.Decoder(Head)
