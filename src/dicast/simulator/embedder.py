"""A fake embedder of whole numbers: what an answer says is its topic, the wording only moves it a little."""

from __future__ import annotations

import functools
import hashlib

from dicast.consensus.constants import EMBEDDER, EMBEDDER_BITS

BITS = EMBEDDER_BITS[EMBEDDER]
SPARE_BITS = -BITS % 8
TOPIC_BITS = 100
"""Bits that a topic sets: two topics lie about 147 apart, outside a radius of 100, and half of it inside."""
WORDING_BITS = 5
"""Bits that a wording flips at most: two wordings of a topic are at most 10 apart, far inside any radius."""
SPLICE = "between"
"""First word of a text spliced from two topics: it lies half-way between them."""


def embed(text: str) -> bytes:
    """The packed bits of a text, most significant bit first; spare bits are zero."""
    words = text.split()
    center = _topic_bits(words[0] if words else "")
    if len(words) > 3 and words[0] == SPLICE:
        center = _spliced(_topic_bits(words[1]), _topic_bits(words[3]))
    flips = hashlib.sha256(b"wording " + text.encode()).digest()
    for position in range(WORDING_BITS):
        center ^= 1 << int.from_bytes(flips[2 * position : 2 * position + 2], "big") % BITS
    return (center << SPARE_BITS).to_bytes((BITS + SPARE_BITS) // 8, "big")


def distance(left: bytes, right: bytes) -> int:
    """Bits in which two packed vectors differ."""
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).bit_count()


class EmbeddingMemory:
    """Embeddings of a world, each computed once."""

    def __init__(self) -> None:
        self._hex_of: dict[str, str] = {}

    def hex_of(self, text: str) -> str:
        """The packed bits of a text as hex."""
        found = self._hex_of.get(text)
        if found is None:
            found = self._hex_of[text] = embed(text).hex()
        return found


@functools.lru_cache(maxsize=1024)
def _topic_bits(word: str) -> int:
    bits, counter = 0, 0
    while bits.bit_count() < TOPIC_BITS:
        drawn = hashlib.sha256(f"topic {counter} {word}".encode()).digest()
        for position in range(0, len(drawn), 2):
            if bits.bit_count() < TOPIC_BITS:
                bits |= 1 << int.from_bytes(drawn[position : position + 2], "big") % BITS
        counter += 1
    return bits


def _spliced(left: int, right: int) -> int:
    """Every second bit in which the two differ is taken from the other: half the distance to each."""
    different, take_next, mask = left ^ right, False, 1
    while mask <= different:
        if different & mask:
            left ^= mask if take_next else 0
            take_next = not take_next
        mask <<= 1
    return left


__all__ = ["EMBEDDER", "EmbeddingMemory", "distance", "embed"]
