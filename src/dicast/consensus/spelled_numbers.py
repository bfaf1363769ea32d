"""Numbers in words: `twenty-one`, `two hundred and five`, `nineteen eighty-four`, `fourth`."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from dicast.consensus.gate_words import number_words

VALUE_MAX = 10**18
"""Put together up to here: what people spell out stays far below, and a chain of millions stays cheap."""


def starts_number(lower: Sequence[str], at: int) -> bool:
    """Whether a number in words starts at token `at` of `lower`, which must go on for two tokens after it.

    `one` is left out where it is a pronoun, `second` where it is a time, `first` everywhere but in dates.
    """
    word = lower[at]
    if word not in _starters():
        return False
    words = number_words()
    before = lower[at - 1] if at else ""
    if word == "one":
        return before not in words.before_pronoun and lower[at + 1] not in words.after_pronoun
    if word == "second":
        return before not in words.before_time
    if word == "first":
        return before in words.months or (lower[at + 1] == "of" and lower[at + 2] in words.months)
    return True


def read_spelled(lower: Sequence[str], at: int) -> tuple[int, int]:
    """The value of the number that starts at token `at`, and the token after it."""
    words = number_words()
    total, current, start = 0, 0, at
    while total < VALUE_MAX and current < VALUE_MAX:
        word = lower[at]
        if word in words.ordinals and (at == start or _joins(current, words.ordinals[word])):
            return total + current + words.ordinals[word], at + 1
        if word in words.cardinals and (at == start or _joins(current, words.cardinals[word])):
            current += words.cardinals[word]
        elif word in words.cardinals and not total and _is_year(current, words.cardinals[word]):
            current = current * 100 + words.cardinals[word]
        elif word in words.scales and (current or at == start):
            total, current = _scaled(total, current or 1, words.scales[word])
        elif not _links(lower, at, start, current):
            break
        at += 1
    return total + current, at


def _joins(current: int, value: int) -> bool:
    """Whether `value` goes on with `current`: `twenty` + `one`, `two hundred` + `five`, nothing + any."""
    rest = current % 100
    if rest == 0:
        return value > 0
    return rest >= 20 and rest % 10 == 0 and 1 <= value <= 9


def _is_year(current: int, value: int) -> bool:
    return 11 <= current <= 20 and 10 <= value <= 90


def _scaled(total: int, current: int, power: int) -> tuple[int, int]:
    return (total, current * 100) if power == 2 else (total + current * 10**power, 0)


def _links(lower: Sequence[str], at: int, start: int, current: int) -> bool:
    """Whether token `at` is the `-` of `twenty-one` or the `and` of `hundred and one`."""
    words = number_words()
    following = lower[at + 1]
    if at == start or not (following in words.cardinals or following in words.ordinals):
        return False
    if lower[at] == "and":
        return lower[at - 1] in words.scales
    return lower[at] == "-" and (following in words.ordinals or _joins(current, words.cardinals[following]))


@functools.cache
def _starters() -> frozenset[str]:
    words = number_words()
    return frozenset([*words.cardinals, *words.ordinals, *words.scales])
