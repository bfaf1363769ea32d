"""NIP-01 events: every packet is one, byte for byte, on every transport."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Annotated, NoReturn

import msgspec

from dicast.base.crypto import KeyPair, verify
from dicast.base.errors import LocalProtocolError, RemoteProtocolError
from dicast.base.limits import (
    KIND_MAX,
    PACKET_BYTES_MAX,
    TAG_ITEM_CHARS_MAX,
    TAG_ITEMS_MAX,
    TAGS_MAX,
    UNIX_SECONDS_MAX,
)
from dicast.base.types import EventId, NodeId

Tags = tuple[tuple[str, ...], ...]

_TagItem = Annotated[str, msgspec.Meta(max_length=TAG_ITEM_CHARS_MAX)]
_Tag = Annotated[tuple[_TagItem, ...], msgspec.Meta(min_length=1, max_length=TAG_ITEMS_MAX)]
_WireTags = Annotated[tuple[_Tag, ...], msgspec.Meta(max_length=TAGS_MAX)]
_Seconds = Annotated[int, msgspec.Meta(ge=0, le=UNIX_SECONDS_MAX)]
_Kind = Annotated[int, msgspec.Meta(ge=0, le=KIND_MAX)]


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A NIP-01 event. `created_at` is in Unix seconds; `id` is the hash of all but `sig`."""

    id: EventId
    pubkey: NodeId
    created_at: _Seconds
    kind: _Kind
    tags: _WireTags
    content: str
    sig: str


def event_digest(
    pubkey: str, created_at: int, kind: int, tags: Sequence[Sequence[str]], content: str
) -> bytes:
    """The 32 bytes that are signed: SHA-256 of NIP-01's `[0,pubkey,created_at,kind,tags,content]`."""
    return hashlib.sha256(_serialise(pubkey, created_at, kind, tags, content)).digest()


def sign_event(
    key: KeyPair, created_at: int, kind: int, tags: Sequence[Sequence[str]], content: str
) -> Event:
    """A signed event of `key`; `LocalProtocolError` when NIP-01 or our limits do not allow it."""
    try:
        digest = event_digest(key.node_id, created_at, kind, tags, content)
        frozen: Tags = tuple(map(tuple, tags))
        event = Event(EventId(digest.hex()), key.node_id, created_at, kind, frozen, content, key.sign(digest))
        _DECODER.decode(encode_event(event))
    except (RemoteProtocolError, msgspec.ValidationError, UnicodeError) as error:
        raise LocalProtocolError("bad_event", f"This cannot be an event: {error}.") from error
    return event


def encode_event(event: Event) -> bytes:
    """The event's wire form: canonical JSON, keys ascending."""
    return _ENCODER.encode(event)


def parse_event(wire: bytes) -> Event:
    """The event in these bytes, shape and id checked, the signature not. Key order and spacing are free."""
    if len(wire) > PACKET_BYTES_MAX:
        _refuse("packet_size", f"A packet has at most {PACKET_BYTES_MAX} bytes.")
    try:
        event = _DECODER.decode(wire)
        if _ENCODER.encode(event) != wire:
            _refuse_duplicate_keys(wire)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        raise RemoteProtocolError("event_shape", f"Not an event: {error}.") from error
    if not _HEX.fullmatch(event.pubkey + event.sig) or len(event.pubkey) != 64:
        _refuse("event_hex", "The key or the signature is not lower-case hex of its length.")
    if event_digest(event.pubkey, event.created_at, event.kind, event.tags, event.content).hex() != event.id:
        _refuse("event_id", "The id is not the hash of the event.")
    return event


def is_signed(event: Event) -> bool:
    """Whether the signature holds for the id; `parse_event` has tied the id to the rest."""
    try:
        digest = bytes.fromhex(event.id)
    except ValueError:
        return False
    return verify(event.pubkey, digest, event.sig)


def _serialise(pubkey: str, created_at: int, kind: int, tags: Sequence[Sequence[str]], content: str) -> bytes:
    data = _ENCODER.encode((0, pubkey, created_at, kind, tags, content))
    # NIP-01 leaves other control characters verbatim, JSON escapes them: no two libraries agree on the id.
    if b"\\u00" in data and _has_control(tags, content):
        _refuse("event_control", "The event holds a control character that NIP-01 does not escape.")
    return data


def _has_control(tags: Sequence[Sequence[str]], content: str) -> bool:
    return _CONTROL.search(content) is not None or any(_CONTROL.search(item) for tag in tags for item in tag)


def _refuse_duplicate_keys(wire: bytes) -> None:
    keys = _KEYS.decode(wire.decode("utf-8"))
    if len(keys) != len(set(keys)):
        _refuse("event_shape", "The event names a key twice.")


def _refuse(code: str, message: str) -> NoReturn:
    raise RemoteProtocolError(code, message)


def _names(pairs: list[tuple[str, object]]) -> list[str]:
    return [name for name, _ in pairs]


_HEX = re.compile("[0-9a-f]{192}")
_CONTROL = re.compile("[\x00-\x07\x0b\x0e-\x1f]")
_ENCODER = msgspec.json.Encoder(order="sorted")
_DECODER = msgspec.json.Decoder(Event)
_KEYS = json.JSONDecoder(object_pairs_hook=_names)
