"""Hamming distances of packed bits, in blocks that fit the processor's cache (`spec/06-judge.md`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Words: TypeAlias = NDArray[np.uint64]
"""Packed bits turned on their side: row w holds the w-th 64-bit word of every embedding."""

Distances: TypeAlias = NDArray[np.uint16]
"""Hamming distances of some embeddings (rows) to some others (columns)."""

ROWS = 32
"""Rows of a block."""

_WORDS_IN_BYTE = 3
"""Counts of three words are at most 192 and add up in bytes, four times as fast as in 16 bits."""

COLUMNS = 1024
"""Columns of a block: 32 × 1024 words of 64 bits are 256 KiB, which the second-level cache holds."""


def packed_words(embeddings: Sequence[str]) -> Words:
    """Hex embeddings of one length as 64-bit words, shape (words, embeddings); padded with zero bits."""
    if not embeddings:
        return np.zeros((0, 0), np.uint64)
    rows = np.frombuffer(bytes.fromhex("".join(embeddings)), np.uint8).reshape(len(embeddings), -1)
    padding = -rows.shape[1] % 8
    padded = np.pad(rows, ((0, 0), (0, padding))) if padding else rows
    return np.ascontiguousarray(padded.view(np.uint64).T)


def distances(words: Words, rows: slice, columns: slice) -> Distances:
    """Distances of the embeddings in `rows` to those in `columns`."""
    left, right = words[:, rows, None], words[:, None, columns]
    total = np.zeros((left.shape[1], right.shape[2]), np.uint16)
    for first in range(0, words.shape[0], _WORDS_IN_BYTE):
        part = np.bitwise_count(left[first] ^ right[first])
        for word in range(first + 1, min(words.shape[0], first + _WORDS_IN_BYTE)):
            part += np.bitwise_count(left[word] ^ right[word])
        total += part
    return total
