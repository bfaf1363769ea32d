"""The frames of a Nostr relay (NIP-01, NIP-42), as values: nothing here waits, and nothing here raises."""

from __future__ import annotations

import msgspec

from dicast.base.events import Event, encode_event
from dicast.base.limits import PACKET_BYTES_MAX
from dicast.base.types import Json
from dicast.protocol.messages import Kind

LIVE = "live"  # the name of the subscription that stays
OLDER = "older"  # the name of the one that turns pages of what is stored
FETCH = "fetch"  # the name of the one that asks for packets by id
ALL_KINDS = tuple(int(kind) for kind in Kind)
REASON_CHARS_MAX = 200  # what a relay says about itself ends in a status line
CHALLENGE_CHARS_MAX = 512  # challenges in use have 16 to 64
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
    created_at: int = 0


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


class StoredFilter(msgspec.Struct, frozen=True):
    """What is asked of a relay's store: the kinds, and from when until when (Unix seconds, both included)."""

    kinds: tuple[int, ...]
    since: int
    limit: int
    until: int | None = None


def live_frame(topic: str, stored: tuple[StoredFilter, ...], coming_since: int | None) -> bytes:
    """Subscribes to a topic: what is stored, and whatever is published from now on.

    The last filter takes new packets whatever their stamp, because a packet that is sent late carries the
    stamp of its making; `coming_since` keeps it from bringing the newest stored one along.
    """
    coming: dict[str, Json] = {"#t": [topic], "kinds": list(ALL_KINDS), "limit": 1}
    if coming_since is not None:
        coming["since"] = coming_since
    return _ENCODER.encode(["REQ", LIVE, *(_filter(topic, part) for part in stored), coming])


def older_frame(topic: str, stored: tuple[StoredFilter, ...]) -> bytes:
    """Asks for the next page of what is stored."""
    return _ENCODER.encode(["REQ", OLDER, *(_filter(topic, part) for part in stored)])


def _filter(topic: str, stored: StoredFilter) -> dict[str, Json]:
    fields: dict[str, Json] = {"#t": [topic], "kinds": list(stored.kinds), "since": stored.since}
    if stored.until is not None:
        fields["until"] = stored.until
    return {**fields, "limit": stored.limit}


_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_FLAG = msgspec.json.Decoder(bool)
_EVENT = msgspec.json.Decoder(Event)
_PUBLISHED = msgspec.json.Decoder(Published)
_WANTED = msgspec.json.Decoder(_Wanted)
_ENCODER = msgspec.json.Encoder()
