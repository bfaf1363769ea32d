"""Word pieces against the vectors, and against the tokenizers library where it knows the characters."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.implementations import BertWordPieceTokenizer

import dicast.consensus
from dicast.base import unicode_table
from dicast.base.errors import Rejection
from dicast.consensus import text, wordpiece

VOCABULARY = Path(dicast.consensus.__file__).parent / "data" / "vocab.txt"
VECTORS = Path(__file__).parents[2] / "spec" / "vectors" / "wordpiece.json"
EXTENSION_E_START = range(0x2B820, 0x2B920)
"""The library starts CJK extension E 256 characters late."""
FAMILIAR = (
    "".join(map(chr, range(0x20, 0x7F)))
    + "\n\tÀÉîõüßøœŁčžşığİΑΣσςλωЖяйёéàç«»“”‘’–—…€£°½²·¿¡中文北京日本カナかな한국어हिन्दीعربيשלום☃★😀"
)
WORDS = ["the", "capital", "of", "unaffable", "tokenization", "1969", "3.14", "naïve", "don't", "u.s.", "co2"]


@pytest.fixture(scope="module")
def library() -> BertWordPieceTokenizer:
    return BertWordPieceTokenizer(str(VOCABULARY), lowercase=True)


def oracle(library: BertWordPieceTokenizer, one: str) -> list[int]:
    return library.encode(one, add_special_tokens=False).ids


def test_the_vocabulary_is_the_one_the_model_was_trained_with():
    assert hashlib.sha256(VOCABULARY.read_bytes()).hexdigest() == wordpiece.VOCABULARY_SHA256


def test_vectors():
    vectors = json.loads(VECTORS.read_text())
    found = [
        {
            "text": one["text"],
            "words": wordpiece.words(one["text"]),
            "pieces": wordpiece.piece_ids(one["text"]),
            "is_literal": wordpiece.is_literal(one["text"]),
            "is_too_long": wordpiece.is_too_long(one["text"]),
        }
        for one in vectors["texts"]
    ]
    assert found == vectors["texts"]
    assert vectors["vocabulary_sha256"] == wordpiece.VOCABULARY_SHA256


def test_known_pieces():
    assert wordpiece.piece_ids("Unaffable!") == [14477, 20961, 3468, 999]
    assert wordpiece.piece_ids("Hello, world") == [7592, 1010, 2088]


@given(st.text(alphabet=st.sampled_from(sorted(set(FAMILIAR))), max_size=60))
def test_familiar_scripts_match_the_library(library: BertWordPieceTokenizer, one: str):
    assert wordpiece.piece_ids(one) == oracle(library, one)


@given(st.lists(st.sampled_from(WORDS), max_size=30), st.sampled_from([" ", "\n", ", ", "-", "\u00a0"]))
def test_english_matches_the_library(library: BertWordPieceTokenizer, some: list[str], between: str):
    assert wordpiece.piece_ids(between.join(some)) == oracle(library, between.join(some))


def test_the_library_differs_only_where_its_tables_are_older(library: BertWordPieceTokenizer):
    """It knows marks and punctuation of Unicode 8: newer ones are letters to it."""
    differing = [
        character
        for character in map(chr, range(0x110000))
        if text.is_in_domain(character)
        and wordpiece.piece_ids(f"ab{character}cd {character}")
        != oracle(library, f"ab{character}cd {character}")
    ]
    late = [one for one in differing if ord(one) in EXTENSION_E_START]
    others = Counter(unicode_table.category(one) for one in differing if ord(one) not in EXTENSION_E_START)
    assert len(late) == len(EXTENSION_E_START)
    assert others == {"Mn": 272, "Po": 82, "Pd": 1, "So": 1}
    assert min(others.elements()) == "Mn"
    assert not [one for one in differing if ord(one) < 0x7FD]


def test_special_names_in_a_text_are_words(library: BertWordPieceTokenizer):
    """A known difference of tokenizers that look for special tokens first: an answer must not hold any."""
    assert wordpiece.words("[CLS] [UNK]") == ["[", "cls", "]", "[", "unk", "]"]
    assert wordpiece.UNKNOWN_ID not in wordpiece.piece_ids("[CLS] [UNK] [MASK] ##ing")


def test_greek_final_sigma_depends_on_no_neighbour():
    assert wordpiece.words("ΣΟΣ ΣΟΣ.") == ["σοσ", "σοσ", "."]


@given(st.text(max_size=80))
def test_any_text_has_pieces_and_literal_is_exact(one: str):
    pieces = wordpiece.piece_ids(one)
    assert all(0 <= piece < 30522 for piece in pieces)
    unknown = pieces.count(wordpiece.UNKNOWN_ID)
    assert wordpiece.is_literal(one) is (len(pieces) <= 4 or unknown * 10 > len(pieces))
    assert not wordpiece.is_too_long(one)


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=400))
def test_theorem_4_4_the_short_way_for_ascii_is_exact(one: str):
    spelled = [piece for word in wordpiece.words(one) for piece in wordpiece.piece_ids(word)]
    assert wordpiece.piece_ids(one) == spelled
    assert wordpiece.words(one) == "".join(map(wordpiece.normal_character, one)).split()
    unknown = spelled.count(wordpiece.UNKNOWN_ID)
    assert wordpiece.is_literal(one) is (len(spelled) <= 4 or unknown * 10 > len(spelled))


def test_windows():
    assert wordpiece.windows("") == [[]]
    assert [len(window) for window in wordpiece.windows("word " * 254)] == [254]
    assert [len(window) for window in wordpiece.windows("word " * 255)] == [254, 1]
    assert len(wordpiece.windows("word " * 4064)) == 16
    windows = wordpiece.windows("one two " * 200)
    assert [piece for window in windows for piece in window] == wordpiece.piece_ids("one two " * 200)
    with pytest.raises(Rejection) as refused:
        wordpiece.windows("word " * 4065)
    assert refused.value.code == "text_too_long"


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        ("", False),
        ("word " * 4064, False),
        ("word " * 4065, True),
        ("." * 4065, True),
        ("☃ " * 4064, False),
        ("☃ " * 4065, True),
        ("x" * 5_000, False),
    ],
)
def test_too_long(one: str, expected: bool):
    assert wordpiece.is_too_long(one) is expected


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        ("", True),
        ("word " * 4, True),
        ("word " * 5, False),
        ("x" * 101, True),
        ("word " * 9 + "☃", False),
        ("word " * 8 + "☃", True),
        ("word " * 9 + "x" * 101, False),
        ("word " * 8 + "x" * 101, True),
        ("中国的首都是北京。", True),
    ],
)
def test_what_no_embedding_says_is_literal(one: str, expected: bool):
    assert wordpiece.is_literal(one) is expected
