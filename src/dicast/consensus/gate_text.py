"""How the word gates read a text: accents off, signs in ASCII, case kept."""

from __future__ import annotations

from dicast.base import unicode_table
from dicast.consensus.character_map import CharacterMap

OTHER = "\u0080-\U0010ffff"
"""For character classes: outside ASCII a plain text has only letters and digits of other scripts."""


def plain_text(text: str) -> str:
    """`text` with Latin accents dropped, quotes and dashes in ASCII, and a space for any other sign."""
    return text if text.isascii() else unicode_table.nfc(text).translate(_PLAIN)


def plain_character(character: str) -> str:
    """One character of it."""
    if character.isascii():
        return character
    if character in _SIGNS:
        return _SIGNS[character]
    bare = unicode_table.without_marks(character)
    return "".join(one if is_word_character(one) else " " for one in bare)


def ascii_lower(text: str) -> str:
    """`text` with A–Z in lower case and nothing else touched."""
    return text.lower() if text.isascii() else text.translate(_ASCII_LOWER)


def is_word_character(character: str) -> bool:
    """Whether it is a letter or a digit."""
    if character.isascii():
        return character.isalnum()
    return unicode_table.is_letter(character) or unicode_table.is_digit(character)


_SIGNS = dict(zip("’‘“”–—\u2010\u2011…。", "''\"\"----..", strict=True))
_ASCII_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_PLAIN = CharacterMap(plain_character)
