"""Walks everything an object holds: to fingerprint it, and to count what its containers hold."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from enum import Enum
from typing import Any

import msgspec

from dicast.base.expiring import SeenIds
from dicast.protocol.envelope import PacketReader

ACCOUNTS = frozenset(
    {"_rejected", "_verified", "_marked", "_rates", "_now", "_orphans", "_seen", "_wires", "_foreign"}
)
"""Attributes in which refusing is counted: the only ones that a refusal may touch."""
_LEAVES = (str, bytes, int, float, bool, type(None), Enum, PacketReader)


def fingerprint(subject: object) -> bytes:
    """SHA-256 over everything `subject` holds, but for the accounts; equal state, equal bytes."""
    pieces: list[str] = []
    _describe(subject, pieces, set())
    return hashlib.sha256("\n".join(pieces).encode("utf-8", "surrogatepass")).digest()


def sizes(subject: object) -> Iterator[tuple[str, int]]:
    """Path and number of items of every container reachable from `subject`."""
    pending: list[tuple[str, Any, int]] = [("node", subject, id(subject))]
    visited: set[int] = set()
    while pending:
        path, value, identity = pending.pop()
        if isinstance(value, _LEAVES) or identity in visited:
            continue
        visited.add(identity)
        if isinstance(value, SeenIds):
            yield path, len(value)
        elif isinstance(value, dict | list | tuple | set | frozenset | deque):
            yield path, len(value)  # type: ignore[reportUnknownArgumentType]
            pending.extend((f"{path}[]", item, id(item)) for item in _items(value))
        else:
            pending.extend((f"{path}.{name}", item, id(item)) for name, item in _attributes(value))


def _describe(value: Any, pieces: list[str], open_ids: set[int]) -> None:
    if isinstance(value, _LEAVES):
        pieces.append("reader" if isinstance(value, PacketReader) else repr(value))
        return
    identity = id(value)
    if identity in open_ids:
        pieces.append("seen above")
        return
    open_ids.add(identity)
    pieces.append(type(value).__name__)
    if isinstance(value, set | frozenset):
        pieces.extend(sorted(map(repr, value)))  # type: ignore[reportUnknownArgumentType]
    elif isinstance(value, dict | list | tuple | deque):
        pieces.append(str(len(value)))  # type: ignore[reportUnknownArgumentType]
        for item in _items(value):
            _describe(item, pieces, open_ids)
    else:
        for name, item in _attributes(value):
            if name not in ACCOUNTS:
                pieces.append(name)
                _describe(item, pieces, open_ids)
    open_ids.discard(identity)


def _items(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [part for pair in value.items() for part in pair]  # type: ignore[reportUnknownVariableType]
    return list(value)


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    """Fields of a record, slots and attributes of an object; nothing of functions and foreign types."""
    if isinstance(value, msgspec.Struct):
        names: tuple[str, ...] = value.__struct_fields__
    elif callable(value) or not type(value).__module__.startswith("dicast."):
        return
    else:
        slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
        names = (*slots, *getattr(value, "__dict__", {}))
    for name in names:
        yield name, getattr(value, name, None)
