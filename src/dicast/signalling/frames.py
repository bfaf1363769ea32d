"""What clients and signallers say to each other: one JSON text a frame; see `spec/41-signaller.md`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dicast.base.errors import RemoteProtocolError
from dicast.queries.subscriptions import Delivery, Form

SUBPROTOCOL = "dicast.signal.1"
KEY_SUBPROTOCOL = "dicast.key."
"""A page cannot set headers: it offers its key as a second subprotocol."""
FRAME_BYTES_MAX = 48 * 1024
"""A document's event of 40 KiB and what stands around it; an introduction has a few KiB."""
INTRODUCTION_CHARS_MAX = 16 * 1024
"""An offer with a dozen candidates has 3 kB."""
IDS_MAX = 64
"""Documents asked for at once."""
UPLINK_KBPS_MAX = 10_000_000

Name = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
Address = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\.[0-9]{1,12}\Z")]
SubscriptionName = Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
DocumentId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Uplink = Annotated[int, msgspec.Meta(ge=0, le=UPLINK_KBPS_MAX)]
Body = Annotated[str, msgspec.Meta(max_length=INTRODUCTION_CHARS_MAX)]


class Hello(msgspec.Struct, frozen=True, tag_field="do", tag="hello", forbid_unknown_fields=True):
    """A page that others may be introduced to: its own name, and its uplink as others measured it."""

    name: Name
    uplink_kbps: Uplink = 0


class Subscribe(msgspec.Struct, frozen=True, tag_field="do", tag="subscribe", forbid_unknown_fields=True):
    """Ask for what matches; with `backlog` for what went by lately, too."""

    id: SubscriptionName
    query: msgspec.Raw
    form: Form = Form.DOCUMENTS
    backlog: bool = False


class Unsubscribe(msgspec.Struct, frozen=True, tag_field="do", tag="unsubscribe", forbid_unknown_fields=True):
    """Ask for it no longer."""

    id: SubscriptionName


class Publish(msgspec.Struct, frozen=True, tag_field="do", tag="publish", forbid_unknown_fields=True):
    """Carry a document to whoever asked for it."""

    event: msgspec.Raw


class Want(msgspec.Struct, frozen=True, tag_field="do", tag="want", forbid_unknown_fields=True):
    """Send documents of the backlog by id."""

    ids: Annotated[tuple[DocumentId, ...], msgspec.Meta(max_length=IDS_MAX)]


class Introduce(msgspec.Struct, frozen=True, tag_field="do", tag="introduce", forbid_unknown_fields=True):
    """Hand an offer, an answer or candidates to another page."""

    to: Address
    body: Body


class Peers(msgspec.Struct, frozen=True, tag_field="do", tag="peers", forbid_unknown_fields=True):
    """Name some pages to be introduced to."""


Call = Hello | Subscribe | Unsubscribe | Publish | Want | Introduce | Peers


class Peer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page that others may be introduced to."""

    address: Address
    name: Name
    uplink_kbps: Uplink = 0


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a signaller says of itself: where clients and other signallers reach it, and some of its pages."""

    id: Name
    url: Annotated[str, msgspec.Meta(max_length=200)]
    mesh: Annotated[str, msgspec.Meta(max_length=200)]
    clients: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
    peers: Annotated[tuple[Peer, ...], msgspec.Meta(max_length=8)]


class Handed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An introduction on its way to a client of another signaller."""

    client: Annotated[int, msgspec.Meta(ge=0, le=10**12)]
    sender: Address
    name: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{16})?\Z")]
    body: Body


def read_call(data: bytes) -> Call:
    """What a client says. Raises RemoteProtocolError and nothing else, whatever the bytes."""
    try:
        return _CALLS.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise RemoteProtocolError("signal_frame", f"Not a frame: {_short(error)}.") from error


def read_card(data: bytes) -> Card | None:
    """A signaller's card, None when it is none. Never raises."""
    try:
        return _CARDS.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def read_handed(data: bytes) -> Handed | None:
    """An introduction from another signaller, None when it is none. Never raises."""
    try:
        return _HANDED.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def say(kind: str, **members: object) -> bytes:
    """A frame to a client."""
    return msgspec.json.encode({"is": kind, **members})


def say_delivery(delivery: Delivery) -> list[bytes]:
    """The frames of a delivery: the document itself where it is wanted, else its id."""
    frames: list[bytes] = []
    if delivery.full:
        ids = msgspec.json.encode(delivery.full)
        frames.append(b'{"is":"document","ids":%b,"event":%b}' % (ids, delivery.document.wire))
    elif delivery.brief:
        frames.append(say("seen", ids=delivery.brief, document=delivery.document.id))
    return frames


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__


_CALLS: msgspec.json.Decoder[Call] = msgspec.json.Decoder(Call)
_CARDS = msgspec.json.Decoder(Card)
_HANDED = msgspec.json.Decoder(Handed)
