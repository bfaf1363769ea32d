"""From bytes to packets and back: topic, tags and the strict body; see `spec/09-envelope.md`."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from dicast.base.codec import CodecError, decode, decode_as, encode
from dicast.base.crypto import KeyPair
from dicast.base.errors import RemoteProtocolError
from dicast.base.events import Event, Tags, encode_event, is_signed, parse_event, sign_event
from dicast.base.limits import ANNOUNCEMENT_EXPIRY_MS, EPHEMERAL_FRESHNESS_MS, PACKET_BYTES_MAX
from dicast.base.nip44 import SealError, payload_chars
from dicast.base.types import EventId, NodeId, Now
from dicast.protocol.messages import (
    BODIES,
    EPHEMERAL,
    KINDS,
    SEALED_REVEAL,
    STARTS,
    Body,
    Kind,
    Refusal,
    SealedReveal,
)
from dicast.protocol.network import NetworkSecret, Unsealed, topic_of

_HEX64 = re.compile(r"[0-9a-f]{64}\Z")
_SECONDS = re.compile(r"[1-9][0-9]{0,14}\Z")
_KINDS: dict[int, Kind] = {int(kind): kind for kind in Kind}


class Packet(msgspec.Struct, frozen=True):
    """A parsed event of our topic. `body` was decoded strictly; the signature may not be checked yet."""

    id: EventId
    author: NodeId
    kind: Kind
    created_at: int
    predecessor: EventId | None
    addressees: tuple[NodeId, ...]
    expires_at: int
    topic: str
    event: Event
    wire: bytes


class PacketReader:
    """Parses wires and checks signatures. The simulator's subclass remembers both per wire.

    With the secret of a private network it reads what is said there; on every other topic it reads as usual.
    """

    def __init__(self, secret: NetworkSecret | None = None) -> None:
        self._secret = secret

    @property
    def secret(self) -> NetworkSecret | None:
        """Of the private network that it reads."""
        return self._secret

    def parse(self, wire: bytes) -> Packet:
        """The packet in `wire`; raises `RemoteProtocolError` whose code is a `Refusal`."""
        return parse_packet(wire)

    def is_signed(self, packet: Packet) -> bool:
        """Does the Schnorr signature hold?"""
        return is_signed(packet.event)

    def body(self, packet: Packet) -> Body:
        """The strictly decoded content; raises `RemoteProtocolError` with code `body`."""
        return decode_body(packet, self._secret)

    def speaks_other_version(self, packet: Packet) -> bool:
        """Is it a body of a later version, which this software does not know? That is nobody's fault."""
        try:
            body = decode(_content(packet, self._secret).encode())
        except RemoteProtocolError:
            return False
        version = body.get("v") if isinstance(body, dict) else None
        return isinstance(version, int) and version > 1


def parse_packet(wire: bytes) -> Packet:
    """Shape only: size, event, tags. Signature and content come later, when the packet is wanted."""
    if len(wire) > PACKET_BYTES_MAX:
        raise RemoteProtocolError(Refusal.SIZE.value, "The packet is larger than 64 KiB.")
    try:
        event = parse_event(wire)
    except RemoteProtocolError as error:
        raise RemoteProtocolError(Refusal.SHAPE.value, error.message) from error
    kind = _KINDS.get(event.kind)
    if kind is None:
        raise RemoteProtocolError(Refusal.UNKNOWN_KIND.value, "No message of ours has this kind.")
    return _packet_of(event, kind, wire)


def _packet_of(event: Event, kind: Kind, wire: bytes) -> Packet:
    topic, predecessor, address, expires_at = "", "", "", 0
    addressees: list[NodeId] = []
    for tag in event.tags:
        name, value = tag if len(tag) == 2 else ("", "")
        if name == "t" and not topic and _HEX64.match(value):
            topic = value
        elif name == "e" and not predecessor and _HEX64.match(value):
            predecessor = value
        elif name == "p" and _HEX64.match(value):
            addressees.append(NodeId(value))
        elif name == "d" and value and not address:
            address = value
        elif name == "expiration" and not expires_at and _SECONDS.match(value):
            expires_at = int(value)
        else:
            raise RemoteProtocolError(Refusal.SHAPE.value, "A tag is unknown, repeated or malformed.")
    if not topic or (kind not in STARTS) != bool(predecessor):
        raise RemoteProtocolError(Refusal.SHAPE.value, "The topic or the predecessor is missing.")
    if (kind is Kind.ANNOUNCEMENT) != bool(address) or (address and address != topic):
        raise RemoteProtocolError(Refusal.SHAPE.value, "Only announcements are addressable, by their topic.")
    return Packet(
        id=EventId(event.id),
        author=NodeId(event.pubkey),
        kind=kind,
        created_at=event.created_at,
        predecessor=EventId(predecessor) if predecessor else None,
        addressees=tuple(addressees),
        expires_at=expires_at,
        topic=topic,
        event=event,
        wire=wire,
    )


