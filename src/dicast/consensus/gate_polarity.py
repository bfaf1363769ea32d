"""What the polarity gate sees in a text: how it opens, what it denies, and the words that are left."""

from __future__ import annotations

import functools
import re

import msgspec

from dicast.base import unicode_table
from dicast.consensus.gate_text import OTHER, plain_text
from dicast.consensus.gate_words import polarity_words

_ENDED_CHARS_MIN = 3
"""Words this short have no ending: `is`, `was`, `red`."""


class Polarity(msgspec.Struct, frozen=True):
    """`opening`: 1 yes or true, -1 no or false, 0 neither.

    `denied`: for each denial, how many of the words that are left stand before it; `words`: those words.
    """

    opening: int
    denied: tuple[int, ...]
    words: str

    @property
    def signs(self) -> tuple[int, bool]:
        """What the strict gate compares as well: the opening, and whether anything is denied."""
        return (self.opening, bool(self.denied))


def polarity_of(text: str) -> Polarity:
    """Read a text. Two denials at one place cancel out, as in "not impossible"."""
    text = unicode_table.lower(plain_text(text))
    opening, start = _opening(text)
    denied: set[int] = set()
    left: list[str] = []
    for word in _WORD.findall(text, start):
        before, is_denial, after = _read_word(word)
        if before:
            left.append(before)
        if is_denial:
            denied ^= {len(left)}
        if after:
            left.append(after)
    return Polarity(opening, tuple(sorted(denied)), " ".join(left))


def is_conflict(one: Polarity, other: Polarity) -> bool:
    """Whether both open with yes or no and differ, or nothing differs but what they deny."""
    if one.opening * other.opening < 0:
        return True
    return one.denied != other.denied and one.words == other.words


def _opening(text: str) -> tuple[int, int]:
    """The sign of the opening word, and where the words after it start: 0 if it is part of the sentence."""
    match = _OPENING.match(text)
    if match is None:
        return 0, 0
    word, gap, following = match.groups()
    words = polarity_words()
    sign = (word in words.yes) - (word in words.no)
    is_answer = gap != " " or following in words.after_no
    return sign, match.end(1) if sign and is_answer else 0


@functools.lru_cache(maxsize=8_192)
def _read_word(written: str) -> tuple[str, bool, str]:
    """The stem before the denial that a word holds, whether it holds one, and the stem after it."""
    words = polarity_words()
    word, mark, tail = written.partition("'")
    if written.endswith("n't") or written in words.contractions:
        base = words.contractions.get(word + tail) or word[:-1]
        return _stem(base), True, ""
    if mark and tail == "s":
        return _stem(word), False, "is" if word in words.before_is else ""
    if mark:
        return _stem(word), False, _stem(words.tails.get(tail, tail))
    if word == "cannot":
        return "can", True, ""
    if word in words.negations:
        return "", True, _stem(words.negations[word])
    if word in words.negatives:
        return "", True, _stem(words.negatives[word])
    return "", False, _stem(word)


def _stem(word: str) -> str:
    """A word without the endings that a denial moves to `does` or `did`; nothing for articles."""
    words = polarity_words()
    if word in words.fillers:
        return ""
    word = words.pasts.get(word, word)
    if len(word) > _ENDED_CHARS_MIN and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    elif len(word) > _ENDED_CHARS_MIN and word.endswith("ed"):
        word = word[:-2]
    if len(word) >= _ENDED_CHARS_MIN:
        word = word.removesuffix("e")
        word = word[:-1] + "i" if word.endswith("y") else word
    return word[:-1] if len(word) > _ENDED_CHARS_MIN and word[-1] == word[-2] else word


_OPENING = re.compile(
    r"[^a-z0-9]{0,8}(?:(?:well|oh|actually|so|answer|the answer is|in short|short answer)[,:]? )?"
    rf"([a-z]+)(?![a-z0-9'{OTHER}])([^a-z0-9]{{0,8}})([a-z]*)"
)
_WORD = re.compile(rf"[a-z0-9{OTHER}]+(?:'[a-z]+)?")
