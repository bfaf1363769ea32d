"""What a valid answer is compared by: its equality class, its text, and what the gates read in it."""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec

from dicast.consensus import schema
from dicast.consensus.case import CaseRequest
from dicast.consensus.form import Form, form_of
from dicast.consensus.json_value import (
    ABSENT,
    Absent,
    Array,
    Constant,
    NotJsonError,
    Number,
    Object,
    Text,
    Value,
    parse_json,
    value_at,
)
from dicast.consensus.text import canonical_text, has_unassigned
from dicast.consensus.wordpiece import is_literal, is_too_long


class Reading(msgspec.Struct, frozen=True, gc=False):
    """One answer as the judge reads it.

    Answers of equal `group` agree. Where both are `compared`, distance and gates decide too: the gates read
    `prose`, and `exact` must be equal. `value` is the agreed canonical value, None where wording is free.
    """

    group: str
    compared: bool
    prose: str
    exact: str
    value: str | None


Reader = Callable[[str], Reading | None]
"""Reads an answer; None when it is malformed."""


def reader(request: CaseRequest) -> Reader:
    """The reader of a request's answers."""
    by_form = {
        Form.PROSE: _prose_reader(embedded=True),
        Form.LABELS: _label_reader(request.frame.labels),
        Form.VALUES: _values_reader(request.frame.exact),
        Form.FIELDS: _fields_reader(request.frame.exact, request.frame.fuzzy),
        Form.TEXTS: _prose_reader(embedded=False),
    }
    read = by_form[form_of(request.frame)]
    rules = schema.parse_schema(request.schema) if request.schema else None

    def checked(answer: str) -> Reading | None:
        if has_unassigned(answer) or (rules is not None and not schema.conforms(rules, answer)):
            return None
        return read(answer)

    return checked


def _prose_reader(embedded: bool) -> Reader:
    def read(answer: str) -> Reading | None:
        text = canonical_text(answer)
        if not text or is_too_long(text):
            return None
        literal = is_literal(text)
        return Reading(text, embedded and not literal, answer, "", text if literal else None)

    return read


def _label_reader(labels: tuple[str, ...]) -> Reader:
    canonical = frozenset(map(canonical_text, labels))

    def read(answer: str) -> Reading | None:
        text = canonical_text(answer)
        return Reading(text, False, answer, "", text) if text in canonical else None

    return read


def _values_reader(exact: tuple[str, ...]) -> Reader:
    def read(answer: str) -> Reading | None:
        values, text = _values_at(_json(answer), exact), canonical_text(answer)
        if values is None or not text or is_too_long(text):
            return None
        return Reading(values, False, answer, values, values)

    return read


def _fields_reader(exact: tuple[str, ...], fuzzy: tuple[str, ...]) -> Reader:
    def read(answer: str) -> Reading | None:
        document = _json(answer)
        values, strings = _values_at(document, exact), _strings_at(document, fuzzy)
        if values is None or strings is None:
            return None
        text = "\n".join(map(canonical_text, strings))
        if not text.strip("\n") or is_too_long(text):
            return None
        return Reading(f"{values}\n{text}", not is_literal(text), "\n".join(strings), values, None)

    return read


def _json(answer: str) -> Value | Absent:
    try:
        return parse_json(answer)
    except NotJsonError:
        return ABSENT


def _values_at(document: Value | Absent, pointers: tuple[str, ...]) -> str | None:
    """The values at the pointers as one JSON text, pointers ascending; None where one is missing."""
    if isinstance(document, Absent):
        return None
    pairs: list[str] = []
    for pointer in sorted(pointers):
        value = value_at(document, pointer)
        if isinstance(value, Absent):
            return None
        pairs.append(f"{_quoted(pointer)}:{_written(value)}")
    return "{" + ",".join(pairs) + "}"


def _strings_at(document: Value | Absent, pointers: tuple[str, ...]) -> list[str] | None:
    """The strings at the pointers, in the order of the frame; None where one is missing or no string."""
    if isinstance(document, Absent):
        return None
    values = [value_at(document, pointer) for pointer in pointers]
    strings = [value.text for value in values if isinstance(value, Text)]
    return strings if len(strings) == len(values) else None


def _written(value: Value) -> str:
    """Canonical JSON, but that numbers keep the text they were written with."""
    match value:
        case Number():
            return value.written
        case Constant():
            return value.name
        case Text():
            return _quoted(value.text)
        case Array():
            return "[" + ",".join(map(_written, value.items)) + "]"
        case Object():
            return "{" + ",".join(f"{_quoted(key)}:{_written(item)}" for key, item in value.members) + "}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
