"""What the entities gate sees in a text: its names, as far as capital letters show them."""

from __future__ import annotations

import re

import msgspec

from dicast.base import unicode_table
from dicast.consensus.gate_text import OTHER as _OTHER
from dicast.consensus.gate_text import plain_text
from dicast.consensus.gate_words import common_words, entity_words, number_words
from dicast.consensus.number_tokens import ROMAN

_CONTRACTED = frozenset(["d", "ll", "m", "re", "t", "ve"])
"""What follows the apostrophe of a contraction; anything else is part of a name (`O'Brien`)."""
_SHOUTED_WORDS_MIN = 2
"""A text of this many words, all in capitals, shows no names by them."""
_LOOK_BACK = 12
"""A sentence starts no further back than a few quotes, marks and a list number."""
_COMMON_ENDINGS = ("tion", "tions", "ology", "osis", "esis", "ysis")
"""Endings of common nouns that no name has."""


class Names(msgspec.Struct, frozen=True):
    """The names of a text; `weak` ones, nationalities and dates, count only where no other is left."""

    strong: frozenset[str]
    weak: frozenset[str]

    def beyond(self, prompt: frozenset[str]) -> frozenset[str]:
        """The strong names that are not in the prompt, else the weak ones, else the same of all names."""
        return (self.strong - prompt) or (self.weak - prompt) or self.strong or self.weak


def names_in(text: str) -> Names:
    """Capitalised words, lower case and without accents, that are neither function words nor openers.

    `French` is a weak `france`, `United States` is `usa`, `O'Brien's` is `obrien`; initials are left out.
    """
    plain = plain_text(text)
    matches = list(_NAME.finditer(plain))
    is_shouted = len(matches) >= _SHOUTED_WORDS_MIN and not _LOWER.search(plain)
    strong: set[str] = set()
    weak: set[str] = set()
    for match in matches:
        word = _base(match[0])
        if _is_name(plain, match, word, is_shouted):
            name, is_weak = _known(word, match[0])
            (weak if is_weak else strong).add(name)
    strong = _joined(strong) - entity_words().titles
    return Names(frozenset(strong), frozenset(weak - strong))


def prompt_words(text: str) -> frozenset[str]:
    """Every word of a prompt, in the forms in which `names_in` gives names."""
    words = entity_words()
    plain = plain_text(text)
    found = {unicode_table.lower(word) for word in _WORD.findall(plain)}
    found |= {_base(word[0]) for word in _NAME.finditer(plain)}
    found |= {words.demonyms.get(word) or words.same_name.get(word, word) for word in found}
    return frozenset(found | _joined(found))


def _is_name(text: str, match: re.Match[str], word: str, is_shouted: bool) -> bool:
    """Whether a capitalised word is one because it names something."""
    written = match[0]
    words = entity_words()
    if written.isupper() and word in words.same_name:
        return True
    if word in words.function_words:
        return word == "a" and not (is_shouted or _opens_sentence(text, match.start()))
    if not written.isascii() and not unicode_table.is_upper(written[0]):
        return False
    if _is_common(word) and (is_shouted or _is_opener(text, match)):
        return False
    return not (_is_initial(text, word, match) or _is_measure(text, word, match))


def _known(word: str, written: str) -> tuple[str, bool]:
    """The name that stands for a word, and whether it is weak."""
    words = entity_words()
    if word in words.same_name:
        return words.same_name[word], False
    if word in words.demonyms:
        return words.demonyms[word], True
    numbers = number_words()
    return word, word in numbers.months or word in numbers.weekdays or written in ROMAN


def _base(written: str) -> str:
    """A word in lower case, without a possessive ending, without apostrophes and dots."""
    word = unicode_table.lower(written)
    if "'" in word:
        first, *rest = word.split("'")
        if rest[-1] in _CONTRACTED:
            return first
        word = "".join((first, *(rest[:-1] if rest[-1] == "s" else rest)))
    return word.replace(".", "")


def _is_common(word: str) -> bool:
    return word in common_words() or word.endswith(_COMMON_ENDINGS)


def _is_opener(text: str, match: re.Match[str]) -> bool:
    """Whether the start of a sentence gives a common word its capital: `North`, not in `North Korea`."""
    if not _opens_sentence(text, match.start()):
        return False
    return _base(match[0]) not in entity_words().name_starters or not _NAME_AFTER.match(text, match.end())


def _opens_sentence(text: str, start: int) -> bool:
    before = text[max(0, start - _LOOK_BACK) : start].rstrip(" \t\"'([{*_#>-`")
    return before[-1] in ".!?:;\n" if before else start <= _LOOK_BACK


def _is_measure(text: str, word: str, match: re.Match[str]) -> bool:
    """Whether a word is the unit after a number or the month beside one: the numbers gate reads those."""
    numbers = number_words()
    is_month = word in numbers.months
    if not (is_month or len(word) == 1 or word in numbers.units):
        return False
    if _NUMBER_BEFORE.search(text, max(0, match.start() - _LOOK_BACK), match.start()):
        return True
    return is_month and _NUMBER_AFTER.match(text, match.end()) is not None


def _is_initial(text: str, word: str, match: re.Match[str]) -> bool:
    """Whether dots make the word the initials of the name after it: `J. R. R. Tolkien`."""
    if len(word) > 1 and "." not in match[0]:
        return False
    following = _AFTER_INITIAL.match(text, match.end())
    if following is None or not ("." in match[0] or following[1]):
        return False
    name = _base(following[2])
    return not (name in entity_words().function_words or _is_common(name))


def _joined(found: set[str]) -> set[str]:
    for alias in entity_words().aliases:
        if alias.words <= found and alias.without.isdisjoint(found):
            found = (found - alias.words) | {alias.name}
    return found


_NAME = re.compile(
    rf"(?<![A-Za-z0-9{_OTHER}])"
    rf"(?:[A-Z](?:\.[A-Z])+(?![A-Za-z0-9{_OTHER}])\.?"
    rf"|[A-Z{_OTHER}][A-Za-z0-9{_OTHER}]*(?:'[A-Za-z{_OTHER}]+)*)"
)
_WORD = re.compile(rf"[A-Za-z0-9{_OTHER}]+")
_LOWER = re.compile("[a-z]")
_AFTER_INITIAL = re.compile(rf"(\.?) ?([A-Z{_OTHER}][A-Za-z0-9{_OTHER}']*)")
_NAME_AFTER = re.compile(r" [A-Z]")
_NUMBER_BEFORE = re.compile(r"[0-9](?:st|nd|rd|th)?(?: of)? {0,2}$")
_NUMBER_AFTER = re.compile(r"\.?,? ?[0-9]")
