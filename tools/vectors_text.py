"""Vectors of texts, word pieces, gates and schemas; what they give is stated by hand in `examples/`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from dicast.base.errors import Rejection
from dicast.base.types import Json
from dicast.consensus import gates, schema, text, wordpiece
from dicast.consensus.gate_polarity import Polarity

EXAMPLES = Path(__file__).resolve().parent / "examples"
VERDICTS = {"o": False, "x": True}


def generate() -> dict[str, Json]:
    """File name -> content."""
    return {
        "text.json": text_vectors(),
        "wordpiece.json": wordpiece_vectors(),
        "gates.json": gate_vectors(),
        "schema.json": schema_vectors(),
    }


def text_vectors() -> Json:
    """Canonical texts stated by hand, the domain, cleaning, what is embedded, labels."""
    canonical = cast("list[list[str]]", example_json("canonical.json"))
    for answer, expected in canonical:
        assert text.canonical_text(answer) == expected, (answer, text.canonical_text(answer))
    return {
        "canonical": [{"answer": answer, "canonical": expected} for answer, expected in canonical],
        "clean": [{"output": output, "clean": text.clean_output(output)} for output in OUTPUTS],
        "domain": [{"text": one, "is_outside": text.has_unassigned(one)} for one in DOMAIN],
        "embedded": [
            {"answer": answer, "fuzzy": list(fuzzy), "text": text.embedding_text(answer, fuzzy)}
            for answer, fuzzy in EMBEDDED
        ],
        "labels": [
            {"answer": answer, "label": text.named_label(answer, LABELS)}
            for answer in ("Positive", "**negative**.", "The answer is positive.", "", "neutral", "positive!")
        ],
        "label_names": list(LABELS),
    }


def wordpiece_vectors() -> Json:
    """Texts with their words, their pieces, and whether they are literal or too long."""
    pieces: list[Json] = [
        {
            "text": one,
            "words": list[Json](wordpiece.words(one)),
            "pieces": list[Json](wordpiece.piece_ids(one)),
            "is_literal": wordpiece.is_literal(one),
            "is_too_long": wordpiece.is_too_long(one),
        }
        for one in TEXTS
    ]
    return {
        "vocabulary_sha256": wordpiece.VOCABULARY_SHA256,
        "texts": pieces,
        "repeated": [repeated(one, times) for one, times in REPEATED],
    }


def repeated(one: str, times: int) -> Json:
    """A long text as a part and a number of times, with the sizes of its windows (null above 16)."""
    whole = one * times
    try:
        sizes: Json = [len(window) for window in wordpiece.windows(whole)]
    except Rejection:
        sizes = None
    literal, too_long = wordpiece.is_literal(whole), wordpiece.is_too_long(whole)
    return {"part": one, "times": times, "windows": sizes, "is_literal": literal, "is_too_long": too_long}


def gate_vectors() -> Json:
    """For each gate pairs of answers, what the gate reads in them, and whether it objects."""
    pairs: dict[str, list[Json]] = {name: [] for name in gates.GATES}
    for name in ("numbers", "entities", "polarity"):
        for prompt, verdicts, one, other in word_examples(f"{name}.txt"):
            for gate, verdict in zip((name, f"{name}_strict"), verdicts, strict=True):
                pairs[gate].append(pair(gate, (prompt, ()), (one, other), VERDICTS[verdict]))
    for exact, verdict, one, other in json_examples():
        pairs["json"].append(pair("json", ("", exact), (one, other), VERDICTS[verdict]))
    return cast("Json", pairs)


def pair(gate: str, request: tuple[str, tuple[str, ...]], answers: tuple[str, str], expected: bool) -> Json:
    """One example, its verdict checked both ways round."""
    prompt, exact = request
    left, right = (gates.features(gate, answer, prompt, exact) for answer in answers)
    assert gates.conflict(gate, left, right) is expected, (gate, prompt, answers, left, right)
    assert gates.conflict(gate, right, left) is expected, (gate, prompt, answers, right, left)
    example: dict[str, Json] = {"answers": list[Json](answers), "conflict": expected}
    if gate == "json":
        example["exact"] = list[Json](exact)
    else:
        example["prompt"] = prompt
        example["features"] = [plain(left), plain(right)]
    return example


def plain(features: gates.Features) -> Json:
    """Features as JSON: sets in ascending order."""
    if isinstance(features, Polarity):
        return {"opening": features.opening, "denied": list(features.denied), "words": features.words}
    assert isinstance(features, frozenset)
    return list[Json](sorted(features))


def schema_vectors() -> Json:
    """Schemas with answers that conform and answers that do not, and texts that are no schema."""
    good = cast("list[dict[str, Json]]", example_json("schemas.json"))
    for example in good:
        parsed = schema.parse_schema(cast("str", example["schema"]))
        for verdict, answers in ((True, example["conform"]), (False, example["break"])):
            for answer in cast("list[str]", answers):
                assert schema.conforms(parsed, answer) is verdict, (example["schema"], answer)
    bad = cast("list[str]", example_json("bad_schemas.json"))
    for one in bad:
        assert is_refused(one), one
    return {"schemas": cast("list[Json]", good), "refused": list[Json](bad)}


def is_refused(schema_text: str) -> bool:
    """Whether the text is no schema."""
    try:
        schema.parse_schema(schema_text)
    except Rejection:
        return True
    return False


def word_examples(name: str) -> Iterator[tuple[str, str, str, str]]:
    """Prompt, verdicts of the gate and of its strict twin, and two answers."""
    prompt = ""
    for line in example_lines(name):
        if line.startswith("?"):
            prompt = line[1:].strip()
        else:
            verdicts, one, other = line.split(" | ")
            yield prompt, verdicts, one.replace("\\n", "\n"), other.replace("\\n", "\n")


def json_examples() -> Iterator[tuple[tuple[str, ...], str, str, str]]:
    """Exact pointers, verdict, and two answers."""
    exact: tuple[str, ...] = ()
    for line in example_lines("json.txt"):
        if line.startswith("@"):
            exact = tuple(line[1:].split())
        else:
            verdict, one, other = line.split(" | ")
            yield exact, verdict, one, other


def example_lines(name: str) -> list[str]:
    """The lines of an example file that are neither empty nor comments."""
    lines = (EXAMPLES / name).read_text(encoding="utf-8").split("\n")
    return [line for line in lines if line and not line.startswith("#")]


def example_json(name: str) -> object:
    """An example file as JSON."""
    return json.loads((EXAMPLES / name).read_text(encoding="utf-8"))


LABELS = ("positive", "Negative", "mixed feelings")
OUTPUTS = (
    " Paris\n",
    "a\r\nb\rc",
    "a\x00b\x07c\x1b[0m",
    "e\u0301",
    "soft\u00adhyphen zero\u200bwidth \ufeffmark",
    "unassigned \u0378 private \ue000",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "tab\tand\n\nlines",
)
DOMAIN = (
    "",
    "plain",
    "a\tb\nc",
    "a\rb",
    "a\x00",
    "a\x7f",
    "caf\u00e9",
    "\u200b",
    "\u00ad",
    "\u0085",
    "\ue000",
    "\u0378",
    "\U0001fad6",
    "\U0001fae0",
    "\U0001f600",
    "\ufffd",
    "\u00a0\u3000",
)
EMBEDDED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("The **capital** is Paris.", ()),
    ('{"why":"It is **big**.","city":"Paris"}', ("/why",)),
    ('{"why":"It is big.","city":"Paris"}', ("/city", "/why")),
    ('{"why":1}', ("/why", "/city")),
    ("no JSON", ("/why",)),
    ('{"list":["A","B"]}', ("/list/1", "/list/0")),
)
TEXTS = (
    "",
    "paris",
    "the capital of france is paris",
    "unaffable embeddings",
    "don't stop, believing!",
    "a-b_c/d\\e",
    "1,000.50 km/h",
    "\u00c9cole d\u00e9j\u00e0 vu",
    "e\u0301 \u212b \u01c5",
    "\u5317\u4eac is beijing",
    "\uac00\ub098\ub2e4",
    "\u03a3\u039f\u03a3 \u03c3\u03bf\u03c2",
    "\u0130stanbul \u0131",
    "\u1e9e \u00df \ufb01",
    "\u00abquotes\u00bb \u201cmore\u201d \u2014 dash",
    "\u20ac5 $5 \u00a35 5\u00b0",
    "\U0001f600 smile",
    "[CLS] [SEP] [UNK] [MASK] ##ing",
    "a\ufffdb c\u0000d e\u00adf",
    "tab\tline\nspace\u00a0thin\u2009end",
    "x" * 100,
    "x" * 101,
    "one two three four",
    "one two three four five",
    "\u2603 \u2604 \u2605 \u2606 known words here",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u0627\u0644\u0639\u0631\u0628\u064a\u0629",
    "\u05e9\u05dc\u05d5\u05dd \u05e9\u05b8\u05c1",
    "\u4e2d\u56fd\u7684\u9996\u90fd\u662f\u5317\u4eac\u3002",
    "all five tests have passed \u2705",
)
REPEATED = (
    ("word ", 253),
    ("word ", 254),
    ("word ", 255),
    ("word ", 508),
    ("word ", 4064),
    ("word ", 4065),
    ("\u2603 ", 4065),
    ("\u2603 ", 10),
    ("word word word word word word word word word \u2603 ", 10),
    ("word word word word word word word word \u2603 ", 10),
)
