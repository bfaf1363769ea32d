"""Support and spread over blocks of pairs, compared with loops over single pairs."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicast.consensus import gates
from dicast.consensus.bits import COLUMNS, ROWS, packed_words
from dicast.consensus.gate_polarity import Polarity
from dicast.consensus.objections import ContainmentObjection, UnequalObjection, objections_of
from dicast.consensus.support import Crowd, Layer, compare, tally

SETS = ["", "a", "b", "ab", "abc", "bcd", "xyz"]


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
            ContainmentObjection([frozenset(SETS[kind % len(SETS)]) for kind in kinds]),
            UnequalObjection(generator.integers(0, 2, count).tolist()),
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


ELEMENTS = st.frozensets(st.sampled_from([f"e{index}" for index in range(70)]), max_size=3)
POLARITIES = st.builds(
    Polarity, st.integers(-1, 1), st.sampled_from([(), (1,), (0, 2)]), st.sampled_from(["a", "b"])
)


@pytest.mark.parametrize("name", [name for name in gates.GATES if name != "json"])
def test_gates_over_blocks_are_the_gates_over_pairs(name: str) -> None:
    @given(st.lists(POLARITIES if name.startswith("polarity") else ELEMENTS, min_size=1, max_size=12))
    def check(features: list[Hashable]) -> None:
        every = slice(0, len(features))
        wanted = np.ones((len(features), len(features)), np.bool_)
        found = np.zeros_like(wanted)
        for objection in objections_of(name, features):
            found |= objection.between(every, every, wanted)
            assert not objection.between(every, every, ~wanted).any()
        assert found.tolist() == [[gates.conflict(name, a, b) for b in features] for a in features]

    check()


def test_nobody_is_no_error() -> None:
    nothing = np.zeros(0, np.int64)
    found = tally(Crowd(nothing, nothing, nothing.astype(np.bool_), (), ()))
    assert (found.support.tolist(), found.spread.tolist()) == ([], [])
