"""Unicode 13, frozen: `unicodedata` differs between Python versions and browsers, a verdict must not."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import msgspec

from dicast.base.codec import decode_as
from dicast.base.frozen import table_bytes

WHITE_SPACE = frozenset(
    map(
        chr,
        (*range(9, 14), 0x20, 0xA0, *range(0x2000, 0x200C), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0xFEFF),
    )
)
"""What the design counts as white space; no version of Unicode can change it."""


def category(character: str) -> str:
    """The general category in Unicode 13, such as `Lu`; `Cn` when nothing is assigned there."""
    return _CATEGORIES[_category_of()[ord(character)]]


def is_assigned(code: int) -> bool:
    """Whether the code point is a character of Unicode 13 (surrogates are not characters)."""
    return category(chr(code)) not in {"Cn", "Cs"}


def is_all_assigned(text: str) -> bool:
    """Whether every character of `text` is in the table."""
    return text.isascii() or all(is_assigned(ord(character)) for character in set(text))


def is_letter(character: str) -> bool:
    """Category L*: letters of any script and case."""
    return category(character)[0] == "L"


def is_digit(character: str) -> bool:
    """Category Nd: decimal digits of any script."""
    return category(character) == "Nd"


def is_upper(character: str) -> bool:
    """Category Lu or Lt: upper and title case."""
    return category(character) in {"Lu", "Lt"}


def is_mark(character: str) -> bool:
    """Category Mn: marks that take no room, such as accents."""
    return category(character) == "Mn"


def is_punctuation(character: str) -> bool:
    """Category P*."""
    return category(character)[0] == "P"


def is_control(character: str) -> bool:
    """Category C*: controls, formats, private use, surrogates, unassigned."""
    return category(character)[0] == "C"


def is_white_space(character: str) -> bool:
    """Whether the design counts it as white space."""
    return character in WHITE_SPACE


def is_ideograph(character: str) -> bool:
    """Whether BERT's tokenizer splits it off as a Chinese character (its own list of blocks)."""
    code = ord(character)
    return code >= 0x3400 and any(low <= code <= high for low, high in _IDEOGRAPHS)


def fold(text: str) -> str:
    """Full case folding: for comparing without regard to case."""
    return text.lower() if text.isascii() else text.translate(_mappings()[0])


def lower(text: str) -> str:
    """Lower case, character by character, without regard to the neighbours."""
    return text.lower() if text.isascii() else text.translate(_mappings()[1])


def nfd(text: str) -> str:
    """Canonical decomposition (UAX 15): accents apart from their letters, marks in canonical order."""
    if text.isascii():
        return text
    return "".join(_in_canonical_order(text.translate(_decompositions())))


def nfc(text: str) -> str:
    """Canonical composition (UAX 15) of the canonical decomposition."""
    if text.isascii() or _unsettled().isdisjoint(text):
        return text
    return _compose(nfd(text))


def without_marks(text: str) -> str:
    """NFD less every character of category Mn: `é` becomes `e`."""
    return text if text.isascii() else "".join(one for one in nfd(text) if not is_mark(one))


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    categories: dict[str, list[int]]
    combining: dict[str, list[int]]
    compositions: list[tuple[int, int, int]]
    decompositions: list[list[int]]
    fold: list[list[int]]
    lower: list[list[int]]
    unicode: str


def _in_canonical_order(text: str) -> Iterable[str]:
    """Runs of marks, sorted stably by combining class; a class of 0 ends a run."""
    classes = _combining()
    run: list[str] = []
    for character in text:
        if character in classes:
            run.append(character)
            continue
        yield from sorted(run, key=classes.__getitem__)
        run.clear()
        yield character
    yield from sorted(run, key=classes.__getitem__)


