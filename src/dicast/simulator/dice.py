"""The simulator's only source of chance: a stream that one seed fixes, on every Python and platform."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


class Dice:
    """Whole numbers drawn from a seed and a label; only `getrandbits`, whose stream Python never changes."""

    def __init__(self, seed: int, label: str) -> None:
        digest = hashlib.sha256(f"dicast/simulator/{seed}/{label}".encode()).digest()
        self.bits = random.Random(int.from_bytes(digest, "big")).getrandbits  # noqa: S311

    def below(self, limit: int) -> int:
        """A whole number in 0…limit−1."""
        return self.bits(53) * limit >> 53

    def between(self, low: int, high: int) -> int:
        """A whole number in low…high, both included."""
        return low + self.below(high - low + 1)

    def chance(self, per_mille: int) -> bool:
        """True in `per_mille` of a thousand throws."""
        return self.below(1000) < per_mille

    def pick(self, items: Sequence[Item]) -> Item:
        """One of `items`."""
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        """The items in a drawn order."""
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in range(len(left))]

    def sample(self, items: Sequence[Item], count: int) -> list[Item]:
        """`count` different items (all of them when there are fewer), in a drawn order."""
        return self.shuffled(items)[:count]

    def octets(self, count: int) -> bytes:
        """`count` drawn bytes."""
        return self.bits(8 * count).to_bytes(count, "big") if count else b""
