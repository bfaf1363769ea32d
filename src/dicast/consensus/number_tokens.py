"""Tokens of the numbers gate: numbers in digits, words, single marks; every character is read once."""

from __future__ import annotations

import re

from dicast.consensus.decimals import POSITIONAL_MAX, decimal_text, read_decimal

CURRENCIES = {"$": "dollar", "€": "euro", "£": "pound", "¥": "yen"}
"""Signs of money and the units they stand for."""
DAY_HALVES = {"am": 0, "pm": 12}
"""Hours to add to a time of a twelve-hour clock."""
_ROMAN_UNITS = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")
ROMAN = {
    "X" * tens + _ROMAN_UNITS[units]: 10 * tens + units
    for tens in range(4)
    for units in range(10)
    if len("X" * tens + _ROMAN_UNITS[units]) > 1
}
"""Roman numerals after a name, as in `Henry VIII`; a single letter may be a name of its own."""


def tokens_of(text: str) -> list[str]:
    """The tokens of `text`: dates, times and numbers whole, words, and every other mark for itself."""
    return _TOKEN.findall(plain_text(text))


def plain_text(text: str) -> str:
    """`text` with the signs of numbers in ASCII: minus, dashes, times, superscripts, narrow spaces."""
    if text.isascii():
        return text
    return _SUPERSCRIPT.sub(_power, _NARROW_GROUP.sub(",", text)).translate(_PLAIN)


def is_number(token: str) -> bool:
    """Whether a token is a number in digits."""
    return token[:1] in _DIGITS or (token[:1] in _BEFORE_DIGITS and len(token) > 1)


def date_parts(token: str) -> tuple[int, int, str] | None:
    """Day, month and year of `1969-07-20` or of `20/7/1969` where only one reading is possible."""
    if "-" not in token and "/" not in token:
        return None
    match = _ISO.fullmatch(token)
    if match:
        year, month, day = match.groups()
        return _date(int(day), int(month), year)
    match = _SLASHED.fullmatch(token)
    if match is None:
        return None
    first, second, year = int(match[1]), int(match[2]), match[3]
    if first > 12 or first == second:
        return _date(first, second, year)
    return _date(second, first, year) if second > 12 else None


def written_value(token: str) -> tuple[str, bool]:
    """The value of a number in digits as the gate writes it, and whether that is a plain decimal."""
    if _INTEGER.fullmatch(token):
        return token.lstrip("0") or "0", True
    decade = _DECADE.fullmatch(token)
    if decade:
        return decade[0], False
    bare = _ORDINAL_END.sub("", token)
    number = read_decimal(bare)
    if number is not None:
        return decimal_text(number), True
    return _LEADING_ZERO.sub("", bare), False


def hour_of(value: str, half: str) -> str | None:
    """A time of the twelve-hour clock as `17:30`, or None where it is none."""
    match = _HOUR.fullmatch(value)
    if match is None or not 1 <= int(match[1]) <= 12:
        return None
    return f"{int(match[1]) % 12 + DAY_HALVES[half]}:{match[2] or '00'}"


def _date(day: int, month: int, year: str) -> tuple[int, int, str] | None:
    return (day, month, year.lstrip("0")) if 1 <= day <= 31 and 1 <= month <= 12 else None


def _power(match: re.Match[str]) -> str:
    return "^" + match[0].translate(_LOW)


_LOW = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_NARROW_GROUP = re.compile("(?<=[0-9])[\u00a0\u2009\u202f](?=[0-9]{3})")
_PLAIN = str.maketrans("−–—·\u2010\u2011\u00a0\u2009\u202f", "---*--   ") | {ord("×"): " x "}
_TOKEN = re.compile(
    r"[A-Za-z][A-Za-z0-9]*"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?![0-9-])"
    r"|[0-9]{1,4}/[0-9]{1,4}(?:/[0-9]{1,4})?(?![0-9/])"
    r"|[0-9]{1,4}(?::[0-9]{1,4}){1,2}"
    r"|[0-9]+(?:\.[0-9]+){2,}"
    r"|(?:(?<![^ \t\n(\[=<>:,;\"'])-)?"
    r"(?:(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)"
    r"(?:[eE][+-]?[0-9]+(?![A-Za-z0-9])|(?:st|nd|rd|th|s)(?![A-Za-z0-9]))?"
    r"|[^ \t\n]"
)
_DIGITS = frozenset("0123456789")
_BEFORE_DIGITS = frozenset("-.")
_ISO = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})")
_SLASHED = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})")
_INTEGER = re.compile(f"[0-9]{{1,{POSITIONAL_MAX}}}")
_DECADE = re.compile(r"[0-9]+0s")
_ORDINAL_END = re.compile(r"(?:st|nd|rd|th|s)$")
_LEADING_ZERO = re.compile(r"(?:^|(?<=/))0+(?=[0-9])")
_HOUR = re.compile(r"([0-9]{1,2})(?::([0-9]{2}))?")
