"""Markdown emphasis: pairs of `*`, `_` and backtick around words."""

from __future__ import annotations

import re

from dicast.base import unicode_table
from dicast.consensus.gate_text import is_word_character

MARK_RUN_MAX = 3
"""Markdown's longest emphasis is `***`; longer runs are rules and drawings."""


def without_marks(text: str) -> str:
    """`text` without paired marks around words; one pass for each kind of mark, linear in the length.

    A run of marks opens before a non-space where no letter or digit stands before it, and closes after a
    non-space where no letter or digit follows. A closing run pairs with the last open run of its length on
    the line; what was opened between the two stays text.
    """
    for mark, pattern in _RUNS:
        if mark in text:
            text = _without(text, pattern)
    return text


def _without(text: str, pattern: re.Pattern[str]) -> str:
    dropped: list[tuple[int, int]] = []
    opened: list[tuple[int, int]] = []
    for run in pattern.finditer(text):
        start, end = run.span()
        if text[start] == "\n":
            opened.clear()
        elif end - start <= MARK_RUN_MAX:
            pair = _pair(text, (start, end), opened)
            dropped += pair
            if not pair and _opens(text, start, end):
                opened.append((start, end))
    return _cut(text, sorted(dropped))


def _pair(text: str, run: tuple[int, int], opened: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The run and its opener, which leaves `opened` with everything above it; nothing if it closes none."""
    start, end = run
    if start == 0 or unicode_table.is_white_space(text[start - 1]) or is_word_character(text[end : end + 1]):
        return []
    for depth in range(len(opened) - 1, max(-1, len(opened) - 1 - _DEPTH_MAX), -1):
        if opened[depth][1] - opened[depth][0] == end - start:
            opener = opened[depth]
            del opened[depth:]
            return [opener, run]
    return []


def _opens(text: str, start: int, end: int) -> bool:
    if end == len(text) or unicode_table.is_white_space(text[end]):
        return False
    return not is_word_character(text[max(0, start - 1) : start])


def _cut(text: str, spans: list[tuple[int, int]]) -> str:
    kept: list[str] = []
    at = 0
    for start, end in spans:
        kept.append(text[at:start])
        at = end
    return "".join((*kept, text[at:]))


_DEPTH_MAX = 8
"""Open runs that a closing one may reach over: bounds the work, and nobody nests deeper."""
_RUNS = tuple((mark, re.compile(rf"{re.escape(mark)}+|\n")) for mark in "*_`")
