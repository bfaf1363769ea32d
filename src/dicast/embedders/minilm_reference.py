"""The definition of the voting embedder: MiniLM in float64, every operation in the order spec/08 gives.

`mean_vector(windows, ORDERED)` is that definition, to the last bit, on any IEEE 754 machine.
With `QUICK`, sums run in whatever order numpy likes: the same numbers within 1e-14, twenty times faster.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from dicast.base.errors import AdapterError

Matrix = npt.NDArray[np.float64]
Function = Callable[[Matrix], Matrix]
Multiply = Callable[[Matrix, Matrix], Matrix]
Weight = npt.NDArray[np.float32]

HIDDEN: Final = 384
HEADS: Final = 12
LAYERS: Final = 6
NORM_EPSILON: Final = 1e-12
HEADER_BYTES_MAX: Final = 1 << 20  # the real header is 11 kB; a wrong file must not make us read gigabytes

_HEAD = HIDDEN // HEADS
_ROOT_2 = 1.4142135623730951
_TWO_OVER_ROOT_PI = 1.1283791670955126
_LOG2_E = 1.4426950408889634
_LN2_HIGH = 0.6931471803691238  # the leading 33 bits of ln 2, so that k × this is exact
_LN2_LOW = 1.9082149292705877e-10
_EXP_TERMS = 13
_EXP_MIN = -708.0  # below it the result would be subnormal; it counts as 0
_ERF_BANDS = ((0.0, 1.0, 20), (1.0, 2.0, 32), (2.0, 3.0, 48), (3.0, 6.0, 100))  # from 6 on erf rounds to 1
_GELU_ROWS = 16  # rows at a time, so that the many passes over them stay in the processor's cache
_PRODUCT_ROWS = 16
_PRODUCTS_MAX = 1 << 18
"""Of numbers a piece: OpenBLAS gives larger ones to threads, which then spin for longer than they work."""


class Arithmetic(msgspec.Struct, frozen=True):
    """The operations in which machines differ: sums of products (of a weight, too), and e^x for x ≤ 0."""

    multiply: Multiply
    multiply_weight: Callable[[Matrix, Weight], Matrix]
    exponential: Function


class TensorPlace(msgspec.Struct, frozen=True):
    """Where a float32 tensor lies in the weights file: first byte, number of bytes, shape."""

    start: int
    length: int
    shape: tuple[int, ...]


class TensorFile:
    """A safetensors file, mapped: an 8-byte header length, a JSON header, raw little-endian numbers."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        size = int.from_bytes(self._map[:8], "little")
        try:
            header: dict[str, dict[str, Any]] = json.loads(self._map[8 : 8 + min(size, HEADER_BYTES_MAX)])
        except ValueError as error:
            raise AdapterError("weights_wrong", f"{path} is not a safetensors file.") from error
        self.places = {
            name: TensorPlace(8 + size + start, end - start, tuple(entry["shape"]))
            for name, entry in header.items()
            if entry.get("dtype") == "F32"
            for start, end in [entry["data_offsets"]]
        }

    def floats(self, name: str) -> Weight:
        """The tensor as it lies in the file, not copied."""
        place = self.places[name]
        flat = np.frombuffer(self._map, dtype="<f4", count=place.length // 4, offset=place.start)
        return flat.reshape(place.shape)

    def let_go(self) -> None:
        """Give the mapped pages back: they stay in the system's cache, but no longer count as ours."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)


class MiniLmReference:
    """all-MiniLM-L6-v2 in float64; weights are widened as they are used, so little memory is held."""

    def __init__(self, path: Path) -> None:
        self._tensors = TensorFile(path)

    def mean_vector(self, windows: Sequence[Sequence[int]], arithmetic: Arithmetic) -> Matrix:
        """The mean over the token vectors of all windows ([CLS] and [SEP] included), not normalised."""
        total = np.zeros(HIDDEN)
        for window in windows:
            for vector in self._token_vectors(window, arithmetic):
                total = total + vector
        self._tensors.let_go()
        return total / float(sum(len(window) for window in windows))

    def _token_vectors(self, window: Sequence[int], how: Arithmetic) -> Matrix:
        floats = self._tensors.floats
        words = floats("embeddings.word_embeddings.weight")[np.asarray(window, dtype=np.int64)]
        types = floats("embeddings.token_type_embeddings.weight")[0]
        places = floats("embeddings.position_embeddings.weight")[: len(window)]
        rows = (words.astype(np.float64) + types.astype(np.float64)) + places.astype(np.float64)
        rows = self._normalise(rows, "embeddings.LayerNorm", how)
        for index in range(LAYERS):
            rows = self._layer(rows, f"encoder.layer.{index}", how)
        return rows

    def _layer(self, rows: Matrix, name: str, how: Arithmetic) -> Matrix:
        context = self._attention(rows, f"{name}.attention.self", how)
        dense = self._linear(context, f"{name}.attention.output.dense", how)
        rows = self._normalise(dense + rows, f"{name}.attention.output.LayerNorm", how)
        wide = gelu(self._linear(rows, f"{name}.intermediate.dense", how), how.exponential)
        dense = self._linear(wide, f"{name}.output.dense", how)
        return self._normalise(dense + rows, f"{name}.output.LayerNorm", how)

    def _attention(self, rows: Matrix, name: str, how: Arithmetic) -> Matrix:
        query, key, value = (self._linear(rows, f"{name}.{part}", how) for part in ("query", "key", "value"))
        context = np.empty_like(query)
        for head in range(HEADS):
            here = slice(head * _HEAD, (head + 1) * _HEAD)
            scores = how.multiply(query[:, here], key[:, here].T) / np.sqrt(float(_HEAD))
            context[:, here] = how.multiply(_softmax(scores, how), value[:, here])
        return context

    def _linear(self, rows: Matrix, name: str, how: Arithmetic) -> Matrix:
        product = how.multiply_weight(rows, self._tensors.floats(f"{name}.weight"))
        return product + self._tensors.floats(f"{name}.bias").astype(np.float64)

    def _normalise(self, rows: Matrix, name: str, how: Arithmetic) -> Matrix:
        scale = self._tensors.floats(f"{name}.weight").astype(np.float64)
        shift = self._tensors.floats(f"{name}.bias").astype(np.float64)
        apart = rows - _row_sums(rows, how) / float(HIDDEN)
        variance = _row_sums(apart * apart, how) / float(HIDDEN)
        return (apart / np.sqrt(variance + NORM_EPSILON)) * scale + shift


def multiply_in_order(left: Matrix, right: Matrix) -> Matrix:
    """Matrix product whose sums run over ascending inner index, one rounding a product and one a sum."""
    total = np.zeros((left.shape[0], right.shape[1]))
    products = np.empty_like(total)
    rows = np.ascontiguousarray(right)
    for index in range(left.shape[1]):
        np.multiply(left[:, index, None], rows[index], out=products)
        total += products
    return total


def multiply_weight_in_order(rows: Matrix, weight: Weight) -> Matrix:
    """`rows` × `weight` transposed, in the same order."""
    return multiply_in_order(rows, weight.astype(np.float64).T)


def multiply_in_pieces(left: Matrix, right: Matrix) -> Matrix:
    """Matrix product, some rows at a time: on one core."""
    product = np.empty((len(left), right.shape[1]))
    for top in range(0, len(left), _PRODUCT_ROWS):
        here = slice(top, top + _PRODUCT_ROWS)
        np.matmul(left[here], right, out=product[here])
    return product


def multiply_weight_in_pieces(rows: Matrix, weight: Weight) -> Matrix:
    """`rows` × `weight` transposed; the weight is widened and used piece by piece, within a core's cache."""
    outer, inner = weight.shape
    product = np.empty((len(rows), outer))
    width = max(1, _PRODUCTS_MAX // (_PRODUCT_ROWS * inner))
    for left in range(0, outer, width):
        here = slice(left, left + width)
        product[:, here] = multiply_in_pieces(rows, weight[here].astype(np.float64).T)
    return product


def exponential(values: Matrix) -> Matrix:
    """e^x for x ≤ 0 out of additions, products and divisions only, so that every machine agrees."""
    clipped = np.maximum(values, _EXP_MIN)
    steps = np.floor(clipped * _LOG2_E + 0.5)
    rest = (clipped - steps * _LN2_HIGH) - steps * _LN2_LOW
    series = np.ones_like(rest)
    for term in range(_EXP_TERMS, 0, -1):
        series *= rest
        series *= 1.0 / float(term)
        series += 1.0
    return np.where(values < _EXP_MIN, 0.0, np.ldexp(series, steps.astype(np.int32)))


def error_function(values: Matrix, exponential_of: Function) -> Matrix:
    """erf: 2/√π · x · e^(−x²) · (1 + 2x²/3 · (1 + 2x²/5 · …)), whose terms are all positive."""
    size = np.abs(values)
    result = np.ones_like(size)
    for low, high, terms in _ERF_BANDS:
        chosen = (size >= low) & (size < high)
        result[chosen] = _erf_series(size[chosen], terms, exponential_of)
    return np.copysign(result, values)


def gelu(values: Matrix, exponential_of: Function) -> Matrix:
    """The exact GELU, by erf."""
    result = np.empty_like(values)
    for start in range(0, len(values), _GELU_ROWS):
        rows = values[start : start + _GELU_ROWS]
        result[start : start + _GELU_ROWS] = (rows * 0.5) * (
            1.0 + error_function(rows / _ROOT_2, exponential_of)
        )
    return result


def _erf_series(size: Matrix, terms: int, exponential_of: Function) -> Matrix:
    square = size * size
    double = 2.0 * square
    series = np.ones_like(size)
    for term in range(terms, 0, -1):
        series *= double
        series *= 1.0 / float(2 * term + 1)
        series += 1.0
    return ((_TWO_OVER_ROOT_PI * size) * exponential_of(-square)) * series


def _softmax(scores: Matrix, how: Arithmetic) -> Matrix:
    powers = how.exponential(scores - scores.max(axis=1, keepdims=True))
    return powers / _row_sums(powers, how)


def _row_sums(rows: Matrix, how: Arithmetic) -> Matrix:
    """The sum of each row, as a column: a product with ones, so that the order rule is one rule."""
    return how.multiply(rows, np.ones((rows.shape[1], 1)))


ORDERED: Final = Arithmetic(multiply_in_order, multiply_weight_in_order, exponential)
QUICK: Final = Arithmetic(multiply_in_pieces, multiply_weight_in_pieces, np.exp)
