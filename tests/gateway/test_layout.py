"""Answers on a plane: distances that two axes can show are shown, and nothing depends on chance."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dicast.gateway.native.layout import lay_out


@given(
    st.lists(st.tuples(st.integers(-200, 200), st.integers(-200, 200)), min_size=1, max_size=12), st.data()
)
def test_points_of_a_plane_are_laid_out_as_they_are(
    points: list[tuple[int, int]], data: st.DataObject
) -> None:
    """A plane's own distances come back whole: classical scaling is exact there."""
    given_points = np.array(points, np.float64)
    apart = np.linalg.norm(given_points[:, None] - given_points[None, :], axis=2)
    center = data.draw(st.integers(0, len(points) - 1))
    found = lay_out(apart, center)
    again = np.linalg.norm(found.points[:, None] - found.points[None, :], axis=2)
    assert np.allclose(apart, again, atol=0.01)
    assert found.points[center].tolist() == [0, 0]
    assert found.shown > 0.999


@given(st.lists(st.binary(min_size=4, max_size=4), min_size=1, max_size=20))
def test_bits_are_laid_out_nearer_than_they_are_and_always_the_same(texts: list[bytes]) -> None:
    """Two axes of many never show more than the whole distance."""
    bits = np.unpackbits(np.frombuffer(b"".join(texts), np.uint8).reshape(len(texts), 4), axis=1)
    apart = (bits[:, None] != bits[None, :]).sum(axis=2)
    found = lay_out(np.sqrt(apart.astype(np.float64)), 0)
    shown = np.linalg.norm(found.points[:, None] - found.points[None, :], axis=2)
    assert (shown <= np.sqrt(apart) + 0.01).all()
    assert 0 <= found.shown <= 1
    assert lay_out(np.sqrt(apart.astype(np.float64)), 0).points.tolist() == found.points.tolist()


def test_equal_answers_lie_on_each_other() -> None:
    assert lay_out(np.zeros((3, 3), np.int64), 1).points.tolist() == [[0, 0]] * 3
