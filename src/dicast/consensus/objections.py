"""Gates over all answers of a round: each pair of distinct features is compared once (`spec/06-judge.md`)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np

from dicast.consensus.agreement import Reading
from dicast.consensus.support import Counts, Mask, Objection

_UNKNOWN = 2


class UnequalObjection:
    """Objects to every pair whose numbers differ: the values at the `exact` pointers."""

    def __init__(self, numbers: Counts) -> None:
        self._numbers = numbers

    def between(self, rows: slice, columns: slice, wanted: Mask) -> Mask:
        """Which pairs of `wanted` are in conflict."""
        return wanted & (self._numbers[rows, None] != self._numbers[None, columns])


class FeatureObjection:
    """Objects where a gate sees a conflict; asks it once for each pair of distinct features that meets."""

    def __init__(self, features: Sequence[Hashable], conflict: Callable[[int, int], bool]) -> None:
        self._numbers = numbered(features)
        self._conflict = conflict
        kinds = int(self._numbers.max(initial=-1)) + 1
        self._known = np.full((kinds, kinds), _UNKNOWN, np.uint8)
        np.fill_diagonal(self._known, 0)

    def between(self, rows: slice, columns: slice, wanted: Mask) -> Mask:
        """Which pairs of `wanted` are in conflict."""
        left, right = self._numbers[rows], self._numbers[columns]
        found = self._known[left][:, right]
        open_pairs = wanted & (found == _UNKNOWN)
        if open_pairs.any():
            self._learn(left, right, open_pairs)
            found = self._known[left][:, right]
        return wanted & (found == 1)

    def _learn(self, left: Counts, right: Counts, open_pairs: Mask) -> None:
        at, to = np.nonzero(open_pairs)
        low, high = np.minimum(left[at], right[to]), np.maximum(left[at], right[to])
        kinds = len(self._known)
        for code in np.unique(low * kinds + high).tolist():
            one, other = divmod(code, kinds)
            self._known[one, other] = self._known[other, one] = self._conflict(one, other)


def numbered(values: Sequence[Hashable]) -> Counts:
    """Equal values get equal numbers, in the order of their first appearance."""
    numbers: dict[Hashable, int] = {}
    found = [numbers.setdefault(value, len(numbers)) for value in values]
    return np.array(found, np.int64)


def objections(names: Sequence[str], readings: Sequence[Reading], prompt: str) -> tuple[Objection, ...]:
    """The gates of a frame over the readings of a round; `json` is the equality of the `exact` values."""
    exact = numbered([reading.exact for reading in readings])
    found: list[Objection] = [UnequalObjection(exact)] if exact.any() else []
    for name in names:
        if name != "json":
            found.append(_word_gate(name, readings, prompt))
    return tuple(found)


def _word_gate(name: str, readings: Sequence[Reading], prompt: str) -> Objection:
    from dicast.consensus import gates

    features = [gates.features(name, reading.prose, prompt) for reading in readings]
    distinct = list(dict.fromkeys(features))
    return FeatureObjection(features, lambda one, other: gates.conflict(name, distinct[one], distinct[other]))
