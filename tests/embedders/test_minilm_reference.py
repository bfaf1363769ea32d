from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.base.errors import AdapterError
from dicast.embedders.minilm_reference import (
    ORDERED,
    QUICK,
    MiniLmReference,
    TensorFile,
    error_function,
    exponential,
    gelu,
    multiply_in_order,
    multiply_weight_in_order,
    multiply_weight_in_pieces,
)


@given(st.floats(-700, 0))
def test_the_exponential_is_exact_to_two_places_of_the_last_bit(value: float) -> None:
    (got,) = exponential(np.array([value]))
    assert abs(got - math.exp(value)) <= 2 * math.ulp(math.exp(value))


def test_the_exponential_of_far_numbers_is_zero() -> None:
    assert exponential(np.array([-709.0, -1e300, -math.inf])).tolist() == [0.0, 0.0, 0.0]


@given(st.floats(-50, 50))
def test_the_error_function_is_right(value: float) -> None:
    (got,) = error_function(np.array([value]), exponential)
    assert abs(got - math.erf(value)) <= 4e-15


def test_gelu_in_blocks_is_gelu() -> None:
    values = np.linspace(-8, 8, 40 * 3).reshape(40, 3)
    wanted = [[x * 0.5 * (1 + math.erf(x / math.sqrt(2))) for x in row] for row in values.tolist()]
    assert np.abs(gelu(values, np.exp) - np.array(wanted)).max() < 1e-14


@given(st.integers(1, 5), st.integers(1, 7), st.integers(1, 5), st.integers(0, 99))
def test_the_ordered_product_adds_one_product_after_another(
    rows: int, inner: int, columns: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    left, right = random.normal(size=(rows, inner)), random.normal(size=(inner, columns))
    wanted = np.zeros((rows, columns))
    for row in range(rows):
        for column in range(columns):
            total = 0.0
            for index in range(inner):
                total = total + float(left[row, index]) * float(right[index, column])
            wanted[row, column] = total
    assert np.array_equal(multiply_in_order(left, right), wanted)


@pytest.mark.parametrize("rows", [1, 16, 17, 40])
def test_a_product_in_pieces_is_the_product(rows: int) -> None:
    random = np.random.default_rng(rows)
    left, weight = random.normal(size=(rows, 384)), random.normal(size=(97, 384)).astype(np.float32)
    apart = multiply_weight_in_pieces(left, weight) - multiply_weight_in_order(left, weight)
    assert np.abs(apart).max() < 1e-12


def test_quick_and_ordered_agree_far_below_the_margin(weights_path: Path) -> None:
    reference = MiniLmReference(weights_path)
    windows = [[101, 3000, 2003, 1996, 3007, 102], [101, 5979, 102]]
    quick, ordered = (reference.mean_vector(windows, arithmetic) for arithmetic in (QUICK, ORDERED))
    assert np.abs(quick - ordered).max() / np.linalg.norm(ordered) < 2.0**-46


@pytest.mark.parametrize("content", [b"\xff" * 64, bytes(64), b"\x04" + bytes(7) + b"soup"])
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(AdapterError) as caught:
        TensorFile(path)
    assert caught.value.code == "weights_wrong"
