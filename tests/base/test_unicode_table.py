"""The frozen Unicode 13 table. Newer versions of Unicode keep the normal forms of what is assigned in 13."""

from __future__ import annotations

import hashlib
import unicodedata
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from dicast.base import unicode_table as table
from dicast.base.frozen import table_bytes

ROOT = Path(__file__).resolve().parents[2]
ASSIGNED = [code for code in range(0x110000) if table.is_assigned(code)]
RECATEGORISED = {0x1734}
"""HANUNOO SIGN PAMUDPOD became Mc in Unicode 14."""
assigned = st.sampled_from(ASSIGNED).map(chr)
joining = st.sampled_from(
    [code for code in ASSIGNED if unicodedata.combining(chr(code)) or unicodedata.decomposition(chr(code))]
    + [*range(0x1100, 0x1113), *range(0x1161, 0x1176), *range(0x11A8, 0x11C3), 0xAC00, 0xAC01, 0xD7A3]
).map(chr)


def test_the_table_is_the_one_in_the_specification() -> None:
    shipped = table_bytes("dicast.base", "unicode13.json")
    assert shipped == (ROOT / "spec/tables/unicode13.json").read_bytes()
    assert hashlib.sha256(shipped).hexdigest() in (ROOT / "spec/01-encoding.md").read_text()


def test_the_table_holds_what_unicode_13_assigns() -> None:
    private, controls = 137_468, 65
    assert len(ASSIGNED) == 143_859 + private + controls
    assert [table.is_assigned(code) for code in (0x378, 0xD800, 0x870, 0x1FAF0, 0x10FFFF)] == [False] * 5


def test_every_character_agrees_with_the_standard_library() -> None:
    def ours(character: str) -> tuple[str, ...]:
        return table.category(character), table.nfc(character), table.nfd(character), table.fold(character)

    def theirs(character: str) -> tuple[str, ...]:
        category = unicodedata.category(character)
        forms = (unicodedata.normalize(form, character) for form in ("NFC", "NFD"))
        return category, *forms, character.casefold()

    differing = {code for code in ASSIGNED if ours(chr(code)) != theirs(chr(code))}
    assert differing <= RECATEGORISED
    assert [code for code in ASSIGNED if table.lower(chr(code)) != chr(code).lower()] == []


@settings(max_examples=500)
@given(st.text(assigned | joining, max_size=12))
def test_theorem_1_6_normal_forms_are_those_of_unicode(text: str) -> None:
    assert table.nfc(text) == unicodedata.normalize("NFC", text)
    assert table.nfd(text) == unicodedata.normalize("NFD", text)


@given(st.text())
def test_theorem_1_7_normal_forms_and_folding_are_idempotent(text: str) -> None:
    assert table.nfc(table.nfc(text)) == table.nfc(text) == table.nfc(table.nfd(text))
    assert table.fold(table.fold(text)) == table.fold(text)


def test_text_without_marks() -> None:
    assert table.without_marks("Ünïcode é n\u0303 \ud55c") == "Unicode e n \u1112\u1161\u11ab"


def test_lower_looks_at_one_character_at_a_time() -> None:
    assert (table.lower("ΑΣ"), table.lower("İ"), table.fold("Maße")) == ("ας"[0] + "σ", "i\u0307", "masse")


def test_white_space_is_the_list_of_the_specification() -> None:
    white = [code for code in range(0x110000) if table.is_white_space(chr(code))]
    expected = [
        *range(9, 14),
        0x20,
        0xA0,
        *range(0x2000, 0x200C),
        0x2028,
        0x2029,
        0x202F,
        0x205F,
        0x3000,
        0xFEFF,
    ]
    assert white == expected


def test_classes() -> None:
    classes = {
        character: [
            name
            for name in ("letter", "digit", "upper", "mark", "punctuation", "control", "ideograph")
            if getattr(table, f"is_{name}")(character)
        ]
        for character in (
            "a",
            "É",
            "ǅ",
            "中",
            "٣",
            "!",
            "¿",
            "\u0301",
            "\u200d",
            "\n",
            "\ue000",
            "\u0378",
            " ",
            "$",
        )
    }
    assert classes == {
        "a": ["letter"],
        "É": ["letter", "upper"],
        "ǅ": ["letter", "upper"],
        "中": ["letter", "ideograph"],
        "٣": ["digit"],
        "!": ["punctuation"],
        "¿": ["punctuation"],
        "\u0301": ["mark"],
        "\u200d": ["control"],
        "\n": ["control"],
        "\ue000": ["control"],
        "\u0378": ["control"],
        " ": [],
        "$": [],
    }


def test_assignment_of_whole_texts() -> None:
    assert [table.is_all_assigned(text) for text in ("", "abc", "é中", "a\u0378", "\ud800")] == [
        True,
        True,
        True,
        False,
        False,
    ]
