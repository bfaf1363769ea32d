"""Writes the frozen Unicode 13 table. Run it with Python 3.9 or 3.10, whose `unicodedata` is Unicode 13.

    python3.10 tools/make_unicode_table.py

The table never changes: this file is here so that anybody can check where its numbers come from.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACES = (ROOT / "src/dicast/base/data/unicode13.json", ROOT / "spec/tables/unicode13.json")
VERSION = "13.0.0"
HANGUL_SYLLABLES = range(0xAC00, 0xD7A4)
"""Decomposed by arithmetic, so not listed."""


def main() -> None:
    """Write the table to both places."""
    if unicodedata.unidata_version != VERSION:
        sys.exit(f"This Python has Unicode {unicodedata.unidata_version}; run it with Python 3.9 or 3.10.")
    data = json.dumps(table(), sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    for place in PLACES:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def table() -> dict[str, object]:
    """The whole table; every code point is a number, every range is a start and an end, both included."""
    return {
        "unicode": VERSION,
        "categories": ranges_by(unicodedata.category, skip="Cn"),
        "combining": ranges_by(lambda ch: str(unicodedata.combining(ch)), skip="0"),
        "decompositions": decompositions(),
        "compositions": compositions(),
        "fold": mappings(str.casefold),
        "lower": mappings(str.lower),
    }


def ranges_by(property_of: Callable[[str], str], skip: str) -> dict[str, list[int]]:
    """For each value of a property: start, end, start, end, … of the code points that have it."""
    found: dict[str, list[int]] = {}
    for code in range(sys.maxunicode + 1):
        value = property_of(chr(code))
        ranges = found.setdefault(value, [])
        if ranges and ranges[-1] == code - 1:
            ranges[-1] = code
        else:
            ranges += [code, code]
    found.pop(skip)
    return found


def decompositions() -> list[list[int]]:
    """Each canonical decomposition, one step deep: code point, then one or two code points."""
    found: list[list[int]] = []
    for code in range(sys.maxunicode + 1):
        text = unicodedata.decomposition(chr(code))
        if text and not text.startswith("<") and code not in HANGUL_SYLLABLES:
            found.append([code, *(int(part, 16) for part in text.split())])
    return found


def compositions() -> list[list[int]]:
    """Each pair that composes: first, second, composite. Exclusions are those whose composite is not NFC."""
    pairs = [[first, *rest, code] for code, first, *rest in decompositions() if rest]
    return sorted(pair for pair in pairs if unicodedata.is_normalized("NFC", chr(pair[-1])))


def mappings(function: Callable[[str], str]) -> list[list[int]]:
    """Each code point that the function changes: code point, then what it becomes."""
    found: list[list[int]] = []
    for code in range(sys.maxunicode + 1):
        text = chr(code)
        mapped = function(text)
        if mapped != text:
            found.append([code, *map(ord, mapped)])
    return found


if __name__ == "__main__":
    main()
