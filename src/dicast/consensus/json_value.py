"""JSON in answers and schemas: numbers keep the text they were written with, nothing is ever a float."""

from __future__ import annotations

import json
import re
from typing import TypeAlias, cast

import msgspec

ANSWER_DEPTH_MAX = 16
"""The same as on the wire: a recursive reader stays shallow."""
TEXT_CHARS_MAX = 64 * 1024
"""An answer or a schema travels in a packet of 64 KiB."""


class NotJsonError(ValueError):
    """The text is not JSON as RFC 8259 writes it, names a key twice, or nests too deeply."""


class Number(msgspec.Struct, frozen=True):
    """A number as it was written: `1`, `1.0` and `1e0` are three."""

    written: str

    @property
    def is_integer(self) -> bool:
        """Whether it was written without a point and without an exponent."""
        return _INTEGER.fullmatch(self.written) is not None


class Text(msgspec.Struct, frozen=True):
    """A string."""

    text: str


class Array(msgspec.Struct, frozen=True):
    """Values in order."""

    items: tuple[Value, ...]


class Object(msgspec.Struct, frozen=True):
    """Members by ascending key, so that equal objects are equal values."""

    members: tuple[tuple[str, Value], ...]

    def get(self, key: str) -> Value | Absent:
        """The value of a member, or `ABSENT`."""
        return next((value for name, value in self.members if name == key), ABSENT)


class Constant(msgspec.Struct, frozen=True):
    """`true`, `false` or `null`. (A struct, because Python's `True` equals 1.)"""

    name: str


class Absent(msgspec.Struct, frozen=True):
    """No value at a pointer."""


Value: TypeAlias = Number | Text | Array | Object | Constant

ABSENT = Absent()


def parse_json(text: str, depth_max: int = ANSWER_DEPTH_MAX) -> Value:
    """The value that `text` writes, white space around it allowed. Raises `NotJsonError` and nothing else."""
    if len(text) > TEXT_CHARS_MAX:
        raise NotJsonError("too long")
    if _depth(text) > depth_max:
        raise NotJsonError("nested too deeply")
    try:
        text.encode("utf-8")
        found = _DECODER.decode(text)
        return _value(found)
    except ValueError as error:  # UnicodeError included
        raise NotJsonError(str(error)) from None


def value_at(value: Value, pointer: str) -> Value | Absent:
    """The value at a JSON pointer (RFC 6901), or `ABSENT`."""
    found: Value | Absent = value
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        match found:
            case Object():
                found = found.get(key)
            case Array(items) if _INDEX.fullmatch(key) and int(key) < len(items):
                found = items[int(key)]
            case _:
                return ABSENT
    return found


def _value(found: object) -> Value:
    """Structs for what the decoder made: its strings, lists and pairs, and our numbers."""
    match found:
        case Number():
            return found
        case str():
            return Text(_whole(found))
        case list():
            return Array(tuple(map(_value, cast(list[object], found))))
        case _Members():
            members = ((_whole(key), _value(value)) for key, value in found.pairs)
            return Object(tuple(sorted(members, key=_key)))
        case None:
            return Constant("null")
        case _:
            return Constant("true" if found else "false")


def _whole(text: str) -> str:
    """The string itself: an escaped lone surrogate is no text and raises."""
    text.encode("utf-8")
    return text


def _key(member: tuple[str, Value]) -> str:
    return member[0]


class _Members(msgspec.Struct, frozen=True):
    pairs: list[tuple[str, object]]


def _members(pairs: list[tuple[str, object]]) -> _Members:
    if len({key for key, _ in pairs}) < len(pairs):
        raise NotJsonError("a key is named twice")
    return _Members(pairs)


def _number(written: str) -> Number:
    """A number; some readers take digits of other scripts for digits."""
    if not written.isascii():
        raise NotJsonError("a number has digits outside ASCII")
    return Number(written)


def _refuse(name: str) -> object:
    raise NotJsonError(f"{name} is no JSON number")


def _depth(text: str) -> int:
    """How deep brackets nest outside of strings."""
    deepest = depth = 0
    for bracket in _BRACKET.findall(text):
        if bracket[0] == '"':
            continue
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


_DECODER = json.JSONDecoder(
    parse_float=_number, parse_int=_number, parse_constant=_refuse, object_pairs_hook=_members
)
_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
_INTEGER = re.compile(r"-?[0-9]+")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
