"""Which packets came a moment ago, and how long after their first copy. The time is an argument."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence

import msgspec

COPY_WINDOW_MS = 700
"""Copies within this of the one that was handed on are dropped; a repetition comes after a second."""
ARRIVAL_WINDOW_MS = 30_000
"""A packet that comes so much later than over another network counts as a first arrival again."""
DIGESTS_KNOWN_MAX = 16_384
"""In each of two generations, about 8 MB in all; when full, copies pass, and the node drops them by id."""
LAGS_KEPT_MAX = 512
"""Enough for a 95th percentile of 25 samples; a busy node's last seconds."""
OWN = -1
"""In place of a first arrival: the packet is this node's own."""


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """Whether to hand a packet on, and how long after its first copy it came; None for a copy of our own."""

    is_new: bool
    lag_ms: int | None


class Lag(msgspec.Struct, frozen=True):
    """How far a network is behind whichever was first, over its last packets."""

    median_ms: int
    p95_ms: int


class Arrivals:
    """Packets of the last half a minute by their bytes, so a forged packet shadows none but itself."""

    def __init__(self) -> None:
        self._new: dict[bytes, tuple[int, int]] = {}
        self._old: dict[bytes, tuple[int, int]] = {}
        self._rotated_ms = 0

    def note(self, wire: bytes, now_ms: int) -> Arrival:
        """A packet came."""
        self._forget(now_ms)
        digest = hashlib.sha256(wire).digest()
        known = self._new.get(digest) or self._old.get(digest)
        if known is None:
            self._remember(digest, (now_ms, now_ms), now_ms)
            return Arrival(True, 0)
        first_ms, handed_ms = known
        is_new = now_ms - handed_ms >= COPY_WINDOW_MS
        if is_new:
            self._remember(digest, (first_ms, now_ms), now_ms)
        return Arrival(is_new, None if first_ms == OWN else now_ms - first_ms)

    def note_own(self, wire: bytes, now_ms: int) -> None:
        """This node publishes a packet: when it comes back, it is a copy."""
        self._forget(now_ms)
        self._remember(hashlib.sha256(wire).digest(), (OWN, now_ms), now_ms)

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def _forget(self, now_ms: int) -> None:
        if now_ms - self._rotated_ms >= ARRIVAL_WINDOW_MS:
            self._rotate(now_ms)

    def _remember(self, digest: bytes, seen: tuple[int, int], now_ms: int) -> None:
        if len(self._new) >= DIGESTS_KNOWN_MAX:
            self._rotate(now_ms)
        self._new[digest] = seen

    def _rotate(self, now_ms: int) -> None:
        is_long_ago = now_ms - self._rotated_ms >= 2 * ARRIVAL_WINDOW_MS
        self._old, self._new = {} if is_long_ago else self._new, {}
        self._rotated_ms = now_ms


class Lags:
    """The last lags of one network."""

    def __init__(self) -> None:
        self._last: deque[int] = deque(maxlen=LAGS_KEPT_MAX)

    def add(self, lag_ms: int) -> None:
        """One more packet came so long after its first copy."""
        self._last.append(lag_ms)

    def read(self) -> Lag | None:
        """Median and 95th percentile; None before there is a packet."""
        ordered = sorted(self._last)
        return Lag(_at(ordered, 50), _at(ordered, 95)) if ordered else None


def _at(ordered: Sequence[int], percent: int) -> int:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