def decode_body(packet: Packet, secret: NetworkSecret | None = None) -> Body:
    """Strict canonical content into the kind's record; raises `RemoteProtocolError`, code `body`."""
    try:
        content = _content(packet, secret)
        is_sealed = packet.kind is Kind.REVEAL and content.startswith(SEALED_REVEAL)
        return decode_as(content.encode(), SealedReveal if is_sealed else BODIES[packet.kind])
    except (CodecError, SealError) as error:
        raise RemoteProtocolError(Refusal.BODY.value, error.message) from error


def _content(packet: Packet, secret: NetworkSecret | None) -> str:
    """What the event says, opened where it was said on the private network."""
    event = packet.event
    if secret is None or packet.topic != secret.topic:
        return event.content
    unsealed = Unsealed(event.pubkey, event.created_at, event.kind, event.tags)
    return unsealed.unseal(event.content, secret)


def make_packet(key: KeyPair, topic: str, body: Body, now: Now, predecessor: EventId | None = None) -> Packet:
    """Sign a message that addresses nobody in particular."""
    return sign_packet(key, body, tags_for(KINDS[type(body)], topic, now, predecessor, ()), now)


def sign_packet(
    key: KeyPair, body: Body, tags: Tags, now: Now, secret: NetworkSecret | None = None
) -> Packet:
    """Sign one message. One over the packet limit is our own bug: callers check `packet_bytes` first."""
    kind, content, created_at = KINDS[type(body)], encode(body).decode(), now.unix_ms // 1000
    if secret is not None:
        content = Unsealed(key.node_id, created_at, int(kind), tags).seal(content, secret)
    event = sign_event(key, created_at, int(kind), tags, content)
    wire = encode_event(event)
    assert len(wire) <= PACKET_BYTES_MAX, "a packet of ours is over the limit"
    return _packet_of(event, kind, wire)


def packet_bytes(topic: str, body: Body, now: Now, *, sealed: bool = False) -> int:
    """Bytes of the packet that would carry `body` with a predecessor: what the limits are about.

    `sealed`: on a private network, where content is padded and spelled in base64.
    """
    kind, content, blank = KINDS[type(body)], encode(body), "0" * 64
    text = "A" * payload_chars(len(content)) if sealed else content.decode()
    tags = tags_for(kind, topic, now, EventId(blank), ())
    event = Event(EventId(blank), NodeId(blank), now.unix_ms // 1000, int(kind), tags, text, blank * 2)
    return len(encode_event(event))


def tags_for(
    kind: Kind, topic: str, now: Now, predecessor: EventId | None, addressees: Sequence[NodeId]
) -> Tags:
    """A packet's tags, in their one order: t, e, p, d, expiration."""
    seconds = now.unix_ms // 1000
    tags: list[tuple[str, ...]] = [("t", topic)]
    if predecessor is not None:
        tags.append(("e", predecessor))
    tags.extend(("p", addressee) for addressee in addressees)
    if kind is Kind.ANNOUNCEMENT:
        tags.append(("d", topic))
        tags.append(("expiration", str(seconds + ANNOUNCEMENT_EXPIRY_MS // 1000)))
    elif kind in EPHEMERAL:
        tags.append(("expiration", str(seconds + EPHEMERAL_FRESHNESS_MS // 1000)))
    return tuple(tags)


__all__ = [
    "Packet",
    "PacketReader",
    "decode_body",
    "make_packet",
    "packet_bytes",
    "parse_packet",
    "sign_packet",
    "tags_for",
    "topic_of",
]
