"""NIP-19: keys and ids as people copy them: npub, nsec, note, and the longer forms that carry relays."""

from __future__ import annotations

import msgspec

from dicast.base.bech32 import KeyTextError, decode, encode
from dicast.base.crypto import is_node_id, is_secret
from dicast.base.types import EventId, NodeId

RELAYS_MAX = 16
"""Relays in one pointer: nobody tries more, and the text stays copyable."""


class ProfilePointer(msgspec.Struct, frozen=True):
    """A key and relays where it may be found."""

    node_id: NodeId
    relays: tuple[str, ...] = ()


class EventPointer(msgspec.Struct, frozen=True):
    """An event, relays where it may be found, and optionally who made it and its kind."""

    event_id: EventId
    relays: tuple[str, ...] = ()
    author: NodeId | None = None
    kind: int | None = None


def encode_npub(node_id: str) -> str:
    """A public key for people."""
    return encode("npub", _identifier(node_id))


def decode_npub(text: str) -> NodeId:
    """The public key of an `npub1…`."""
    return NodeId(_fixed("npub", text).hex())


def encode_nsec(secret: bytes) -> str:
    """A secret key for people: whoever reads it is that node."""
    return encode("nsec", secret)


def decode_nsec(text: str) -> bytes:
    """The secret key of an `nsec1…`."""
    secret = _fixed("nsec", text)
    if not is_secret(secret):
        raise KeyTextError("key_range", "The secret key is zero or beyond the curve's order.")
    return secret


def encode_note(event_id: str) -> str:
    """An event id for people."""
    return encode("note", _identifier(event_id))


def decode_note(text: str) -> EventId:
    """The event id of a `note1…`."""
    return EventId(_fixed("note", text).hex())


def encode_nprofile(pointer: ProfilePointer) -> str:
    """A key with its relays."""
    return encode(
        "nprofile", _entry(_SPECIAL, bytes.fromhex(pointer.node_id)) + _relay_entries(pointer.relays)
    )


def decode_nprofile(text: str) -> ProfilePointer:
    """The key and the relays of an `nprofile1…`."""
    entries = _entries("nprofile", text)
    return ProfilePointer(NodeId(_special(entries)), _relays(entries))


def encode_nevent(pointer: EventPointer) -> str:
    """An event id with its relays, author and kind."""
    author = _entry(_AUTHOR, bytes.fromhex(pointer.author)) if pointer.author else b""
    kind = _entry(_KIND, pointer.kind.to_bytes(4, "big")) if pointer.kind is not None else b""
    special = _entry(_SPECIAL, bytes.fromhex(pointer.event_id))
    return encode("nevent", special + _relay_entries(pointer.relays) + author + kind)


def decode_nevent(text: str) -> EventPointer:
    """What an `nevent1…` says."""
    entries = _entries("nevent", text)
    author = next((value.hex() for tag, value in entries if tag == _AUTHOR and len(value) == 32), None)
    kind = next(
        (int.from_bytes(value, "big") for tag, value in entries if tag == _KIND and len(value) == 4), None
    )
    return EventPointer(
        EventId(_special(entries)), _relays(entries), NodeId(author) if author is not None else None, kind
    )


def parse_node_id(text: str) -> NodeId:
    """A public key in any form that people paste: hex, `npub1…`, `nprofile1…`, with or without `nostr:`."""
    bare = text.strip().removeprefix("nostr:")
    if is_node_id(bare.lower()):
        return NodeId(bare.lower())
    return decode_nprofile(bare).node_id if bare.startswith("nprofile1") else decode_npub(bare)


def _identifier(text: str) -> bytes:
    if not is_node_id(text):
        raise KeyTextError("key_hex", "The key or id is not 64 lower-case hex digits.")
    return bytes.fromhex(text)


def _payload(prefix: str, text: str) -> bytes:
    found, data = decode(text)
    if found != prefix:
        raise KeyTextError("key_prefix", f"This begins with {found}1, not with {prefix}1.")
    return data


def _fixed(prefix: str, text: str) -> bytes:
    data = _payload(prefix, text)
    if len(data) != 32:
        raise KeyTextError("key_length", f"This {prefix} holds {len(data)} bytes, not 32.")
    return data


def _entry(tag: int, value: bytes) -> bytes:
    if len(value) > 255:
        raise KeyTextError("relay_length", "A relay's address has more than 255 bytes.")
    return bytes((tag, len(value))) + value


def _relay_entries(relays: tuple[str, ...]) -> bytes:
    if len(relays) > RELAYS_MAX:
        raise KeyTextError("relay_count", f"More than {RELAYS_MAX} relays.")
    return b"".join(_entry(_RELAY, relay.encode()) for relay in relays)


def _entries(prefix: str, text: str) -> list[tuple[int, bytes]]:
    data = _payload(prefix, text)
    entries: list[tuple[int, bytes]] = []
    while data:
        length = data[1] if len(data) > 1 else len(data)
        if len(data) < 2 + length:
            raise KeyTextError("key_length", f"This {prefix} was cut short.")
        entries.append((data[0], data[2 : 2 + length]))
        data = data[2 + length :]
    return entries


def _special(entries: list[tuple[int, bytes]]) -> str:
    special = next((value for tag, value in entries if tag == _SPECIAL), b"")
    if len(special) != 32:
        raise KeyTextError("key_length", "The key or id inside has not 32 bytes.")
    return special.hex()


def _relays(entries: list[tuple[int, bytes]]) -> tuple[str, ...]:
    texts = (value.decode("utf-8", "replace") for tag, value in entries if tag == _RELAY)
    return tuple(texts)[:RELAYS_MAX]


_SPECIAL, _RELAY, _AUTHOR, _KIND = range(4)
