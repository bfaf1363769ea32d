"""Exact decimals, against Python's own."""

from __future__ import annotations

from decimal import Context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.consensus.decimals import decimal_text, is_less, read_decimal, shifted

WRITTEN = st.from_regex(r"-?[0-9]{1,12}(\.[0-9]{0,12})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
EXACT = Context(prec=200)


@given(WRITTEN, WRITTEN)
def test_theorem_4_6_order_and_equality_are_those_of_the_numbers(one: str, other: str):
    left, right = read_decimal(one), read_decimal(other)
    assert left is not None
    assert right is not None
    assert is_less(left, right) is (EXACT.create_decimal(one) < EXACT.create_decimal(other))
    assert (left == right) is (EXACT.create_decimal(one) == EXACT.create_decimal(other))


@given(WRITTEN, st.integers(-30, 30))
def test_text_writes_the_same_number(one: str, power: int):
    number = read_decimal(one)
    assert number is not None
    assert EXACT.create_decimal(decimal_text(number)) == EXACT.create_decimal(one)
    assert EXACT.create_decimal(decimal_text(shifted(number, power))) == EXACT.create_decimal(one).scaleb(
        power, context=Context(prec=200, Emin=-9999, Emax=9999)
    )
    assert read_decimal(decimal_text(number)) == number


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("0", "0"), ("-0", "0"), ("-0.000", "0"), ("007", "7"), ("1,234.50", "1234.5"), (".5", "0.5"),
        ("5.", "5"),
        ("1e3", "1000"), ("12e-3", "0.012"), ("-1.50e1", "-15"), ("1e60", "0.1e61"), ("0e99", "0"),
    ],
)  # fmt: skip
def test_known_texts(written: str, text: str):
    number = read_decimal(written)
    assert number is not None
    assert decimal_text(number) == text


@pytest.mark.parametrize("written", ["", ".", "-", "e5", "1e9999999999", "1x", "1.2.3", "١", "--1"])
def test_no_numbers(written: str):
    assert read_decimal(written) is None
