"""What the numbers gate sees in a text: normalised numbers, the units after them, dates and times."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from dicast.consensus import number_tokens, spelled_numbers
from dicast.consensus.decimals import decimal_text, read_decimal, shifted
from dicast.consensus.gate_text import ascii_lower
from dicast.consensus.gate_words import number_words

_LOOK_AHEAD = ["", "", ""]
_MONEY_SCALES = {"k": 3, "m": 6, "mn": 6, "b": 9, "bn": 9, "t": 12, "tn": 12}
"""What letters right after an amount of money stand for."""
_SCALE_LETTERS = {"C": "celsius", "F": "fahrenheit", "K": "kelvin"}
_SKIPPED_BEFORE_UNIT = frozenset(["-", "square", "cubic", "sq"])
_DEGREES = frozenset(["°", "degree", "degrees", "deg"])
_CAPITALS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_NUMBER_STARTS = frozenset("0123456789-.")
_DIGIT = re.compile("[0-9⁰¹²³⁴⁵⁶⁷⁸⁹]|[IVX][IVX]")
_EXPONENT = re.compile("-?[0-9]{1,3}")
_LETTERS = re.compile("[a-z]+")


def number_elements(text: str) -> frozenset[str]:
    """The numbers, units (`u:km`), months (`m:7`), weekdays (`d:monday`) and times (`17:30`) of `text`.

    A unit is an element of its own, so that "3 km" contains "3"; it counts only right after a number.
    """
    if not _DIGIT.search(text) and _triggers().isdisjoint(_LETTERS.findall(text.lower())):
        return frozenset()
    return frozenset(_Reader(number_tokens.tokens_of(text)).elements())


class _Reader:
    """Reads tokens from left to right: each method takes what it knows at `at` and moves on."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens + _LOOK_AHEAD
        self._lower = ascii_lower("\n".join(self._tokens)).split("\n")
        self._words = number_words()
        self._at = 0
        self._number_end = -1

    def elements(self) -> Iterable[str]:
        triggers = _triggers()
        lower = self._lower
        for at in [at for at, word in enumerate(lower) if word in triggers or word[:1] in _NUMBER_STARTS]:
            if at < self._at:
                continue
            word, self._at = lower[at], at
            if number_tokens.is_number(word):
                yield from self._written()
            elif spelled_numbers.starts_number(self._lower, at):
                yield from self._spelled()
            else:
                yield from self._calendar()

    def _written(self) -> Iterable[str]:
        """A number in digits, or a date."""
        token = self._tokens[self._at]
        sign, money = self._sign(), self._money()
        self._at += 1
        date = number_tokens.date_parts(token)
        if date:
            yield from (str(date[0]), f"m:{date[1]}", date[2])
            return
        value, is_decimal = number_tokens.written_value(token)
        time = self._time(value)
        if time:
            yield time
            return
        yield sign + (self._multiplied(value, bool(money)) if is_decimal else value)
        yield from (f"u:{unit}" for unit in money)
        yield from self._units()
        self._number_end = self._at

    def _spelled(self) -> Iterable[str]:
        sign = self._sign()
        value, self._at = spelled_numbers.read_spelled(self._lower, self._at)
        yield sign + str(value)
        yield from self._units()
        self._number_end = self._at

    def _sign(self) -> str:
        """`-` after "minus" or "negative", unless that stands between two numbers."""
        is_minus = self._at > 0 and self._lower[self._at - 1] in {"minus", "negative"}
        return "-" if is_minus and self._at - 1 != self._number_end else ""

    def _money(self) -> tuple[str, ...]:
        sign = self._tokens[self._at - 1] if self._at else ""
        return (number_tokens.CURRENCIES[sign],) if sign in number_tokens.CURRENCIES else ()

    def _time(self, value: str) -> str | None:
        half, taken = self._lower[self._at], 1
        if self._lower[self._at + 1 : self._at + 3] == [".", "m"]:
            half, taken = half + "m", 3
        time = number_tokens.hour_of(value, half) if half in number_tokens.DAY_HALVES else None
        self._at += taken if time else 0
        return time

    def _multiplied(self, value: str, is_money: bool) -> str:
        """The value times the scale words after it: `5 million`, `$3bn`, `10k`, `6 x 10^23`."""
        power = 0
        while True:
            at = self._at + (self._lower[self._at] == "-")
            word = self._lower[at]
            if word in self._words.scales:
                power += self._words.scales[word]
            elif is_money and word in _MONEY_SCALES:
                power += _MONEY_SCALES[word]
            elif self._tokens[at] == "k":
                power += 3
            else:
                break
            self._at = at + 1
        power += self._power_of_ten()
        number = read_decimal(value) if power else None
        return decimal_text(shifted(number, power)) if number else value

    def _power_of_ten(self) -> int:
        """The exponent of ` x 10^n` here, or 0."""
        if self._lower[self._at] not in {"x", "*"} or self._lower[self._at + 1] != "10":
            return 0
        at = self._at + 2 + (self._lower[self._at + 2] == "^")
        exponent = self._lower[at] if self._lower[self._at + 2] == "^" else ""
        sign = ""
        if exponent == "-":
            sign, exponent = "-", self._lower[at + 1]
            at += 1
        if not _EXPONENT.fullmatch(sign + exponent):
            return 0
        self._at = at + 1
        return int(sign + exponent)

    def _units(self) -> Iterable[str]:
        """The units right after a number: `km`, `km / h`, `°C`, `%`, `per cent`."""
        at = self._at
        while self._lower[at] in _SKIPPED_BEFORE_UNIT:
            at += 1
        found = self._unit(at)
        while found:
            yield from (f"u:{unit}" for unit in found)
            at = self._at
            at += 2 if self._lower[at] == "^" and self._lower[at + 1] in {"2", "3"} else 0
            self._at = at
            if self._lower[at] not in {"/", "per"}:
                return
            found = self._unit(at + 1)

    def _unit(self, at: int) -> tuple[str, ...]:
        """The unit at token `at`, which is then taken; empty where there is none."""
        token, word = self._tokens[at], self._lower[at]
        taken = 1
        found: tuple[str, ...] = ()
        if word in self._words.units:
            found = (self._words.units[word],)
        elif word in self._words.rates:
            found = self._words.rates[word]
        elif token in number_tokens.CURRENCIES:
            found = (number_tokens.CURRENCIES[token],)
        elif token in _SCALE_LETTERS:
            found = (_SCALE_LETTERS[token],)
        elif word == "per" and self._lower[at + 1] == "cent":
            taken, found = 2, ("percent",)
        elif word in _DEGREES:
            taken = 2
            scale = _SCALE_LETTERS.get(self._tokens[at + 1], self._lower[at + 1])
            unit = self._words.units.get(scale, "")
            found = (unit,) if unit in _SCALE_LETTERS.values() else ()
        if found:
            self._at = at + taken
        return found

    def _calendar(self) -> Iterable[str]:
        """A month, a weekday or `VIII` after a name; `May` only beside a number or `in`."""
        token, word = self._tokens[self._at], self._lower[self._at]
        if token[0] not in _CAPITALS:
            return
        if token in number_tokens.ROMAN and self._at and self._tokens[self._at - 1][0] in _CAPITALS:
            yield str(number_tokens.ROMAN[token])
        if word in self._words.weekdays:
            yield f"d:{word}"
        if word in self._words.months and (word not in self._words.word_and_month or self._is_in_date()):
            yield f"m:{self._words.months[word]}"

    def _is_in_date(self) -> bool:
        before = self._lower[self._at - 1] if self._at else ""
        following = self._lower[self._at + 1]
        after = self._lower[self._at + 2] if following in {".", ","} else following
        return before in self._words.before_month or any(
            number_tokens.is_number(word) or word in self._words.ordinals for word in (before, after)
        )


@functools.cache
def _triggers() -> frozenset[str]:
    """Words without which a text without digits has no elements."""
    words = number_words()
    roman = (numeral.lower() for numeral in number_tokens.ROMAN)
    return frozenset(
        [*words.cardinals, *words.ordinals, *words.scales, *words.months, *words.weekdays, *roman]
    )
