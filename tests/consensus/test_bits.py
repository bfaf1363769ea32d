"""Hamming distances of packed bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.consensus.bits import COLUMNS, ROWS, distances, packed_words


@given(st.integers(1, 40).flatmap(lambda size: st.lists(st.binary(min_size=size, max_size=size), min_size=1)))
def test_distances_are_those_of_a_plain_loop(embeddings: list[bytes]) -> None:
    words = packed_words([embedding.hex() for embedding in embeddings])
    every = slice(0, len(embeddings))
    numbers = [int.from_bytes(embedding, "big") for embedding in embeddings]
    plain = [[(one ^ other).bit_count() for other in numbers] for one in numbers]
    assert distances(words, every, every).tolist() == plain


@given(st.integers(0, 2**32 - 1))
def test_a_block_is_a_part_of_the_whole(seed: int) -> None:
    generator = np.random.default_rng(seed)
    words = packed_words([generator.bytes(12).hex() for _ in range(20)])
    whole = distances(words, slice(0, 20), slice(0, 20))
    rows, columns = slice(3, 9), slice(5, 20)
    assert distances(words, rows, columns).tolist() == whole[rows, columns].tolist()
    assert whole.tolist() == whole.T.tolist()
    assert not whole.diagonal().any()


def test_shapes_of_nothing_and_of_odd_lengths() -> None:
    assert packed_words([]).shape == (0, 0)
    assert packed_words(["ff"] * 3).shape == (1, 3)
    assert packed_words(["ff" * 48]).shape == (6, 1)
    assert packed_words(["ff" * 49]).shape == (7, 1)


@pytest.mark.parametrize("size", [1, 4_096])
def test_the_largest_distance_fits(size: int) -> None:
    words = packed_words(["00" * size, "ff" * size])
    assert distances(words, slice(0, 1), slice(0, 2)).tolist() == [[0, 8 * size]]


def test_a_block_fits_the_cache() -> None:
    assert ROWS * COLUMNS * 8 <= 512 * 1024
