"""Texts as consensus reads them: canonical, to be embedded, in the domain, cleaned (`spec/04-text.md`)."""

from __future__ import annotations

import re

from dicast.base import unicode_table
from dicast.consensus.gate_text import ascii_lower
from dicast.consensus.json_value import NotJsonError, Text, Value, parse_json, value_at
from dicast.consensus.marks import without_marks

_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019", "\u201e": "\u201c", "\u00ab": "\u00bb"}
"""What a paired outer quote opens and closes with."""


def canonical_text(answer: str) -> str:
    """The answer less what carries no meaning: emphasis, headings, white space, quotes, a full stop, case.

    Text with a code fence or an indented line stays as it is, in NFC.
    """
    if answer.isascii() and answer.isprintable() and not _MARKED.search(answer):
        return _trimmed(answer).lower()
    text = unicode_table.nfc(answer)
    if is_layout(text):
        return text
    text = _HEADING.sub(r"\1", text)
    text = _WHITE_RUN.sub(" ", without_marks(text))
    return ascii_lower(_trimmed(text))


def is_layout(text: str) -> bool:
    """Whether white space or marks may carry meaning: a code fence, or an indented line below the first."""
    return ("```" in text or "~~~" in text or "\n" in text) and bool(_LAYOUT.search(text))


def embedding_text(answer: str, fuzzy: tuple[str, ...]) -> str:
    """What the embedder reads: the canonical text, or that of the strings at `fuzzy`, a line each."""
    return "\n".join(canonical_text(text) for text in prose_texts(answer, fuzzy))


def prose_texts(answer: str, fuzzy: tuple[str, ...]) -> tuple[str, ...]:
    """The prose of an answer: all of it, or the strings at `fuzzy`, empty where there is none."""
    if not fuzzy:
        return (answer,)
    try:
        value = parse_json(answer)
    except NotJsonError:
        return ("",) * len(fuzzy)
    return tuple(_string_at(value, pointer) for pointer in fuzzy)


def named_label(answer: str, labels: tuple[str, ...]) -> str | None:
    """The canonical text of the label that `answer` is, or None: a sentence about a label names none."""
    text = canonical_text(answer)
    return text if any(text == canonical_text(label) for label in labels) else None


def has_unassigned(text: str) -> bool:
    """Whether `text` leaves the domain: Unicode 13 without controls and formats but line feed and tab."""
    if text.isascii():
        return not text.isprintable() and bool(_ASCII_CONTROL.search(text))
    return any(not is_in_domain(character) for character in set(text))


def is_in_domain(character: str) -> bool:
    """Whether an answer may hold this character."""
    return character in "\n\t" or not unicode_table.is_control(character)


def clean_output(text: str) -> str:
    """What a worker makes of its model's output before it commits: in the domain, in NFC, trimmed."""
    return _trim(clean_piece(text))


def clean_piece(text: str) -> str:
    """The same of a piece from the middle of an output: not trimmed."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    if has_unassigned(lines):
        lines = "".join(character for character in lines if is_in_domain(character))
    return unicode_table.nfc(lines)


def _trimmed(text: str) -> str:
    """Without outer white space, one final full stop and one pair of outer quotes."""
    text = _trim(text)
    had_stop = text.endswith(".")
    text = _trim(text[:-1]) if had_stop else text
    closing = _QUOTES.get(text[:1])
    if closing is None or len(text) < 2 or text[-1] != closing:
        return text
    inner = text[1:-1]
    if text[0] in inner or closing in inner:
        return text
    inner = _trim(inner)
    return inner if had_stop or not inner.endswith(".") else _trim(inner[:-1])


def _trim(text: str) -> str:
    return text.strip(WHITE_SPACE)


def _string_at(value: Value, pointer: str) -> str:
    found = value_at(value, pointer)
    return found.text if isinstance(found, Text) else ""


WHITE_SPACE = "".join(sorted(unicode_table.WHITE_SPACE))
_MARKED = re.compile(r"[*_`]|  |^ ?#|~~~")
"""What keeps a printable ASCII line from the short way."""
_ASCII_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_WHITE_RUN = re.compile(r"[\t-\r ]+")
_HEADING = re.compile(r"(^|\n) ?#{1,6}[ \t]+")
_LAYOUT = re.compile(r"(?:^|\n) {0,3}(?:```|~~~)|\n(?:  | ?\t)[ \t]*[^ \t\n\r]")
"""A fence, or a line that two columns of white space indent. Each line is read once."""