def _compose(text: str) -> str:
    """Join each starter with what follows it, unless a mark of the same or a higher class stands between."""
    classes = _combining()
    out: list[str] = []
    starter = -1
    last_class = 0
    for character in text:
        this_class = classes.get(character, 0)
        is_adjacent = starter == len(out) - 1
        if starter >= 0 and (is_adjacent or 0 != last_class < this_class):
            composite = _composite(out[starter], character)
            if composite:
                out[starter] = composite
                continue
        out.append(character)
        last_class = this_class
        starter = starter if this_class else len(out) - 1
    return "".join(out)


def _composite(first: str, second: str) -> str:
    leading, vowel, trailing = ord(first) - 0x1100, ord(second) - 0x1161, ord(second) - 0x11A7
    if 0 <= leading < 19 and 0 <= vowel < 21:
        return chr(0xAC00 + (leading * 21 + vowel) * 28)
    syllable = ord(first) - 0xAC00
    if 0 <= syllable < 11172 and syllable % 28 == 0 and 0 < trailing < 28:
        return chr(ord(first) + trailing)
    return _compositions().get(first + second, "")


@functools.cache
def _table() -> _Table:
    return decode_as(table_bytes("dicast.base", "unicode13.json"), _Table)


@functools.cache
def _category_of() -> bytes:
    """For each code point the index of its category."""
    indexes = bytearray(0x110000)
    for index, name in enumerate(_CATEGORIES):
        ranges = _table().categories.get(name, [])
        for low, high in zip(ranges[::2], ranges[1::2], strict=True):
            indexes[low : high + 1] = bytes([index]) * (high + 1 - low)
    return bytes(indexes)


@functools.cache
def _combining() -> dict[str, int]:
    """The combining class of every character that has one other than 0."""
    classes: dict[str, int] = {}
    for name, ranges in _table().combining.items():
        for low, high in zip(ranges[::2], ranges[1::2], strict=True):
            classes.update((chr(code), int(name)) for code in range(low, high + 1))
    return classes


@functools.cache
def _decompositions() -> dict[int, str]:
    """Every full canonical decomposition, Hangul syllables included."""
    steps = {code: parts for code, *parts in _table().decompositions}
    full = {code: "".join(map(chr, _unfold(code, steps))) for code in steps}
    return full | {code: _hangul(code - 0xAC00) for code in range(0xAC00, 0xAC00 + 11172)}


def _unfold(code: int, steps: dict[int, list[int]]) -> Iterable[int]:
    for part in steps.get(code, ()):
        yield from _unfold(part, steps) if part in steps else (part,)


def _hangul(syllable: int) -> str:
    parts = (0x1100 + syllable // 588, 0x1161 + syllable % 588 // 28, 0x11A7 + syllable % 28)
    return "".join(map(chr, parts if syllable % 28 else parts[:2]))


@functools.cache
def _compositions() -> dict[str, str]:
    return {chr(first) + chr(second): chr(whole) for first, second, whole in _table().compositions}


@functools.cache
def _unsettled() -> frozenset[str]:
    """Characters that NFC may change or join to the one before; text without any is NFC already."""
    seconds = {chr(second) for _, second, _ in _table().compositions}
    vowels_and_trailing = {chr(code) for code in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}
    wholes = set(_compositions().values())
    replaced = {chr(code) for code, *_ in _table().decompositions} - wholes
    return frozenset(seconds | vowels_and_trailing | replaced | _combining().keys())


@functools.cache
def _mappings() -> tuple[dict[int, str], dict[int, str]]:
    fold_map, lower_map = (
        {code: "".join(map(chr, parts)) for code, *parts in rows} for rows in (_table().fold, _table().lower)
    )
    return fold_map, lower_map


_CATEGORIES = (
    *("Cn", "Cc", "Cf", "Co", "Cs", "Ll", "Lm", "Lo", "Lt", "Lu", "Mc", "Me", "Mn", "Nd", "Nl", "No"),
    *("Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "Sc", "Sk", "Sm", "So", "Zl", "Zp", "Zs"),
)
_IDEOGRAPHS = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)
