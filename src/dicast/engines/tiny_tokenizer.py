"""Byte pairs of the embedded model: text to token numbers and back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

BYTE_TOKENS = 256
"""Every byte is a token, so that any text can be read."""

TABLE_SIZE = 1024
"""Bytes, merges and the three marks: small, because the model is."""

QUESTION, ANSWER, END = TABLE_SIZE - 3, TABLE_SIZE - 2, TABLE_SIZE - 1
"""What opens a question, opens an answer, and ends it."""

WORD = re.compile(r"[0-9]| ?[A-Za-z]+| ?[^A-Za-z0-9 ]+| ")
"""Merges stay within a word; a digit is a token of its own, so that sums can be learned."""

LOWER = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ\u2018\u2019\u201c\u201d", "abcdefghijklmnopqrstuvwxyz''\"\""
)

Merge = tuple[int, int]


def normal_prompt(text: str) -> str:
    """A question as the model reads it: ASCII lower case, single spaces, no closing mark."""
    return " ".join(text.translate(LOWER).split()).rstrip(" ?.!")


class Tokenizer:
    """Encodes by the merges in their order; decodes bytes."""

    def __init__(self, merges: Sequence[Merge]) -> None:
        self._ranks = {merge: rank for rank, merge in enumerate(merges)}
        self._bytes = [bytes([value]) for value in range(BYTE_TOKENS)]
        for left, right in merges:
            self._bytes.append(self._bytes[left] + self._bytes[right])
        self._encode_word = lru_cache(maxsize=4096)(self._merge_word)

    def encode(self, text: str) -> list[int]:
        """The token numbers of a text."""
        return [token for word in WORD.findall(text) for token in self._encode_word(word)]

    def encode_question(self, prompt: str) -> list[int]:
        """What the model is given: the marks with the normalised question between them."""
        return [QUESTION, *self.encode(normal_prompt(prompt)), ANSWER]

    def token_bytes(self, token: int) -> bytes:
        """The bytes a token stands for; none for a mark."""
        return self._bytes[token] if token < len(self._bytes) else b""

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token numbers."""
        return b"".join(self.token_bytes(token) for token in tokens).decode("utf-8", "replace")

    def _merge_word(self, word: str) -> tuple[int, ...]:
        tokens = list(word.encode("utf-8", "replace"))
        never = len(self._ranks)
        while len(tokens) > 1:
            ranked = [self._ranks.get(pair, never) for pair in pairwise(tokens)]
            rank = min(ranked)
            if rank == never:
                break
            at = ranked.index(rank)
            tokens[at : at + 2] = [BYTE_TOKENS + rank]
        return tuple(tokens)
