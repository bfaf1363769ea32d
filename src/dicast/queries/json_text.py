"""JSON objects as documents and queries hold them: every number is the nearest double, all is bounded."""

from __future__ import annotations

import json
import math
from enum import StrEnum
from typing import NoReturn, TypeAlias, cast

from dicast.base.errors import RemoteProtocolError
from dicast.base.limits import JSON_DEPTH_MAX

OBJECT_BYTES_MAX = 16 * 1024
"""What a document may have: a quarter of a packet, so that it fits whole however its quotes are escaped."""
OBJECT_VALUES_MAX = 1_024
"""Values of one object, nested ones too: bounds what one comparison with it can cost."""

JsonValue: TypeAlias = "bool | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = "dict[str, JsonValue]"


class Fault(StrEnum):
    """Why a text is no document or no query. The same words in every implementation."""

    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    NUMBER_RANGE = "number_range"
    TOO_DEEP = "too_deep"
    TOO_MANY_VALUES = "too_many_values"
    UNKNOWN_OPERATOR = "unknown_operator"
    MISPLACED_OPERATOR = "misplaced_operator"
    BAD_OPERAND = "bad_operand"
    BAD_PATH = "bad_path"
    TOO_COMPLEX = "too_complex"


class QueryError(RemoteProtocolError):
    """A text that is no document or no query; `fault` says why, the message where."""

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(f"query_{fault.value}", message)
        self.fault = fault


def read_object(data: bytes, bytes_max: int = OBJECT_BYTES_MAX) -> JsonObject:
    """The object in a JSON text. Raises `QueryError` and nothing else, whatever the bytes."""
    if len(data) > bytes_max:
        raise QueryError(Fault.TOO_LARGE, f"The text has {len(data)} bytes; at most {bytes_max} are taken.")
    try:
        value = _DECODER.decode(data.decode("utf-8"))
    except RecursionError as error:
        raise QueryError(Fault.TOO_DEEP, f"The text nests deeper than {JSON_DEPTH_MAX}.") from error
    except ValueError as error:
        raise QueryError(Fault.NOT_JSON, f"The text is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise QueryError(Fault.NOT_AN_OBJECT, "The text is JSON, but no object.")
    check_bounds(cast("JsonObject", value))
    return cast("JsonObject", value)


def check_bounds(value: JsonValue) -> int:
    """How many values there are in a value, itself included. Raises `QueryError` over a bound."""
    level, count = [value], 0
    for depth in range(JSON_DEPTH_MAX + 1):
        count += len(level)
        if count > OBJECT_VALUES_MAX:
            raise QueryError(Fault.TOO_MANY_VALUES, f"There are more than {OBJECT_VALUES_MAX} values.")
        for one in level:
            _check_leaf(one)
        has_containers = any(isinstance(one, list | dict) for one in level)
        if has_containers and depth == JSON_DEPTH_MAX:
            break
        level = [inner for one in level for inner in _inner(one)]
        if not level:
            return count
    raise QueryError(Fault.TOO_DEEP, f"The text nests deeper than {JSON_DEPTH_MAX}.")


def _check_leaf(value: JsonValue) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise QueryError(Fault.NUMBER_RANGE, "A number is larger than a double holds.")
    texts = [value] if isinstance(value, str) else list(value) if isinstance(value, dict) else []
    if any(_is_lone(text) for text in texts):
        raise QueryError(Fault.NOT_JSON, "A string holds half of a surrogate pair.")


def _is_lone(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _inner(value: JsonValue) -> list[JsonValue]:
    if isinstance(value, list):
        return value
    return list(value.values()) if isinstance(value, dict) else []


def _members(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object names a key twice")
    return members


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=float, parse_float=float, parse_constant=_refuse_constant
)
