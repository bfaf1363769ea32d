"""Word pieces of the embedding profile: the spec's own normaliser from frozen tables, then greedy WordPiece.

Library tokenizers differ from each other outside English, so they are oracles in tests, not the definition.
"""

from __future__ import annotations

import functools
import re

from dicast.base import unicode_table
from dicast.base.errors import Rejection
from dicast.base.frozen import table_text
from dicast.base.limits import WINDOWS_MAX
from dicast.consensus.character_map import CharacterMap

VOCABULARY_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
"""Of `data/vocab.txt`, the vocabulary that all-MiniLM-L6-v2 was trained with."""
UNKNOWN_ID = 100
"""[UNK]: a word that no sequence of pieces spells."""
WINDOW_PIECES = 254
"""The model reads 256 places; [CLS] and [SEP] take two."""
PIECES_MAX = WINDOWS_MAX * WINDOW_PIECES
SHORT_PIECES_MAX = 4
"""An embedding of so few pieces is decided by their form: such answers agree only when they are equal."""
UNKNOWN_PIECES_PER_MILLE_MAX = 100
"""More unknown words than one in ten (a script or signs that the model never saw) and the embedding no longer
says what the text says: such answers agree only when they are equal, too."""
WORD_CHARS_MAX = 100
"""The model's own limit: a longer word is one [UNK]."""


def piece_ids(text: str) -> list[int]:
    """The ids of the word pieces of `text`, without [CLS] and [SEP]."""
    return [piece for word in words(text) for piece in _word_ids(word)]


def windows(text: str) -> list[list[int]]:
    """The word pieces in runs of 254; one empty run for a text without any. Raises `Rejection` above 16."""
    pieces = piece_ids(text)
    if len(pieces) > PIECES_MAX:
        raise Rejection(
            "text_too_long", f"The text has {len(pieces)} word pieces; {PIECES_MAX} can be embedded."
        )
    return [pieces[at : at + WINDOW_PIECES] for at in range(0, len(pieces), WINDOW_PIECES)] or [[]]


def is_literal(text: str) -> bool:
    """Whether no embedding says what `text` says: it has at most 4 word pieces, or above one [UNK] in ten."""
    if _is_plain(text) and len(text.split()) > SHORT_PIECES_MAX and not _LONG_WORD.search(text):
        return False  # Every ASCII letter, digit and mark is a piece: only words above 100 are unknown.
    pieces = piece_ids(text)
    unknown = pieces.count(UNKNOWN_ID)
    return len(pieces) <= SHORT_PIECES_MAX or unknown * 1000 > len(pieces) * UNKNOWN_PIECES_PER_MILLE_MAX


def is_too_long(text: str) -> bool:
    """Whether `text` has more than 16 windows."""
    if len(text) <= PIECES_MAX and text.isascii():
        return False  # A piece has at least one character.
    return len(piece_ids(text)) > PIECES_MAX


def words(text: str) -> list[str]:
    """The normalised words and single marks of `text`, in order: what WordPiece then cuts into pieces."""
    if _is_plain(text):
        return _PLAIN_WORD.findall(text.lower())
    return text.translate(_NORMAL).split()


def normal_character(character: str) -> str:
    """What the normaliser makes of one character: nothing, a space, or lower case without accents.

    Ideographs and punctuation stand between spaces, so that splitting at spaces gives the words.
    """
    category = unicode_table.category(character)
    if character in "\t\n\r" or category[0] == "Z":
        return " "
    if category[0] == "C" or character == _REPLACEMENT:
        return ""
    if unicode_table.is_ideograph(character):
        return f" {unicode_table.nfd(character)} "
    plain = unicode_table.without_marks(unicode_table.lower(character))
    return "".join(f" {one} " if _is_punctuation(one) else one for one in plain)


def _is_plain(text: str) -> bool:
    """Whether `text` is ASCII without control characters, other than the white ones that split words."""
    return text.isascii() and (text.isprintable() or not _CONTROL.search(text))


def _is_punctuation(character: str) -> bool:
    return unicode_table.is_punctuation(character) or character in _ASCII_SYMBOLS


@functools.lru_cache(maxsize=16_384)
def _word_ids(word: str) -> tuple[int, ...]:
    """Greedy: the longest piece that starts the word, then the longest that goes on; else one [UNK]."""
    if len(word) > WORD_CHARS_MAX:
        return (UNKNOWN_ID,)
    first, following, longest = _vocabulary()
    pieces: list[int] = []
    start = 0
    while start < len(word):
        table = following if start else first
        for end in range(min(len(word), start + longest), start, -1):
            piece = table.get(word[start:end])
            if piece is not None:
                pieces.append(piece)
                start = end
                break
        else:
            return (UNKNOWN_ID,)
    return tuple(pieces)


@functools.cache
def _vocabulary() -> tuple[dict[str, int], dict[str, int], int]:
    """Pieces that start a word, pieces that go on (without their `##`), and the length of the longest."""
    lines = table_text("dicast.consensus", "vocab.txt").removesuffix("\n").split("\n")
    first = {piece: number for number, piece in enumerate(lines) if not _CONTINUES.match(piece)}
    following = {piece[2:]: number for number, piece in enumerate(lines) if _CONTINUES.match(piece)}
    return first, following, max(map(len, lines))


_PLAIN_WORD = re.compile(r"[0-9a-z]+|[!-/:-@\[-`{-~]")
_LONG_WORD = re.compile(r"[0-9A-Za-z]{101}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_CONTINUES = re.compile(r"##.")
_ASCII_SYMBOLS = frozenset("$+<=>^`|~")
_REPLACEMENT = "\ufffd"
_NORMAL = CharacterMap(normal_character)
