"""The closed JSON schema subset."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.base.errors import Rejection
from dicast.consensus import schema

VECTORS = json.loads((Path(__file__).parents[2] / "spec" / "vectors" / "schema.json").read_text())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
KEYWORDS = st.sampled_from(
    ["type", "properties", "required", "items", "enum", "const", "minimum", "maximum", "maxLength", "pattern"]
)


@pytest.mark.parametrize("example", VECTORS["schemas"], ids=lambda example: example["schema"])
def test_answers_conform_or_break(example: dict[str, list[str]]):
    parsed = schema.parse_schema(str(example["schema"]))
    assert [answer for answer in example["conform"] if not schema.conforms(parsed, answer)] == []
    assert [answer for answer in example["break"] if schema.conforms(parsed, answer)] == []


@pytest.mark.parametrize("one", VECTORS["refused"])
def test_a_schema_outside_the_subset_is_refused(one: str):
    with pytest.raises(Rejection) as refused:
        schema.parse_schema(one)
    assert refused.value.code == "schema_invalid"


def nested(levels: int) -> str:
    return '{"items":' * (levels - 1) + "{}" + "}" * (levels - 1)


def listing(values: int) -> str:
    return json.dumps({"enum": list(range(values))})


def test_depth_and_size_have_limits():
    assert schema.parse_schema(nested(schema.DEPTH_MAX))
    assert schema.parse_schema(listing(schema.NODES_MAX - 1))
    assert schema.parse_schema(json.dumps({"properties": {str(n): {} for n in range(schema.NODES_MAX - 1)}}))
    for one in (
        nested(schema.DEPTH_MAX + 1),
        nested(5000),
        listing(schema.NODES_MAX),
        json.dumps({"properties": {str(n): {} for n in range(schema.NODES_MAX)}}),
        json.dumps({"required": [str(n) for n in range(schema.NODES_MAX + 1)]}),
        json.dumps({"const": list(range(schema.NODES_MAX))}),
        " " * 70_000 + "{}",
    ):
        with pytest.raises(Rejection):
            schema.parse_schema(one)


@given(st.dictionaries(KEYWORDS, JSON, max_size=4))
def test_any_json_is_a_schema_or_refused(value: dict[str, object]):
    try:
        parsed = schema.parse_schema(json.dumps(value))
    except Rejection:
        return
    assert schema.conforms(parsed, json.dumps(value)) in {True, False}


@given(st.text(max_size=40))
def test_theorem_4_5_no_text_raises(one: str):
    with contextlib.suppress(Rejection):
        schema.parse_schema(one)
    assert schema.conforms(schema.parse_schema("{}"), one) in {True, False}


@pytest.mark.parametrize(
    "one", ["[" * 100_000, "{" * 60_000, '{"a":' * 5000, '"' + "\\" * 60_000, "9" * 60_000, "[1" * 30_000]
)
def test_hostile_answers_are_answered_at_once(one: str):
    assert schema.conforms(schema.parse_schema('{"type":"object","minimum":1}'), one) is False


def test_an_answer_of_many_digits_is_compared_exactly():
    parsed = schema.parse_schema('{"maximum":1e30}')
    assert schema.conforms(parsed, "1" + "0" * 30)
    assert not schema.conforms(parsed, "1" + "0" * 29 + "1")
    assert schema.conforms(parsed, "-" + "9" * 10_000)
    assert not schema.conforms(parsed, "1" + "0" * 30 + "." + "0" * 10_000 + "1")
