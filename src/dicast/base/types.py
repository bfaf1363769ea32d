"""Distinct names for distinct things. All ids are 64 lower-case hex characters."""

from __future__ import annotations

from typing import NewType

import msgspec

NodeId = NewType("NodeId", str)
"""A node's identity: its BIP-340 x-only public key."""

EventId = NewType("EventId", str)
"""SHA-256 of a NIP-01 event's serialisation."""

RequestId = NewType("RequestId", str)
"""The event id of a request; it names the round."""

Digest = NewType("Digest", str)
"""A SHA-256 value."""

Json = None | bool | int | str | list["Json"] | dict[str, "Json"]
"""What canonical JSON can hold: no floats."""


class Now(msgspec.Struct, frozen=True):
    """The time of an input: `monotonic_ms` drives deadlines, `unix_ms` drives stamps and freshness."""

    monotonic_ms: int
    unix_ms: int
