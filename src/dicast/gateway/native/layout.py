"""Where answers lie on a plane, from how far apart they are; floats for display only."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Plane: TypeAlias = NDArray[np.float64]
DIGITS = 3
"""A thousandth of a bit is nothing to see."""


class Layout(NamedTuple):
    """Points, shape (answers, 2), in the unit of the distances; and what share of the spread they show."""

    points: Plane
    shown: float


def lay_out(apart: NDArray[np.integer], center: int) -> Layout:
    """Classical multidimensional scaling (Torgerson 1952) of a square distance matrix, `center` at 0, 0."""
    count = len(apart)
    squares = apart.astype(np.float64) ** 2
    mean = squares.mean(axis=0)
    inner = -0.5 * (squares - mean[:, None] - mean[None, :] + mean.mean())
    values, vectors = np.linalg.eigh(inner)
    values = np.maximum(values, 0.0)
    order = np.argsort(-values, kind="stable")[:2]
    points = np.zeros((count, 2))
    axes = vectors[:, order] * np.sqrt(values[order])
    points[:, : axes.shape[1]] = axes * _signs(axes)
    points -= points[center]
    total = float(values.sum())
    shown = float(values[order].sum()) / total if total > 0 else 1.0
    return Layout(np.round(points, DIGITS) + 0.0, round(shown, DIGITS))


def _signs(axes: Plane) -> Plane:
    """An eigenvector may as well point the other way: its largest entry is made positive."""
    largest = np.abs(axes).argmax(axis=0)
    return np.where(axes[largest, np.arange(axes.shape[1])] < 0, -1.0, 1.0)
