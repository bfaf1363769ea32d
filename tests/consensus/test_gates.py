"""The gates: hand-made pairs, what they read, and properties that hold for any text."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dicast.consensus
from dicast.consensus import gates
from dicast.consensus.gate_entities import names_in, prompt_words
from dicast.consensus.gate_numbers import number_elements
from dicast.consensus.gate_polarity import Polarity, polarity_of
from dicast.consensus.gate_words import common_words, entity_words, number_words, polarity_words

ROOT = Path(__file__).parents[2]
VECTORS = json.loads((ROOT / "spec" / "vectors" / "gates.json").read_text())
WORD_GATES = tuple(name for name in gates.GATES if name != "json")
PIECES = st.sampled_from(
    [
        *["Paris", "London", "France's", "the", "The", "is", "not", "isn't", "No", "Yes,", "U.S.", "J. K."],
        *[
            "1,000",
            "3.14",
            "-5",
            "50%",
            "km",
            "°C",
            "twenty",
            "-",
            "one",
            "hundred",
            "and",
            "July",
            "4th",
            "1969",
        ],
        *[
            "May",
            "second",
            "million",
            "VIII",
            "$",
            "pm",
            ".",
            "\n",
            ":",
            "é",
            "Ö",
            "北京",
            "x",
            "10",
            "^",
            "impossible",
        ],
    ]
)
TEXTS = st.lists(PIECES, max_size=14).map(" ".join) | st.text(max_size=40)


def plain(features: gates.Features) -> object:
    if isinstance(features, Polarity):
        return {"opening": features.opening, "denied": list(features.denied), "words": features.words}
    assert isinstance(features, frozenset)
    return sorted(features)


@pytest.mark.parametrize("name", gates.GATES)
def test_hand_made_pairs(name: str):
    examples = VECTORS[name]
    assert len(examples) >= 100
    wrong = []
    for example in examples:
        one, other = (
            gates.features(name, answer, example.get("prompt", ""), tuple(example.get("exact", ())))
            for answer in example["answers"]
        )
        read = [plain(one), plain(other)] if name != "json" else None
        if gates.conflict(name, one, other) is not example["conflict"] or read != example.get("features"):
            wrong.append((example, one, other))
        if gates.conflict(name, other, one) is not example["conflict"]:
            wrong.append((example, other, one))
    assert wrong == []


@given(TEXTS, TEXTS, TEXTS)
def test_theorem_5_1_symmetric_and_strict_gates_object_at_least_as_often(one: str, other: str, prompt: str):
    for name in ("numbers", "entities", "polarity"):
        left, right = gates.features(name, one, prompt), gates.features(name, other, prompt)
        objects = gates.conflict(name, left, right)
        objects_strictly = gates.conflict(f"{name}_strict", left, right)
        assert objects is gates.conflict(name, right, left)
        assert objects_strictly is gates.conflict(f"{name}_strict", right, left)
        assert objects_strictly or not objects
        assert left == gates.features(f"{name}_strict", one, prompt)
        assert isinstance(hash(left), int)


@given(TEXTS, TEXTS)
def test_theorem_5_2_equal_features_are_no_conflict(one: str, prompt: str):
    for name in WORD_GATES:
        features = gates.features(name, one, prompt)
        assert not gates.conflict(name, features, features)


@given(TEXTS)
def test_white_space_around_does_not_matter(one: str):
    for name in WORD_GATES:
        assert gates.features(name, f"\n {one} ", "") == gates.features(name, f"\n{one}", "")


def test_an_unknown_gate_is_our_bug():
    with pytest.raises(KeyError):
        gates.features("truth", "answer", "prompt")


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("", ()),
        ("Nothing here.", ()),
        ("1,234,567.80", ("1234567.8",)),
        ("twenty-one thousand three hundred and five", ("21305",)),
        ("two million five hundred thousand", ("2500000",)),
        ("million " * 40, ("1000000",)),
        ("9" * 50, ("0." + "9" * 50 + "e50",)),
        ("$3.5bn or 5 k", ("3500000000", "5000", "u:dollar")),
        ("6.02 x 10^23 and 1.6 × 10⁻¹⁹", ("0.00000000000000000016", "602000000000000000000000")),
        ("on 3 May 1808, Monday", ("1808", "3", "d:monday", "m:5")),
        ("03/04/2020", ("3/4/2020",)),
        ("12:00 am and 12 pm", ("0:00", "12:00")),
        ("7 minus 5 is 2", ("2", "5", "7")),
        ("it fell to minus 5", ("-5",)),
        ("COVID-19", ("19",)),
        ("9 m/s^2", ("9", "u:m", "u:s")),
        ("6 x 10^- -3 km", ("-3", "10", "6", "u:km")),
        ("kg per m⁻³", ("3",)),
        ("Louis XIV and VI", ("14",)),
        ("١٢", ()),
    ],
)  # fmt: skip
def test_numbers_read(text: str, elements: tuple[str, ...]):
    assert tuple(sorted(number_elements(text))) == elements


@pytest.mark.parametrize(
    ("text", "strong", "weak"),
    [
        ("", (), ()),
        ("the capital is paris", (), ()),
        ("Paris", ("paris",), ()),
        ("New York City lies in the U.S.", ("nyc", "usa"), ()),
        ("The French won.", (), ("france",)),
        ("I met O'Brien's friend D'Artagnan.", ("dartagnan", "obrien"), ()),
        ("We saw John F. Kennedy.", ("john", "kennedy"), ()),
        ("Take Vitamin C. It helps.", ("c", "vitamin"), ()),
        ("ALL IN CAPITALS: PARIS", ("paris",), ()),
        ("Das ist Übung für Łódź", ("das", "ubung", "łodz"), ()),
    ],
)
def test_names_read(text: str, strong: tuple[str, ...], weak: tuple[str, ...]):
    names = names_in(text)
    assert (sorted(names.strong), sorted(names.weak)) == (sorted(strong), sorted(weak))


def test_prompt_words_cover_the_forms_of_names():
    assert {"france", "usa", "obrien", "paris"} <= prompt_words("french, the United States, O'Brien's paris")


def test_polarity_read():
    assert polarity_of("Yes, it doesn't work.") == Polarity(1, (1,), "it work")
    assert polarity_of("It is not impossible.") == Polarity(0, (), "it is possibl")
    assert polarity_of("") == Polarity(0, (), "")


def test_exact_values():
    assert gates.exact_values('{"a": 1.0, "b": [true]}', ("/a",)) is not None
    assert gates.exact_values('{"a": 1}', ("/b",)) is None
    assert gates.exact_values("a", ()) is None
    assert gates.exact_values("[" * 100_000, ()) is None


def test_word_tables_are_lower_case_ascii_and_shared_with_the_spec():
    for name in ("words.json", "common_words.txt"):
        shipped = Path(dicast.consensus.__file__).parent / "data" / name
        assert shipped.read_bytes() == (ROOT / "spec" / "tables" / name).read_bytes()
    entities, numbers, polarity = entity_words(), number_words(), polarity_words()
    words = [*common_words(), *entities.function_words, *entities.titles, *entities.demonyms, *numbers.units]
    words += [*numbers.cardinals, *numbers.months, *polarity.negations, *polarity.negatives, *polarity.pasts]
    assert [word for word in words if not word.isascii() or word != word.lower()] == []
    assert common_words().isdisjoint(
        {"paris", "london", "china", "turkey", "jordan", "mercury", "shakespeare"}
    )


HOSTILE = [
    *["1,000", "1.", "1.1", "1-1-", "1:1:", "1/1/", "5 m/s", "5 x 10^-", "- ", "1 - ", "million ", "twenty-"],
    *[
        "A.",
        "A.A",
        "A. A",
        "A'A'",
        "Paris ",
        "No ",
        "not ",
        "n't ",
        "United States ",
        "\u00c9",
        "\u5317 ",
        "VIII ",
    ],
    *["hundred and ", "$5 k ", "May 1 ", "d'", '"(' * 4],
]


ODD_TEXT = (
    "6|10|x|^|-|- -3|1e5|1,23|3bn|$|k|°|C|per|cent|/|^2|am|.|one|second|first|of|May|million|and|twenty|VIII"
    "|J.|O'Brien's|US|the|No,|not|n't|'s|cannot|é|中|⁻³|\u00a0|ﬁ|½|**|`|# |\n|\t| "
)


@given(st.lists(st.sampled_from(ODD_TEXT.split("|")), max_size=12), st.sampled_from(["", " "]))
@settings(max_examples=400)
def test_no_text_made_of_odd_pieces_breaks_a_gate(pieces: list[str], between: str):
    text = between.join(pieces)
    for name in gates.GATES:
        found = gates.features(name, text, "What is 5 km?", ("/a",))
        assert not gates.conflict(name, found, found) or name == "json"


@pytest.mark.parametrize("part", HOSTILE)
def test_theorem_5_3_hostile_texts_take_linear_time(part: str):
    short = part * (4000 // len(part))
    for name in ("numbers", "entities", "polarity"):
        gates.features(name, short, "")
        assert seconds(name, short * 16) < 64 * max(
            seconds(name, short), 0.0005
        )  # linear: 16; quadratic: 256


def seconds(name: str, text: str) -> float:
    """Processor time of reading a text: the best of three."""
    took: list[float] = []
    for _ in range(3):
        start = time.process_time()
        gates.features(name, text, "")
        took.append(time.process_time() - start)
    return min(took)


def test_features_do_not_depend_on_the_hash_seed():
    program = (
        "import json, sys; from dicast.consensus import gates\n"
        "for line in sys.stdin:\n"
        " name, answer, prompt = json.loads(line); found = gates.features(name, answer, prompt)\n"
        " print(sorted(found) if isinstance(found, frozenset) else found)\n"
    )
    lines = "".join(
        json.dumps([name, example["answers"][0], example["prompt"]]) + "\n"
        for name in ("numbers", "entities", "polarity")
        for example in VECTORS[name]
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program],
            input=lines,
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1] != ""
