"""Reads the fields of a case one by one, so that a refusal names the field."""

from __future__ import annotations

import re

from dicast.base.errors import Rejection
from dicast.base.types import Json

_HEX = re.compile(r"(?:[0-9a-f]{2})*")
_PLAIN = re.compile(r"[0-9A-Za-z_./:-]{1,80}")
_SHOWN_MAX = 60
"""Characters of a strange name that an error line repeats: enough to find it."""


class CaseError(Rejection):
    """A case that is not one; the message is one line, `field: reason`."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__("case_invalid", f"{field}: {reason}")
        self.field = field
        self.reason = reason


def shown(name: str) -> str:
    """A name as an error line may hold it: one line, short, ASCII."""
    return name if _PLAIN.fullmatch(name) else ascii(name[:_SHOWN_MAX])


def one_line(message: str) -> str:
    """A message from elsewhere, without line breaks and without control characters."""
    return "".join(one if " " <= one < "\x7f" or one > "\xa0" else " " for one in message)


def members(value: Json, field: str) -> dict[str, Json]:
    """An object of free keys."""
    if not isinstance(value, dict):
        raise CaseError(field, "must be an object")
    return value


def fields(value: Json, field: str, required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, Json]:
    """An object with exactly these fields; `field` is empty for the case itself."""
    found = members(value, field or "case")
    prefix = f"{field}." if field else ""
    for name in found:
        if name not in required and name not in optional:
            raise CaseError(prefix + shown(name), "unknown field")
    for name in required:
        if name not in found:
            raise CaseError(prefix + name, "missing")
    return found


def elements(value: Json, field: str) -> list[Json]:
    """An array."""
    if not isinstance(value, list):
        raise CaseError(field, "must be an array")
    return value


def text(value: Json, field: str) -> str:
    """A string."""
    if not isinstance(value, str):
        raise CaseError(field, "must be a string")
    return value


def texts(value: Json, field: str) -> tuple[str, ...]:
    """An array of strings."""
    return tuple(text(item, f"{field}[{index}]") for index, item in enumerate(elements(value, field)))


def integer(value: Json, field: str, least: int, most: int | None = None) -> int:
    """An integer of at least `least` and at most `most`."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise CaseError(field, "must be an integer")
    if value < least or (most is not None and value > most):
        wanted = f"at least {least}" if most is None else f"within {least}…{most}"
        raise CaseError(field, f"must be {wanted}, is {value}")
    return value


def hex_text(value: Json, field: str, length: int | None = None) -> str:
    """Lower-case hex of `length` characters, or of any even number of them."""
    found = text(value, field)
    if length is not None and len(found) != length:
        raise CaseError(field, f"must be {length} hex characters, has {len(found)}")
    if len(found) % 2:
        raise CaseError(field, "must be an even number of hex characters")
    if _HEX.fullmatch(found) is None:
        raise CaseError(field, "must be lower-case hex")
    return found


def digest(value: Json, field: str) -> str:
    """32 bytes as 64 lower-case hex characters: an id, a key, a digest or a salt."""
    return hex_text(value, field, 64)
