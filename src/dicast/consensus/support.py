"""How many seats agree with each answer, counted over blocks of pairs (`spec/06-judge.md`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from dicast.consensus.bits import COLUMNS, ROWS, Distances, Words, distances

Counts: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]


class Layer(msgspec.Struct, frozen=True):
    """One embedder's bits of every answer, and the radius within which two of them are near."""

    words: Words
    radius: int


class Objection(Protocol):
    """A gate that has read every answer."""

    def between(self, rows: slice, columns: slice, wanted: Mask) -> Mask:
        """Which pairs of `wanted`, a block of answers `rows` × `columns`, are in conflict."""
        ...


class Crowd(msgspec.Struct, frozen=True):
    """The distinct valid answers of a round: index i is the same answer in every field.

    `seats`: seats that gave it; `groups`: equal numbers agree; `compared`: it is looked at by distance too;
    `is_uniform`: all are compared and all groups differ, so that distance and gates alone decide.
    """

    seats: Counts
    groups: Counts
    compared: Mask
    layers: tuple[Layer, ...]
    objections: tuple[Objection, ...]
    is_uniform: bool = False


class Pairs(msgspec.Struct, frozen=True):
    """A block of pairs: within every radius; agreeing; and the distances under each embedder."""

    near: Mask
    agree: Mask
    apart: tuple[Distances, ...]


class Tally(msgspec.Struct, frozen=True):
    """Of each answer: seats that agree with it, and their summed distance to it over all embedders."""

    support: Counts
    spread: Counts


def compare(crowd: Crowd, rows: slice, columns: slice) -> Pairs:
    """Compare the answers in `rows` with those in `columns`."""
    apart = tuple(distances(layer.words, rows, columns) for layer in crowd.layers)
    if not apart:
        equal = _equal(crowd, rows, columns)
        return Pairs(np.zeros_like(equal), equal, apart)
    near = apart[0] <= crowd.layers[0].radius
    for layer, distance in zip(crowd.layers[1:], apart[1:], strict=True):
        near &= distance <= layer.radius
    if not crowd.is_uniform:
        near &= crowd.compared[rows, None] & crowd.compared[None, columns]
    agree = near
    for objection in crowd.objections:
        agree = agree & ~objection.between(rows, columns, agree)
    return Pairs(near, agree if crowd.is_uniform else agree | _equal(crowd, rows, columns), apart)


def _equal(crowd: Crowd, rows: slice, columns: slice) -> Mask:
    return crowd.groups[rows, None] == crowd.groups[None, columns]


def tally(crowd: Crowd) -> Tally:
    """Count support and spread of every answer, comparing each pair once."""
    support, spread = np.zeros_like(crowd.seats), np.zeros_like(crowd.seats)
    seats = crowd.seats.astype(np.int32)
    for rows, columns in _blocks(len(crowd.seats)):
        pairs = compare(crowd, rows, columns)
        beyond = slice(max(columns.start, rows.stop), columns.stop)
        offset = beyond.start - columns.start
        support[rows] += _across(pairs.agree, seats[columns])
        support[beyond] += _down(pairs.agree[:, offset:], seats[rows])
        for distance in pairs.apart:
            agreed = distance * pairs.agree
            spread[rows] += _across(agreed, seats[columns])
            spread[beyond] += _down(agreed[:, offset:], seats[rows])
    return Tally(support, spread)


def _blocks(count: int) -> Iterator[tuple[slice, slice]]:
    """Blocks that cover the upper triangle of all pairs, the diagonal included."""
    for top in range(0, count, ROWS):
        for left in range(top, count, COLUMNS):
            yield slice(top, min(count, top + ROWS)), slice(left, min(count, left + COLUMNS))


def _across(block: NDArray[np.bool_ | np.uint16], seats: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.einsum("ij,j->i", block, seats)


def _down(block: NDArray[np.bool_ | np.uint16], seats: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.einsum("ij,i->j", block, seats)
