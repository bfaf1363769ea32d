"""The embedder's in-memory twin: word votes folded into sign bits. Fast and exact, not a language model."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from typing import Final

BITS: Final = 381
_TEXTS_REMEMBERED = 4096
_WORDS_REMEMBERED = 65_536
_TIE_BREAKER = "\x00"  # no word: an even number of votes gets one more, so that no bit is undecided


class MemoryEmbedder:
    """Each word votes 0 or 1 on every bit, the majority wins: texts that share most words get near bits."""

    def __init__(self, name: str = "memory/381", bits: int = BITS) -> None:
        self.name = name
        self.bits = bits

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        """The packed bits of each text, padded with zero bits to whole bytes."""
        return [_majority(tuple(text.lower().split()), self.bits) for text in texts]


@functools.lru_cache(_TEXTS_REMEMBERED)
def _majority(words: tuple[str, ...], bits: int) -> bytes:
    voters = words if len(words) % 2 else (*words, _TIE_BREAKER)
    planes = [0] * len(voters).bit_length()
    for word in voters:
        _add(planes, _votes(word, bits))
    size = -(-bits // 8)
    value = _at_least(planes, len(voters) // 2 + 1, (1 << bits) - 1)
    return (value << (size * 8 - bits)).to_bytes(size, "big")


def _add(planes: list[int], votes: int) -> None:
    """Count up every column where `votes` has a 1; plane i holds bit i of every column's count."""
    for index, plane in enumerate(planes):
        planes[index], votes = plane ^ votes, plane & votes


def _at_least(planes: list[int], threshold: int, columns: int) -> int:
    """The columns whose count is at least `threshold`."""
    above, equal = 0, columns
    for index in range(len(planes) - 1, -1, -1):
        if threshold >> index & 1:
            equal &= planes[index]
        else:
            above |= equal & planes[index]
            equal &= ~planes[index]
    return above | equal


@functools.lru_cache(_WORDS_REMEMBERED)
def _votes(word: str, bits: int) -> int:
    size = -(-bits // 8)
    digest = hashlib.shake_128(word.encode("utf-8", "replace")).digest(size)
    return int.from_bytes(digest, "big") >> (size * 8 - bits)
