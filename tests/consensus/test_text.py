"""Canonical text, the domain, cleaning, and what the embedder reads."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.base import unicode_table
from dicast.consensus import marks, text
from dicast.consensus.constants import GATES

VECTORS = json.loads((Path(__file__).parents[2] / "spec" / "vectors" / "text.json").read_text())
MARKED = st.text(alphabet=st.sampled_from("ab *_`\n#.'\"~\t1é"), max_size=40)


@pytest.mark.parametrize("example", VECTORS["canonical"], ids=lambda example: repr(example["answer"]))
def test_canonical_text(example: dict[str, str]):
    assert text.canonical_text(example["answer"]) == example["canonical"]


def test_domain_cleaning_embedding_and_labels_match_the_vectors():
    labels = tuple(VECTORS["label_names"])
    assert VECTORS["domain"] == [
        {"text": one["text"], "is_outside": text.has_unassigned(one["text"])} for one in VECTORS["domain"]
    ]
    assert VECTORS["clean"] == [
        {"output": one["output"], "clean": text.clean_output(one["output"])} for one in VECTORS["clean"]
    ]
    assert VECTORS["embedded"] == [
        one | {"text": text.embedding_text(one["answer"], tuple(one["fuzzy"]))} for one in VECTORS["embedded"]
    ]
    assert VECTORS["labels"] == [
        one | {"label": text.named_label(one["answer"], labels)} for one in VECTORS["labels"]
    ]


@pytest.mark.parametrize(
    "sign", ["-5", "+5", ".5", "5%", "#5", "5!", "~5", "$5", "5_000", "2*3", "a_b", "50 %", "5 #", "1.5"]
)
def test_nothing_that_changes_the_meaning_is_touched(sign: str):
    assert text.canonical_text(f"It is {sign} here.") == f"it is {sign} here"
    assert text.canonical_text(f"{sign}") == sign


@pytest.mark.parametrize(
    "form", ["Paris", "paris", "Paris.", "**Paris**", " _Paris_. ", '"Paris"', "`Paris`", "# Paris"]
)
def test_formatting_of_a_short_answer_is_dropped(form: str):
    assert text.canonical_text(form) == "paris"


@given(MARKED)
def test_a_canonical_text_has_no_outer_white_space_and_no_runs(answer: str):
    canonical = text.canonical_text(answer)
    if not text.is_layout(answer):
        assert canonical == " ".join(canonical.split(" ")).strip(" \n\t")
        assert "  " not in canonical
        assert "\n" not in canonical


@given(st.text(max_size=60))
def test_theorem_4_2_white_space_around_and_canonical_equivalence_do_not_matter(answer: str):
    if not text.is_layout(unicode_table.nfc(answer)):
        assert text.canonical_text(f" {answer}\n") == text.canonical_text(answer)
    assert text.canonical_text(unicode_table.nfd(answer)) == text.canonical_text(answer)


@given(st.text(alphabet=st.characters(max_codepoint=126, min_codepoint=32), max_size=60))
def test_the_short_way_for_ascii_is_exact(answer: str):
    """A final line feed takes the long way, and is dropped as white space."""
    assert text.canonical_text(answer + "\n") == text.canonical_text(answer)


@given(MARKED)
def test_marks_leave_everything_else_in_order(answer: str):
    without = marks.without_marks(answer)
    left = iter(answer)
    assert all(character in left for character in without)
    assert [one for one in without if one not in "*_`"] == [one for one in answer if one not in "*_`"]


@given(st.text(max_size=60))
def test_theorem_4_1_cleaned_output_is_in_the_domain_trimmed_and_stays(output: str):
    clean = text.clean_output(output)
    assert not text.has_unassigned(clean)
    assert clean == text.clean_output(clean)
    assert unicode_table.nfc(clean) == clean


@given(st.text(max_size=60))
def test_domain_looks_at_each_character(one: str):
    assert text.has_unassigned(one) is any(not text.is_in_domain(character) for character in one)


def test_a_newer_character_than_unicode_13_is_outside():
    assert text.has_unassigned("melting face \U0001fae0")
    assert not text.has_unassigned("teapot \U0001fad6")


def test_what_is_embedded_of_equal_canonical_texts_is_equal():
    assert text.embedding_text("**Paris**.", ()) == text.embedding_text('"paris"', ())
    assert text.embedding_text('{"why": "It is **big**."}', ("/why",)) == "it is big"
    assert text.prose_texts('{"why": "It is **big**."}', ("/why", "/no")) == ("It is **big**.", "")


def test_a_label_is_named_by_itself_only():
    assert text.named_label(" **Positive**. ", ("positive", "negative")) == "positive"
    assert text.named_label("not positive", ("positive", "negative")) is None


def growth(answer: str, repeats: int = 16) -> float:
    """How much longer a text 16 times as long takes; the best of several tries of each."""

    def best(one: str) -> float:
        took: list[float] = []
        for _ in range(5):
            start = time.process_time()
            text.canonical_text(one)
            took.append(time.process_time() - start)
        return min(took)

    return best(answer * repeats) / best(answer)


@pytest.mark.parametrize(
    "part", ["*a ", "_a* ", "`a", "**a*_b_ ", "# \n", "\n ", "\n\t ", "a\n  ", '"a', "a. ", "** "]
)
def test_theorem_4_3_hostile_marks_take_linear_time(part: str):
    assert growth(part * 1000) < 64  # linear: 16; quadratic: 256


def test_gate_names_are_those_of_the_frame():
    assert GATES == (
        "numbers",
        "entities",
        "polarity",
        "numbers_strict",
        "entities_strict",
        "polarity_strict",
        "json",
    )
