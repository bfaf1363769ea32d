"""Documents: any JSON object of at most 16 KiB in a signed event, so that receivers know who published it."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from dicast.base.crypto import KeyPair
from dicast.base.errors import RemoteProtocolError
from dicast.base.events import Event, encode_event, is_signed, parse_event, sign_event
from dicast.base.hashing import tagged
from dicast.base.types import EventId, NodeId
from dicast.queries.json_text import JsonObject, check_bounds, read_object

DOCUMENT_KIND = 4140
"""The Nostr kind of a document: no kind of a round's messages, so none of them is ever taken for one."""
DOCUMENT_WIRE_BYTES_MAX = 40 * 1024
"""16 KiB of JSON, each byte of which may need escaping inside the event, and the event around it."""
DOCUMENT_AGE_MS_MAX = 600_000
"""Ten minutes: what a late joiner still gets, and how long ids must be remembered against replays."""
DOCUMENT_AHEAD_MS_MAX = 60_000
"""Clocks kept by NTP agree far better; a stamp from the future would outlive its time in the backlog."""


class DocumentFault(StrEnum):
    """Why an event is no document here."""

    EVENT = "event"
    KIND = "kind"
    TOPIC = "topic"
    SIGNATURE = "signature"
    STALE = "stale"
    CLOCK = "clock"


class DocumentError(RemoteProtocolError):
    """An event that is no document of this topic, or is too old."""

    def __init__(self, fault: DocumentFault, message: str) -> None:
        super().__init__(f"document_{fault.value}", message)
        self.fault = fault


class Document(msgspec.Struct, frozen=True):
    """A document whose signature holds. `value_count` bounds what matching costs; times in Unix seconds."""

    id: EventId
    author: NodeId
    created_at: int
    value: JsonObject
    value_count: int
    wire: bytes


def document_topic(network: str) -> str:
    """The topic of a network's documents: another than its rounds', so that neither meets the other."""
    return tagged("dicast/documents/1", network.encode()).hex()


def make_document(key: KeyPair, topic: str, text: bytes, now_unix_ms: int) -> Document:
    """Sign the JSON object in `text`. Raises `QueryError` when it is none, or over a bound."""
    value = read_object(text)
    event = sign_event(key, now_unix_ms // 1000, DOCUMENT_KIND, [("t", topic)], text.decode())
    return _document(event, value, encode_event(event))


def read_document(wire: bytes, topic: str, now_unix_ms: int) -> Document:
    """The document in an event's bytes, checked to its signature. Raises `DocumentError` or `QueryError`."""
    if len(wire) > DOCUMENT_WIRE_BYTES_MAX:
        raise DocumentError(DocumentFault.EVENT, f"An event has at most {DOCUMENT_WIRE_BYTES_MAX} bytes.")
    try:
        event = parse_event(wire)
    except RemoteProtocolError as error:
        raise DocumentError(DocumentFault.EVENT, error.message) from error
    if event.kind != DOCUMENT_KIND:
        raise DocumentError(DocumentFault.KIND, f"A document is an event of kind {DOCUMENT_KIND}.")
    if event.tags != (("t", topic),):
        raise DocumentError(DocumentFault.TOPIC, "The one tag of a document is t, its topic.")
    age_ms = now_unix_ms - event.created_at * 1000
    if age_ms > DOCUMENT_AGE_MS_MAX:
        raise DocumentError(DocumentFault.STALE, "The document is older than ten minutes.")
    if -age_ms > DOCUMENT_AHEAD_MS_MAX:
        raise DocumentError(DocumentFault.CLOCK, "The document is stamped more than a minute ahead.")
    value = read_object(event.content.encode())
    if not is_signed(event):
        raise DocumentError(DocumentFault.SIGNATURE, "The signature does not hold.")
    return _document(event, value, encode_event(event))


def _document(event: Event, value: JsonObject, wire: bytes) -> Document:
    return Document(event.id, event.pubkey, event.created_at, value, check_bounds(value), wire)
