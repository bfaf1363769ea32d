"""The closed JSON schema subset of a request: no patterns, no references (`spec/04-text.md`)."""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

from dicast.base.errors import Rejection
from dicast.consensus.decimals import Decimal, is_less, read_decimal
from dicast.consensus.json_value import (
    Absent,
    Array,
    Constant,
    NotJsonError,
    Number,
    Object,
    Text,
    Value,
    parse_json,
)

DEPTH_MAX = 8
"""Schemas inside schemas: deeper answers are data bases."""
NODES_MAX = 256
"""Schemas and listed values in all: bounds the work for each answer."""
_TEXT_DEPTH_MAX = 3 * DEPTH_MAX
"""A schema inside `properties` is two JSON levels down; listed values may be nested too."""


class Kind(StrEnum):
    """The values of `type`."""

    OBJECT = "object"
    ARRAY = "array"
    STRING = "string"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    NULL = "null"


class Schema(msgspec.Struct, frozen=True):
    """A parsed schema; None or empty where a keyword is absent. `choices` holds `enum` and `const`."""

    kind: Kind | None = None
    properties: dict[str, Schema] = {}
    required: tuple[str, ...] = ()
    items: Schema | None = None
    choices: tuple[tuple[Value, ...], ...] = ()
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    length_max: int | None = None


def parse_schema(text: str) -> Schema:
    """The schema that `text` writes. Raises `Rejection` with code `schema_invalid`, and nothing else."""
    try:
        value = parse_json(text, _TEXT_DEPTH_MAX)
    except NotJsonError as error:
        raise _invalid(f"is no JSON: {error}") from None
    return _Reader().schema(value, 1)


def conforms(schema: Schema, answer: str) -> bool:
    """Whether an answer is JSON that keeps to the schema; never raises."""
    try:
        return is_valid(schema, parse_json(answer))
    except NotJsonError:
        return False


def is_valid(schema: Schema, value: Value) -> bool:
    """Whether a value keeps to the schema. A keyword about another type of value holds, as in JSON Schema."""
    if schema.kind is not None and not _is_kind(value, schema.kind):
        return False
    if any(value not in choices for choices in schema.choices):
        return False
    match value:
        case Number():
            return _is_in_range(schema, value)
        case Text(text):
            return schema.length_max is None or len(text) <= schema.length_max
        case Array(items):
            return schema.items is None or all(is_valid(schema.items, item) for item in items)
        case Object(members):
            names = {name for name, _ in members}
            return names.issuperset(schema.required) and all(
                is_valid(schema.properties[name], member)
                for name, member in members
                if name in schema.properties
            )
        case Constant():
            return True


class _Reader:
    """Turns values into schemas, counting nodes."""

    def __init__(self) -> None:
        self._nodes = 0

    def schema(self, value: Value, depth: int) -> Schema:
        if not isinstance(value, Object):
            raise _invalid("must be an object wherever a schema stands")
        if depth > DEPTH_MAX:
            raise _invalid(f"nests deeper than {DEPTH_MAX}")
        self._count(1)
        unknown = [name for name, _ in value.members if name not in _KEYWORDS]
        if unknown:
            raise _invalid(f"has {unknown[0]!r}; known are {', '.join(_KEYWORDS)}")
        items = value.get("items")
        return Schema(
            kind=_kind(value.get("type")),
            properties=self._properties(value.get("properties"), depth),
            required=_names(value.get("required")),
            items=None if isinstance(items, Absent) else self.schema(items, depth + 1),
            choices=self._choices(value),
            minimum=_bound(value.get("minimum"), "minimum"),
            maximum=_bound(value.get("maximum"), "maximum"),
            length_max=_length(value.get("maxLength")),
        )

    def _properties(self, value: Value | Absent, depth: int) -> dict[str, Schema]:
        match value:
            case Absent():
                return {}
            case Object(members):
                return {name: self.schema(member, depth + 1) for name, member in members}
            case _:
                raise _invalid("needs an object in properties")

    def _choices(self, value: Object) -> tuple[tuple[Value, ...], ...]:
        listed, only = value.get("enum"), value.get("const")
        found: list[tuple[Value, ...]] = []
        if not isinstance(listed, Absent):
            if not isinstance(listed, Array) or not listed.items:
                raise _invalid("needs a list of at least one value in enum")
            found.append(listed.items)
        if not isinstance(only, Absent):
            found.append((only,))
        self._count(sum(map(_size, (one for choices in found for one in choices))))
        return tuple(found)

    def _count(self, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > NODES_MAX:
            raise _invalid(f"has more than {NODES_MAX} schemas and listed values")


def _kind(value: Value | Absent) -> Kind | None:
    if isinstance(value, Absent):
        return None
    if isinstance(value, Text) and value.text in _KINDS:
        return Kind(value.text)
    raise _invalid(f"needs one of {', '.join(_KINDS)} as type")


def _names(value: Value | Absent) -> tuple[str, ...]:
    if isinstance(value, Absent):
        return ()
    names = [item.text for item in value.items if isinstance(item, Text)] if isinstance(value, Array) else []
    if not isinstance(value, Array) or len(names) < len(value.items) or len(set(names)) < len(names):
        raise _invalid("needs a list of different names in required")
    if len(names) > NODES_MAX:
        raise _invalid(f"requires more than {NODES_MAX} names")
    return tuple(names)


def _bound(value: Value | Absent, keyword: str) -> Decimal | None:
    if isinstance(value, Absent):
        return None
    number = read_decimal(value.written) if isinstance(value, Number) else None
    if number is None:
        raise _invalid(f"needs a number in {keyword}")
    return number


def _length(value: Value | Absent) -> int | None:
    if isinstance(value, Absent):
        return None
    if not isinstance(value, Number) or not _LENGTH.fullmatch(value.written):
        raise _invalid("needs a whole number in maxLength")
    return int(value.written)


def _is_kind(value: Value, kind: Kind) -> bool:
    match value:
        case Number():
            return kind is Kind.NUMBER or (kind is Kind.INTEGER and value.is_integer)
        case Text():
            return kind is Kind.STRING
        case Array():
            return kind is Kind.ARRAY
        case Object():
            return kind is Kind.OBJECT
        case Constant(name):
            return kind is (Kind.NULL if name == "null" else Kind.BOOLEAN)


def _is_in_range(schema: Schema, value: Number) -> bool:
    number = read_decimal(value.written)
    if number is None:
        return schema.minimum is None and schema.maximum is None
    if schema.minimum is not None and is_less(number, schema.minimum):
        return False
    return schema.maximum is None or not is_less(schema.maximum, number)


def _size(value: Value) -> int:
    match value:
        case Array(items):
            return 1 + sum(map(_size, items))
        case Object(members):
            return 1 + sum(_size(member) for _, member in members)
        case _:
            return 1


def _invalid(reason: str) -> Rejection:
    return Rejection("schema_invalid", f"The schema {reason}.")


_KINDS = tuple(kind.value for kind in Kind)
_KEYWORDS = ("type", "properties", "required", "items", "enum", "const", "minimum", "maximum", "maxLength")
_LENGTH = re.compile("[0-9]{1,9}")
