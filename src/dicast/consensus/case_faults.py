"""Finds the field of a case that the codec refused: a key named twice, a float, a number out of range."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import cast

from dicast.base.codec import CodecError
from dicast.base.limits import INTEGER_MAX
from dicast.consensus.case_fields import CaseError, one_line, shown

_INTEGER_TEXT_MAX = 17
"""Digits and sign of the largest integer, and one more: longer texts need no reading."""
_LOCATED = frozenset(["float", "duplicate_key", "integer_range", "key_not_ascii", "not_unicode"])
"""Codes of refusals that lie in one field of a text that is JSON and nests no deeper than it may."""


class _Fault:
    """Stands where a value would: what is wrong there."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def case_error(data: bytes, error: CodecError) -> CaseError:
    """The refusal of a text that the codec refused, naming the field where there is one."""
    found = _first_fault(data) if error.code in _LOCATED else None
    return CaseError(*found) if found else CaseError("case", one_line(error.message.removesuffix(".")))


def _first_fault(data: bytes) -> tuple[str, str] | None:
    try:
        value = _DECODER.decode(data.decode("utf-8"))
    except ValueError:
        return None
    return next(iter(_faults(value, "")), None)


def _faults(value: object, field: str) -> Iterable[tuple[str, str]]:
    match value:
        case _Fault():
            yield field or "case", value.reason
        case str() if _has_surrogate(value):
            yield field or "case", "holds a lone surrogate"
        case dict():
            for name, member in cast("dict[str, object]", value).items():
                yield from _faults(member, f"{field}.{shown(name)}" if field else shown(name))
        case list():
            for index, item in enumerate(cast("list[object]", value)):
                yield from _faults(item, f"{field}[{index}]")
        case _:
            pass


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= one <= "\udfff" for one in text)


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            found[name] = _Fault("named twice")
        else:
            found[name] = value if name.isascii() else _Fault("a name outside ASCII")
    return found


def _integer(text: str) -> object:
    number = int(text) if len(text) <= _INTEGER_TEXT_MAX else INTEGER_MAX + 1
    return number if abs(number) <= INTEGER_MAX else _Fault("an integer beyond 2^53 - 1")


def _float(_text: str) -> _Fault:
    return _Fault("must be an integer, not a float")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_float, parse_constant=_float
)
