"""`response_format` and back: schemas in the judge's subset, pointers, and the agreed document."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.consensus.schema import parse_schema
from dicast.gateway.errors import GatewayError
from dicast.gateway.json_format import (
    JsonForm,
    JsonSchema,
    ResponseFormat,
    document_of,
    extra_fields,
    json_form,
)
from dicast.gateway.tools import Offer, Tool

WORDS = st.sampled_from(
    ["type", "properties", "required", "items", "enum", "const", "additionalProperties", "$defs", "$ref", "a"]
)
NAMES = st.text("ab/~*é ", min_size=1, max_size=3)


def form_of(schema: dict) -> JsonForm:
    return json_form(ResponseFormat("json_schema", JsonSchema(schema)))


def test_wording_is_free_in_texts_and_nowhere_else() -> None:
    schema = {
        "title": "Answer",
        "type": "object",
        "properties": {
            "why": {"type": "string", "description": "in your words"},
            "kind": {"type": "string", "enum": ["a", "b"]},
            "place": {
                "type": "object",
                "properties": {"a/b": {"type": "number"}},
                "required": ["a/b"],
                "additionalProperties": False,
            },
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["why", "kind", "place", "tags"],
    }
    form = form_of(schema)
    assert (form.fuzzy, form.exact) == (("/why",), ("/kind", "/place/a~1b", "/tags"))
    assert form.closed == (("/place", frozenset({"a/b"})),)
    assert "description" not in form.schema
    parse_schema(form.schema)


def test_definitions_are_put_where_they_are_referred_to() -> None:
    """As Pydantic writes models inside models."""
    street = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    schema = {
        "$defs": {"Street": street, "Kind": {"type": "string", "enum": ["a", "b"], "title": "Kind"}},
        "type": "object",
        "properties": {
            "home": {"$ref": "#/$defs/Street", "description": "where"},
            "kind": {"$ref": "#/$defs/Kind"},
        },
        "required": ["home", "kind"],
    }
    form = form_of(schema)
    assert (form.fuzzy, form.exact) == (("/home/name",), ("/kind",))
    parse_schema(form.schema)


@pytest.mark.parametrize("doubled", [False, True])
def test_definitions_without_end_are_refused(doubled: bool) -> None:
    """One that refers to itself, and a few that double each other into a huge one."""
    loop = {"type": "array", "items": {"$ref": "#/$defs/0"}}
    pairs = {
        str(n): {"type": "object", "properties": {one: {"$ref": f"#/$defs/{n + 1}"} for one in "abcd"}}
        for n in range(30)
    }
    with pytest.raises(GatewayError, match="refers to itself"):
        form_of({"$defs": pairs if doubled else {"0": loop}, "$ref": "#/$defs/0"})


def test_a_field_that_may_be_missing_is_compared_with_its_whole_object() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    assert (form_of(schema).exact, form_of(schema).fuzzy) == (("",), ())


def test_fields_that_a_closed_object_does_not_name_are_seen() -> None:
    item = {"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": False}
    form = form_of({"type": "array", "items": item})
    assert extra_fields(form, '[{"a":null},{"b":1},{}]') == ["/*/b"]
    assert extra_fields(form, '[{"a":null}]') == []


FIELD = {"a": {"type": "string"}}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": 1},
        {"items": []},
        {"type": "object", "properties": FIELD, "required": [{"a": 1}]},
        {"type": "object", "properties": FIELD, "required": 1},
    ],
)
def test_what_is_no_schema_is_refused(schema: dict) -> None:
    with pytest.raises(GatewayError) as caught:
        form_of(schema)
    assert caught.value.code == "invalid_request"


def test_a_schema_that_nests_for_ever_is_refused() -> None:
    schema: dict = {}
    for _ in range(100):
        schema = {"items": schema}
    with pytest.raises(GatewayError):
        form_of(schema)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 2)
    | st.sampled_from(["", "a", "object", "string", "#/$defs/a"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(WORDS, VALUES, max_size=4))
def test_any_object_is_a_schema_or_is_refused(schema: dict) -> None:
    for wanted in (schema, {"type": "object", "properties": FIELD, **schema}):
        with suppress(GatewayError):
            form_of(wanted)
        for choice in ("auto", "f"):
            with suppress(GatewayError):
                Offer((Tool("f", "", wanted),), choice).form()


@given(
    st.recursive(
        st.integers() | st.booleans(),
        lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3),
        max_leaves=8,
    ).filter(lambda document: isinstance(document, dict))
)
def test_agreed_values_become_the_document_again(document: dict) -> None:
    def schema_of(value: object) -> dict:
        if not isinstance(value, dict):
            return {"type": "boolean" if isinstance(value, bool) else "integer"}
        fields = {name: schema_of(one) for name, one in value.items()}
        return {"type": "object", "properties": fields, "required": list(fields)}

    def at(pointer: str) -> object:
        value: object = document
        for token in pointer.split("/")[1:]:
            assert isinstance(value, dict)
            value = value[token.replace("~1", "/").replace("~0", "~")]
        return value

    form = form_of(schema_of(document))
    agreed = json.dumps({pointer: at(pointer) for pointer in form.exact})
    assert json.loads(document_of(form, agreed)) == document
