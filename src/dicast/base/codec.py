"""Canonical JSON: one value has one encoding, and only that encoding decodes (`spec/01-encoding.md`)."""

from __future__ import annotations

import functools
import json
import re
from typing import Any, NoReturn, TypeVar, cast

import msgspec

from dicast.base.errors import RemoteProtocolError
from dicast.base.limits import INTEGER_MAX, JSON_DEPTH_MAX
from dicast.base.types import Json

T = TypeVar("T")


class CodecError(RemoteProtocolError):
    """Bytes that are not the JSON asked for, or a value that canonical JSON cannot hold."""


def encode(value: Json | msgspec.Struct) -> bytes:
    """The one canonical encoding of `value`; refuses what has none: floats, lone surrogates, …"""
    try:
        data = _ENCODER.encode(value)
    except (UnicodeEncodeError, RecursionError, TypeError, ValueError) as error:
        raise CodecError("not_encodable", "The value cannot be written as canonical JSON.") from error
    _check_depth(data)
    plain = _parse(_UNTYPED, data)
    _check_integers(data)
    _check_keys(data, plain)
    return data


def decode(data: bytes) -> Json:
    """The value of canonical JSON bytes; any other spelling of the same value is refused."""
    _check_depth(data)
    value = _parse(_UNTYPED, data)
    _check_spelling(data, value)
    _check_keys(data, value)
    return cast("Json", value)


def decode_as(data: bytes, kind: type[T]) -> T:
    """Canonical JSON bytes as a `kind`; unknown fields and spelled-out defaults are refused."""
    _check_depth(data)
    value = _parse(_typed(kind), data)
    _check_spelling(data, value)
    if not data.isascii():
        _check_keys(data, _parse(_UNTYPED, data))
    return cast("T", value)


def decode_loose(data: bytes) -> Json:
    """Any JSON text that says one thing: white space, key order and escapes are free, duplicates are not."""
    _check_depth(data)
    try:
        value = _LOOSE.decode(data.decode("utf-8"))
        if b"\\u" in data:
            _ENCODER.encode(value)
    except UnicodeError as error:
        raise CodecError("not_unicode", "The text is not UTF-8, or it holds a lone surrogate.") from error
    except ValueError as error:
        raise CodecError("not_json", "The text is not JSON.") from error
    return cast("Json", value)


def _parse(decoder: msgspec.json.Decoder[Any], data: bytes) -> Any:
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise CodecError("wrong_shape", f"{error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CodecError("not_json", "The bytes are not JSON in UTF-8.") from error


def _check_spelling(data: bytes, value: object) -> None:
    try:
        again = _ENCODER.encode(value)
    except (UnicodeEncodeError, RecursionError) as error:
        raise CodecError("not_unicode", "A string holds a lone surrogate.") from error
    if again != data:
        raise CodecError("not_canonical", "The bytes differ from the canonical encoding of what they say.")
    _check_integers(data)


def _check_integers(data: bytes) -> None:
    shape = data.translate(_SHAPE)
    if (_LARGE in shape or shape.startswith(_LARGE[1:])) and _has_large_integer(data):
        raise CodecError("integer_range", "An integer lies beyond 2^53 - 1.")


def _has_large_integer(data: bytes) -> bool:
    found = _LONG_INTEGER.findall(_STRING.sub(b"", data))
    return any(len(digits) > 16 or int(digits) > INTEGER_MAX for digits in found)


def _check_keys(data: bytes, value: object) -> None:
    if not data.isascii() and not _keys_ascii(value):
        raise CodecError("key_not_ascii", "An object key holds a character outside ASCII.")


def _keys_ascii(value: object) -> bool:
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        return all(key.isascii() and _keys_ascii(member) for key, member in members.items())
    if isinstance(value, list):
        return all(_keys_ascii(member) for member in cast("list[object]", value))
    return True


def _check_depth(data: bytes) -> None:
    """A linear scan before any recursive decoder sees the bytes; few brackets cannot nest deeply."""
    if data.count(b"[") + data.count(b"{") > JSON_DEPTH_MAX and not _is_shallow(data):
        raise CodecError("too_deep", f"The nesting is unbalanced or deeper than {JSON_DEPTH_MAX}.")


def _is_shallow(data: bytes) -> bool:
    brackets = _STRING.sub(b"", data).translate(_BRACKETS, _NOT_BRACKETS)
    for _ in range(JSON_DEPTH_MAX):
        brackets = brackets.replace(b"[]", b"")
    return not brackets


def _refuse_float(_text: str) -> NoReturn:
    raise CodecError("float", "Floating-point numbers have no canonical form.")


def _integer(text: str) -> int:
    number = int(text) if len(text) <= _INTEGER_TEXT_MAX else INTEGER_MAX + 1
    if abs(number) > INTEGER_MAX:
        raise CodecError("integer_range", "An integer lies beyond 2^53 - 1.")
    return number


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise CodecError("duplicate_key", "An object names a key twice.")
    if not all(map(str.isascii, members)):
        raise CodecError("key_not_ascii", "An object key holds a character outside ASCII.")
    return members


@functools.cache
def _typed(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


_INTEGER_TEXT_MAX = 17
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))
# The closing quote is optional, so that an unterminated string is eaten once and the scan stays linear.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_LONG_INTEGER = re.compile(rb"[0-9]{16,}")
# Digits after anything else, as mostly in hex, stand in a string.
_SHAPE = bytes.maketrans(b"0123456789[,-", b"0000000000:::")
_LARGE = b":" + b"0" * 16
_ENCODER = msgspec.json.Encoder(order="sorted")
_UNTYPED: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=_refuse_float)
_LOOSE = json.JSONDecoder(
    object_pairs_hook=_members, parse_float=_refuse_float, parse_constant=_refuse_float, parse_int=_integer
)
