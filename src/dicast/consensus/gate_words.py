"""The word tables of the gates, read once from `data/` (`spec/05-gates.md`)."""

from __future__ import annotations

import functools

import msgspec

from dicast.base.frozen import table_json, table_text

_PACKAGE = "dicast.consensus"


class Alias(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names that together are one name, unless one of `without` stands among them."""

    words: frozenset[str]
    without: frozenset[str]
    name: str


class EntityWords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the entities gate leaves out or takes as the same name; all lower case.

    `name_starters` are common words that are part of a name when one follows: `north` in `North Korea`.
    """

    function_words: frozenset[str]
    titles: frozenset[str]
    name_starters: frozenset[str]
    demonyms: dict[str, str]
    same_name: dict[str, str]
    aliases: tuple[Alias, ...]


class NumberWords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How numbers, units and dates are spelled; all lower case. `scales` are powers of ten.

    `before_pronoun` and `after_pronoun` stand around a `one` that is no number, `before_time` before a
    `second`, `before_month` before a month that is also a word, as those in `word_and_month` are.
    """

    cardinals: dict[str, int]
    ordinals: dict[str, int]
    scales: dict[str, int]
    units: dict[str, str]
    rates: dict[str, tuple[str, ...]]
    months: dict[str, int]
    weekdays: frozenset[str]
    before_pronoun: frozenset[str]
    after_pronoun: frozenset[str]
    before_time: frozenset[str]
    before_month: frozenset[str]
    word_and_month: frozenset[str]


class PolarityWords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words that affirm or deny; all lower case.

    `negations` and `negatives` give what is left without the denial, `contractions` what stands before `n't`,
    `tails` what stands after an apostrophe, `before_is` the words after which `'s` is `is`, `after_no` what
    follows a `no` that is an answer.
    """

    yes: frozenset[str]
    no: frozenset[str]
    negations: dict[str, str]
    negatives: dict[str, str]
    contractions: dict[str, str]
    tails: dict[str, str]
    before_is: frozenset[str]
    pasts: dict[str, str]
    fillers: frozenset[str]
    after_no: frozenset[str]


class _Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    entities: EntityWords
    numbers: NumberWords
    polarity: PolarityWords


def entity_words() -> EntityWords:
    """The tables of the entities gate."""
    return _words().entities


def number_words() -> NumberWords:
    """The tables of the numbers gate."""
    return _words().numbers


def polarity_words() -> PolarityWords:
    """The tables of the polarity gate."""
    return _words().polarity


@functools.cache
def common_words() -> frozenset[str]:
    """English words that are no names: at the start of a sentence they are no entities."""
    lines = table_text(_PACKAGE, "common_words.txt").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))


@functools.cache
def _words() -> _Words:
    return msgspec.convert(table_json(_PACKAGE, "words.json"), _Words)
