"""Support and spread over blocks of pairs, compared with loops over single pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicast.consensus.bits import COLUMNS, ROWS, packed_words
from dicast.consensus.objections import FeatureObjection, UnequalObjection
from dicast.consensus.support import Crowd, Layer, compare, tally


def crowd_of(count: int, seed: int, layers: int, features: int) -> Crowd:
    """A crowd with several embedders, equal answers, short ones, and two gates."""
    generator = np.random.default_rng(seed)
    kinds = generator.integers(0, features, count).tolist()
    return Crowd(
        seats=generator.integers(1, 4, count),
        groups=generator.integers(0, max(1, count - 2), count),
        compared=generator.integers(0, 10, count) > 0,
        layers=tuple(
            Layer(packed_words([generator.bytes(3).hex() for _ in range(count)]), 12) for _ in range(layers)
        ),
        objections=(
            FeatureObjection(kinds, lambda one, other: (one + other) % 3 == 0),
            UnequalObjection(generator.integers(0, 2, count)),
        ),
    )


def plain_tally(crowd: Crowd) -> tuple[list[int], list[int]]:
    """One pair after the other."""
    count = len(crowd.seats)
    support, spread = [0] * count, [0] * count
    for one in range(count):
        for other in range(count):
            pair = compare(crowd, slice(one, one + 1), slice(other, other + 1))
            if pair.agree[0, 0]:
                support[one] += int(crowd.seats[other])
                spread[one] += int(crowd.seats[other]) * sum(int(layer[0, 0]) for layer in pair.apart)
    return support, spread


@settings(max_examples=25)
@given(st.integers(1, 80), st.integers(0, 2**32 - 1), st.integers(0, 2), st.integers(1, 30))
def test_blocks_count_what_single_pairs_count(count: int, seed: int, layers: int, features: int) -> None:
    crowd = crowd_of(count, seed, layers, features)
    found = tally(crowd)
    assert (found.support.tolist(), found.spread.tolist()) == plain_tally(crowd)


@pytest.mark.parametrize("count", [ROWS - 1, ROWS, ROWS + 1, COLUMNS, COLUMNS + ROWS + 1])
def test_edges_of_blocks_lose_no_pair(count: int) -> None:
    crowd = crowd_of(count, count, 1, 5)
    rows = compare(crowd, slice(0, count), slice(0, count))
    weighed = rows.agree @ crowd.seats
    spread = (rows.agree * rows.apart[0].astype(np.int64)) @ crowd.seats
    found = tally(crowd)
    assert (found.support.tolist(), found.spread.tolist()) == (weighed.tolist(), spread.tolist())


def test_a_gate_is_asked_once_for_each_pair_of_features() -> None:
    asked: list[tuple[int, int]] = []

    def conflict(one: int, other: int) -> bool:
        asked.append((min(one, other), max(one, other)))
        return True

    count = 100
    crowd = Crowd(
        seats=np.ones(count, np.int64),
        groups=np.arange(count),
        compared=np.ones(count, np.bool_),
        layers=(Layer(packed_words(["00"] * count), 0),),
        objections=(FeatureObjection([index % 3 for index in range(count)], conflict),),
    )
    assert tally(crowd).support.tolist() == [34] + [33, 33, 34] * 33
    assert sorted(asked) == [(0, 1), (0, 2), (1, 2)]


def test_nobody_is_no_error() -> None:
    nothing = np.zeros(0, np.int64)
    found = tally(Crowd(nothing, nothing, nothing.astype(np.bool_), (), ()))
    assert (found.support.tolist(), found.spread.tolist()) == ([], [])
