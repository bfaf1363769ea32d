"""Exact decimals from the text of numbers: no floats, no big integers, linear in the length."""

from __future__ import annotations

import re

import msgspec

POSITIONAL_MAX = 40
"""Numbers with more places before or after the point are written with an exponent; only physics has them."""
EXPONENT_DIGITS_MAX = 9
"""An exponent of more digits names no quantity."""


class Decimal(msgspec.Struct, frozen=True):
    """± 0.`digits` × 10^`point`; no zero at either end of `digits`; zero has none and is not negative."""

    is_negative: bool
    digits: str
    point: int


def read_decimal(written: str) -> Decimal | None:
    """The number in `1,234.50`, `-.5` or `6e23`; None where it is none or its exponent is absurd."""
    match = _WRITTEN.fullmatch(written)
    if match is None:
        return None
    sign, whole, fraction, exponent = match.groups(default="")
    if len(exponent) > EXPONENT_DIGITS_MAX or not whole + fraction:
        return None
    whole = whole.replace(",", "")
    digits = (whole + fraction).lstrip("0")
    dropped = len(whole) + len(fraction) - len(digits)
    digits = digits.rstrip("0")
    if not digits:
        return Decimal(False, "", 0)
    return Decimal(sign == "-", digits, len(whole) - dropped + int(exponent or "0"))


def shifted(number: Decimal, power: int) -> Decimal:
    """`number` × 10^`power`."""
    return Decimal(number.is_negative, number.digits, number.point + power) if number.digits else number


def decimal_text(number: Decimal) -> str:
    """The one way to write it: `1000`, `-0.5`, `0.6e60`."""
    sign = "-" if number.is_negative else ""
    digits, point = number.digits, number.point
    if not digits:
        return "0"
    if max(abs(point), len(digits) - point) > POSITIONAL_MAX:
        return f"{sign}0.{digits}e{point}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if point >= len(digits):
        return f"{sign}{digits}{'0' * (point - len(digits))}"
    return f"{sign}{digits[:point]}.{digits[point:]}"


def is_less(left: Decimal, right: Decimal) -> bool:
    """Whether `left` < `right`, exactly."""
    if left.is_negative != right.is_negative:
        return left.is_negative
    if left.is_negative:
        left, right = right, left
    return _size(left) < _size(right)


def _size(number: Decimal) -> tuple[bool, int, str]:
    return (bool(number.digits), number.point, number.digits)


_WRITTEN = re.compile(r"([-+]?)([0-9,]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?")
