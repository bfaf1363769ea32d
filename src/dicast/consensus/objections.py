"""The gates of `gates.py` over blocks of answers at once (`spec/06-judge.md`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from dicast.consensus import gates
from dicast.consensus.agreement import Reading
from dicast.consensus.gate_polarity import Polarity
from dicast.consensus.support import Counts, Mask, Objection

WORD_BITS = 64
_NO_ELEMENTS: frozenset[str] = frozenset()
_NO_POLARITY = Polarity(0, (), "")


class UnequalObjection:
    """Objects to every pair whose features differ: strict sets, and the values at `exact` pointers."""

    def __init__(self, features: Sequence[Hashable]) -> None:
        self._numbers = numbered(features)

    def between(self, rows: slice, columns: slice, wanted: Mask) -> Mask:
        """Which pairs of `wanted` are in conflict."""
        return wanted & (self._numbers[rows, None] != self._numbers[None, columns])


class ContainmentObjection:
    """Objects where two sets are not empty and neither contains the other.

    Elements of two sets or more are bits; a set with an element of its own is contained in no other.
    """

    def __init__(self, features: Sequence[frozenset[str]]) -> None:
        self._numbers = numbered(features)
        met = Counter(element for feature in set(features) for element in feature)
        shared = sorted(element for element, times in met.items() if times > 1)
        self._has_own = np.array([any(met[e] == 1 for e in feature) for feature in features], np.bool_)
        self._is_filled = np.array([bool(feature) for feature in features], np.bool_)
        self._words = _bit_words(features, {element: place for place, element in enumerate(shared)})

    def between(self, rows: slice, columns: slice, wanted: Mask) -> Mask:
        """Which pairs of `wanted` are in conflict."""
        found = wanted & (self._numbers[rows, None] != self._numbers[None, columns])
        found &= self._is_filled[rows, None] & self._is_filled[None, columns]
        if not found.any():
            return found
        beyond = np.repeat(self._has_own[rows, None], found.shape[1], axis=1)
        behind = np.repeat(self._has_own[None, columns], found.shape[0], axis=0)
        for words in self._words:
            left, right = words[rows, None], words[None, columns]
            beyond |= (left & ~right) != 0
            behind |= (right & ~left) != 0
        return found & beyond & behind


class PolarityObjection:
    """Objects where one opens with yes and one with no, or where they differ in what they deny alone."""

    def __init__(self, features: Sequence[Polarity]) -> None:
        self._openings = np.array([feature.opening for feature in features], np.int8)
        self._words = numbered([feature.words for feature in features])
        self._denied = numbered([feature.denied for feature in features])

    def between(self, rows: slice, columns: slice, wanted: Mask) -> Mask:
        """Which pairs of `wanted` are in conflict."""
        found = self._openings[rows, None] * self._openings[None, columns] < 0
        found |= (self._words[rows, None] == self._words[None, columns]) & (
            self._denied[rows, None] != self._denied[None, columns]
        )
        return wanted & found


def numbered(values: Sequence[Hashable]) -> Counts:
    """Equal values get equal numbers, in the order of their first appearance."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in values], np.int64)


def objections(names: Sequence[str], readings: Sequence[Reading], prompt: str) -> tuple[Objection, ...]:
    """The gates of a frame over the readings of a round; readings that are not compared are not read."""
    if not any(reading.compared for reading in readings):
        return ()
    exact = [reading.exact for reading in readings]
    found: list[Objection] = [UnequalObjection(exact)] if len(set(exact)) > 1 else []
    features: dict[str, list[Hashable]] = {}
    for name in names:
        kind = name.removesuffix("_strict")
        if kind not in features and name != "json":
            features[kind] = [_feature(kind, reading, prompt) for reading in readings]
        found += objections_of(name, features.get(kind, []))
    return tuple(found)


def objections_of(name: str, features: Sequence[Hashable]) -> list[Objection]:
    """`gates.conflict` of one gate, over these features; none for `json`, the equality of `exact` values."""
    match name:
        case "json":
            return []
        case "polarity" | "polarity_strict":
            polarities = cast("Sequence[Polarity]", features)
            loose = PolarityObjection(polarities)
            return [
                loose,
                *([UnequalObjection([one.signs for one in polarities])] if name != "polarity" else []),
            ]
        case "numbers" | "entities":
            return [ContainmentObjection(cast("Sequence[frozenset[str]]", features))]
        case _:
            return [UnequalObjection(features)]


def _feature(name: str, reading: Reading, prompt: str) -> Hashable:
    if reading.compared:
        return gates.features(name, reading.prose, prompt)
    return _NO_POLARITY if name.startswith("polarity") else _NO_ELEMENTS


def _bit_words(features: Sequence[frozenset[str]], places: dict[str, int]) -> NDArray[np.uint64]:
    """One bit for each element that has a place, shape (words, features)."""
    words = np.zeros((-(-len(places) // WORD_BITS), len(features)), np.uint64)
    for column, feature in enumerate(features):
        for element in feature:
            if element in places:
                word, bit = divmod(places[element], WORD_BITS)
                words[word, column] |= np.uint64(1 << bit)
    return words
