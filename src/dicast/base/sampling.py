"""Chance without a dice: selection by hash, and streams that a seed decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from dicast.base.hashing import tagged

T = TypeVar("T")


def lowest_tickets(items: Iterable[T], ticket: Callable[[T], bytes], count: int) -> list[T]:
    """The `count` items with the lowest tickets, lowest first; ties keep the order of `items`."""
    return sorted(items, key=ticket)[:count]


class SeededStream:
    """An endless stream of numbers that depends on the seed alone: SHA-256 over a counter."""

    __slots__ = ("_block", "_counter", "_seed")

    def __init__(self, seed: bytes) -> None:
        self._seed = tagged("dicast/stream/1", seed)
        self._counter = 0
        self._block = b""

    def u64(self) -> int:
        """The next number, 0 … 2^64 - 1."""
        if not self._block:
            self._block = tagged("dicast/stream/1", self._seed, self._counter.to_bytes(8, "big"))
            self._counter += 1
        head, self._block = self._block[:8], self._block[8:]
        return int.from_bytes(head, "big")

    def below(self, bound: int) -> int:
        """A number 0 … `bound` - 1 (`bound` ≤ 2^63), each equally likely: too high draws are redrawn."""
        fair = (1 << 64) - (1 << 64) % bound
        while (number := self.u64()) >= fair:
            pass
        return number % bound

    def between(self, low: int, high: int) -> int:
        """A number `low` ... `high`, both included."""
        return low + self.below(high - low + 1)

    def chance(self, per_million: int) -> bool:
        """True that many times in a million."""
        return self.below(1_000_000) < per_million

    def pick(self, items: Sequence[T]) -> T:
        """One of `items`."""
        return items[self.below(len(items))]

    def shuffled(self, items: Iterable[T]) -> list[T]:
        """The items in a random order (Fisher-Yates)."""
        deck = list(items)
        for last in range(len(deck) - 1, 0, -1):
            other = self.below(last + 1)
            deck[last], deck[other] = deck[other], deck[last]
        return deck
