"""What the entities gate sees in a text: its names, as far as capital letters show them."""

from __future__ import annotations

import re

from dicast.base import unicode_table
from dicast.consensus.gate_text import OTHER as _OTHER
from dicast.consensus.gate_text import plain_text
from dicast.consensus.gate_words import common_words, entity_words, number_words

_CONTRACTED = frozenset(["d", "ll", "m", "re", "t", "ve"])
"""What follows the apostrophe of a contraction; anything else is part of a name (`O'Brien`)."""
_SHOUTED_WORDS_MIN = 2
"""A text of this many words, all in capitals, shows no names by them."""
_LOOK_BACK = 12
"""A sentence starts no further back than a few quotes, marks and a list number."""
_COMMON_ENDINGS = ("tion", "tions", "ology", "osis", "esis", "ysis")
"""Endings of common nouns that no name has."""


def entity_elements(text: str) -> frozenset[str]:
    """The names in `text`, lower case, no accents: capitalised words, neither function words nor openers.

    Titles (`President`) count only where nothing else is left. `French` is `france`, `United States` `usa`.
    """
    plain = plain_text(text)
    names = list(_NAME.finditer(plain))
    is_shouted = len(names) >= _SHOUTED_WORDS_MIN and not _LOWER.search(plain)
    found = {_name(plain, name, is_shouted) for name in names}
    found.discard("")
    if not found:
        return frozenset()
    titles = entity_words().titles
    joined = _joined(found)
    return frozenset(joined if joined <= titles else joined - titles)


def prompt_words(text: str) -> frozenset[str]:
    """Every word of a prompt, in the forms in which `entity_elements` gives names."""
    words = entity_words()
    plain = plain_text(text)
    found = {unicode_table.lower(word) for word in _WORD.findall(plain)}
    found |= {_base(word[0]) for word in _NAME.finditer(plain)}
    found |= {words.demonyms.get(word) or words.same_name.get(word, word) for word in found}
    return frozenset(found | _joined(found))


def _name(text: str, match: re.Match[str], is_shouted: bool) -> str:
    """The name that a capitalised word is, or the empty string."""
    written = match[0]
    word = _base(written)
    words = entity_words()
    if word in words.same_name and (written.isupper() or word not in words.function_words):
        return words.same_name[word]
    if word in words.function_words:
        is_choice = word == "a" and not (is_shouted or _opens_sentence(text, match.start()))
        return word if is_choice else ""
    if not written.isascii() and not unicode_table.is_upper(written[0]):
        return ""
    if _is_common(word) and (is_shouted or _opens_sentence(text, match.start())):
        return ""
    if len(word) == 1 or "." in written:
        return "" if _is_initial(text, match) else word
    if word in number_words().months and _is_in_date(text, match):
        return ""
    return words.demonyms.get(word, word)


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


def _opens_sentence(text: str, start: int) -> bool:
    before = text[max(0, start - _LOOK_BACK) : start].rstrip(" \t\"'([{*_#>-`")
    return before[-1] in ".!?:;\n" if before else start <= _LOOK_BACK


def _is_initial(text: str, match: re.Match[str]) -> bool:
    """Whether dots make the word the initials of the name after it: `J. R. R. Tolkien`."""
    following = _AFTER_INITIAL.match(text, match.end())
    if following is None or not ("." in match[0] or following[1]):
        return False
    word = _base(following[2])
    return not (word in entity_words().function_words or _is_common(word))


def _is_in_date(text: str, match: re.Match[str]) -> bool:
    """Whether a number stands right before or after: the numbers gate reads the month then."""
    before = text[max(0, match.start() - _LOOK_BACK) : match.start()]
    return bool(_DAY_BEFORE.search(before) or _DAY_AFTER.match(text, match.end()))


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
_DAY_BEFORE = re.compile(r"[0-9](?:st|nd|rd|th)?(?: of)? $")
_DAY_AFTER = re.compile(r"\.?,? ?[0-9]")
