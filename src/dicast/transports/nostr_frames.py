"""The frames of a Nostr relay (NIP-01, NIP-42), as values: nothing here waits, and nothing here raises."""

from __future__ import annotations

import msgspec

from dicast.base.events import Event, encode_event
from dicast.base.limits import ANNOUNCEMENT_EXPIRY_MS, PACKET_BYTES_MAX, PEERS_MAX
from dicast.base.types import Json
from dicast.protocol.messages import Kind

LIVE = "live"  # the name of the subscription that stays
FETCH = "fetch"  # the name of the one that asks for packets by id
REASON_CHARS_MAX = 200  # what a relay says about itself ends in a status line
CHALLENGE_CHARS_MAX = 512  # challenges in use have 16 to 64
REPLAYED_PACKETS_MAX = 1000  # asked of a relay at once; most give 500 at the most
FIRST_LOOK_BACK_SECONDS = 70 * 60  # a round may last an hour: a node that restarts finds its packets again
ANNOUNCEMENT_SECONDS = ANNOUNCEMENT_EXPIRY_MS // 1000
FETCHED_IDS_MAX = 64  # as many as one `want` may name


class Relayed(msgspec.Struct, frozen=True):
    """An event of a subscription; `wire` is its canonical form, signature and id not yet looked at."""

    subscription: str
    wire: bytes
    kind: int
    created_at: int


class StoredEnd(msgspec.Struct, frozen=True):
    """The relay has sent what it had stored (EOSE)."""

    subscription: str


class Answered(msgspec.Struct, frozen=True):
    """The relay's answer to a published event (OK)."""

    event_id: str
    accepted: bool
    reason: str


class SubscriptionClosed(msgspec.Struct, frozen=True):
    """The relay ended a subscription; the reason starts with a word such as `auth-required:`."""

    subscription: str
    reason: str


class Notice(msgspec.Struct, frozen=True):
    """Something for people."""

    text: str


class Challenge(msgspec.Struct, frozen=True):
    """The relay wants to know who we are (NIP-42)."""

    challenge: str


RelayFrame = Relayed | StoredEnd | Answered | SubscriptionClosed | Notice | Challenge


def parse_frame(data: bytes) -> RelayFrame | None:
    """What a relay said, or None when it is nothing a relay says. Never raises, whatever the bytes."""
    try:
        items = _ITEMS.decode(data)
        return _parse_items(_TEXT.decode(items[0]), items)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, IndexError, ValueError):
        return None


def _parse_items(label: str, items: list[msgspec.Raw]) -> RelayFrame | None:
    match label, len(items):
        case "EVENT", 3:
            return _relayed(_TEXT.decode(items[1]), items[2])
        case "EOSE", 2:
            return StoredEnd(_TEXT.decode(items[1]))
        case "OK", 3 | 4:
            reason = _TEXT.decode(items[3]) if len(items) == 4 else ""
            return Answered(_TEXT.decode(items[1]), _FLAG.decode(items[2]), reason[:REASON_CHARS_MAX])
        case "CLOSED", 2 | 3:
            reason = _TEXT.decode(items[2]) if len(items) == 3 else ""
            return SubscriptionClosed(_TEXT.decode(items[1]), reason[:REASON_CHARS_MAX])
        case "NOTICE", 2:
            return Notice(_TEXT.decode(items[1])[:REASON_CHARS_MAX])
        case "AUTH", 2:
            challenge = _TEXT.decode(items[1])
            return Challenge(challenge) if len(challenge) <= CHALLENGE_CHARS_MAX else None
        case _:
            return None


def _relayed(subscription: str, raw: msgspec.Raw) -> Relayed | None:
    """Relays reorder keys and respell strings; the canonical form makes copies from several relays equal."""
    event = _EVENT.decode(raw)
    wire = encode_event(event)
    if len(wire) > PACKET_BYTES_MAX:
        return None
    return Relayed(subscription, wire, event.kind, event.created_at)


class Published(msgspec.Struct, frozen=True):
    """What the transport must know of a packet of our own."""

    id: str
    kind: int
    content: str


def parse_published(wire: bytes) -> Published | None:
    """The id, kind and content of a packet of our own; None when it is not an event."""
    try:
        return _PUBLISHED.decode(wire)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


class _Wanted(msgspec.Struct, frozen=True):
    ids: tuple[str, ...]


def wanted_ids(published: Published) -> tuple[str, ...]:
    """The ids a `want` of ours asks for: a relay may still hold them, and will not forward a repetition."""
    if published.kind != Kind.WANT:
        return ()
    try:
        return _WANTED.decode(published.content).ids[:FETCHED_IDS_MAX]
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ()


def event_frame(wire: bytes) -> bytes:
    """`["EVENT", …]` around a packet."""
    return b'["EVENT",' + wire + b"]"


def auth_frame(event: Event) -> bytes:
    """`["AUTH", …]` around a signed answer to a challenge."""
    return b'["AUTH",' + encode_event(event) + b"]"


def close_frame(subscription: str) -> bytes:
    """Ends a subscription."""
    return _ENCODER.encode(["CLOSE", subscription])


def fetch_frame(ids: tuple[str, ...]) -> bytes:
    """Asks for stored packets by id."""
    return _ENCODER.encode(["REQ", FETCH, {"ids": ids, "limit": len(ids)}])


def live_frame(topic: str, unix_seconds: int, since: int) -> bytes:
    """Subscribes to a topic: the announcements in force, the rounds since `since`, and all that is to come.

    Three filters, because a relay cuts each at its own limit, newest first: announcements must not drown in
    rounds. The last one takes new packets whatever their stamp: a repetition carries the stamp of its making.
    With `since` now or later, nothing stored is asked for.
    """
    topic_filter: dict[str, Json] = {"#t": [topic]}
    kinds: list[Json] = [int(kind) for kind in Kind]
    announcements = {
        **topic_filter,
        "kinds": [int(Kind.ANNOUNCEMENT)],
        "since": max(since, unix_seconds - ANNOUNCEMENT_SECONDS),
        "limit": PEERS_MAX,
    }
    rounds = {
        **topic_filter,
        "kinds": [kind for kind in kinds if kind != Kind.ANNOUNCEMENT],
        "since": since,
        "limit": REPLAYED_PACKETS_MAX,
    }
    coming = {**topic_filter, "kinds": kinds, "limit": 1}
    if since >= unix_seconds:
        coming["since"] = since
    return _ENCODER.encode(["REQ", LIVE, announcements, rounds, coming])


_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_FLAG = msgspec.json.Decoder(bool)
_EVENT = msgspec.json.Decoder(Event)
_PUBLISHED = msgspec.json.Decoder(Published)
_WANTED = msgspec.json.Decoder(_Wanted)
_ENCODER = msgspec.json.Encoder()
