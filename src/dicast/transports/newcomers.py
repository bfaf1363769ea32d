"""What a node says again to those who have just come: networks without memory forget, nodes do not."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

import msgspec

from dicast.protocol.messages import Kind

RECENT_SECONDS = 2.0  # longer than joining takes: who was on the way in misses nothing
RECENT_PACKETS_MAX = 64  # what a node says in two busy seconds
RECENT_BYTES_MAX = 1 << 20  # 16 packets of the largest size
REPEATS_MAX = 3  # of one packet to everybody: joining is free, and must not multiply what a node sends
SAY_AGAIN_SECONDS = 0.2  # newcomers are answered together, at most this often
SETTLE_SECONDS = 0.4  # after this those who are there have answered a newcomer


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
        self._packets: deque[tuple[float, Repeated]] = deque()
        self._repeats: deque[int] = deque()
        self._bytes = 0

    def add(self, wire: bytes) -> None:
        """Remember a packet that this node publishes."""
        head = head_of(wire)
        if head is not None and head.kind == Kind.ANNOUNCEMENT:
            self._announcement = wire
            return
        self._packets.append((self._clock(), Repeated(wire)))
        self._repeats.append(0)
        self._bytes += len(wire)
        while len(self._packets) > RECENT_PACKETS_MAX or self._bytes > RECENT_BYTES_MAX:
            self._drop()

    def again(self) -> list[Repeated]:
        """What one newcomer should hear: the announcement, then the latest packets in their order."""
        self._forget()
        return self._announced() + [wire for _, wire in self._packets]

    def again_to_all(self) -> list[Repeated]:
        """The same where everybody hears it: then each packet at most three times."""
        self._forget()
        wires: list[Repeated] = []
        for at, (_, wire) in enumerate(self._packets):
            if self._repeats[at] < REPEATS_MAX:
                self._repeats[at] += 1
                wires.append(wire)
        return self._announced() + wires

    def _announced(self) -> list[Repeated]:
        return [] if self._announcement is None else [Repeated(self._announcement)]

    def _forget(self) -> None:
        oldest = self._clock() - RECENT_SECONDS
        while self._packets and self._packets[0][0] < oldest:
            self._drop()

    def _drop(self) -> None:
        self._bytes -= len(self._packets.popleft()[1])
        self._repeats.popleft()


class Greeter:
    """Says things again when somebody came: at once, and then together for those who came meanwhile."""

    def __init__(self, recent: Recent, say: Callable[[bytes], None]) -> None:
        self._recent = recent
        self._say = say
        self._timer: asyncio.TimerHandle | None = None
        self._others_came = False

    def somebody_came(self) -> None:
        """Greet, if the last greeting is a moment ago; otherwise in a moment."""
        if self._timer is not None:
            self._others_came = True
            return
        for wire in self._recent.again_to_all():
            self._say(wire)
        self._timer = asyncio.get_running_loop().call_later(SAY_AGAIN_SECONDS, self._moment_over)

    def stop(self) -> None:
        """Greet nobody more."""
        if self._timer is not None:
            self._timer.cancel()

    def _moment_over(self) -> None:
        self._timer = None
        if self._others_came:
            self._others_came = False
            self.somebody_came()


_HEAD = msgspec.json.Decoder(Head)
