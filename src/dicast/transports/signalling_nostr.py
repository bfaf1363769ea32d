"""Meeting at a Nostr relay: ephemeral events under a key that is thrown away."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

import msgspec

from dicast.base.crypto import KeyPair
from dicast.base.errors import LocalProtocolError
from dicast.base.events import Event, encode_event, sign_event
from dicast.transports.nostr_frames import (
    REASON_CHARS_MAX,
    Answered,
    Challenge,
    Notice,
    StoredEnd,
    SubscriptionClosed,
    auth_frame,
    event_frame,
    parse_frame,
)
from dicast.transports.signalling import Offer, Party, SocketSignaller
from dicast.transports.trystero import Signal, encode_signal, nostr_kind, parse_signal

SUBSCRIPTION = "room"
LOOK_BACK_SECONDS = 60  # clocks differ; the events are not stored
AUTH_KIND = 22242
CHALLENGES_MAX = 8  # of one connection: each costs a signature


class NostrSignaller(SocketSignaller):
    """A relay; it sees hashes as tags, and sealed descriptions."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._key = KeyPair.from_seed(secrets.token_bytes(32))
        self._challenges = 0

    def announce(self, offers: Sequence[Offer]) -> None:
        """Say to everybody that we are there."""
        if self._party is not None:
            self._publish(self._party.room.topic, Signal(self._party.peer_id))

    def tell(self, peer_id: str, signal: Signal) -> None:
        """Say something to one peer."""
        if self._party is not None:
            self._publish(self._party.room.topic_of(peer_id), signal)

    def _publish(self, topic: str, signal: Signal) -> None:
        content = encode_signal(signal).decode()
        event = sign_event(self._key, int(time.time()), nostr_kind(topic), [("x", topic)], content)
        self._say(event_frame(encode_event(event)))

    def _greeting(self, party: Party) -> list[bytes]:
        self._challenges = 0
        return [self._subscription(party)]

    def _subscription(self, party: Party) -> bytes:
        topics = [party.room.topic, party.room.topic_of(party.peer_id)]
        since = int(time.time()) - LOOK_BACK_SECONDS
        kinds = sorted({nostr_kind(topic) for topic in topics})
        return msgspec.json.encode(
            ["REQ", SUBSCRIPTION, {"kinds": kinds, "#x": topics, "since": since, "limit": 64}]
        )

    def _take(self, party: Party, text: bytes) -> None:
        content = _event_content(text)
        if content is not None:
            signal = parse_signal(content)
            if signal is not None:
                party.heard(self, signal)
            return
        match parse_frame(text):
            case Challenge(challenge):
                self._answer(party, challenge)
            case Answered(accepted=False, reason=reason) | SubscriptionClosed(reason=reason):
                self.problem = reason
            case Notice(reason):
                self.problem = reason[:REASON_CHARS_MAX]
            case StoredEnd() | Answered():
                self.problem = ""
            case _:
                pass

    def _answer(self, party: Party, challenge: str) -> None:
        """The relay wants to know a key (NIP-42): it gets the one that is thrown away."""
        self._challenges += 1
        if self._challenges > CHALLENGES_MAX:
            return
        try:
            tags = (("relay", self.url), ("challenge", challenge))
            event = sign_event(self._key, int(time.time()), AUTH_KIND, tags, "")
        except LocalProtocolError:
            return
        self._say(auth_frame(event))
        self._say(self._subscription(party))
        self._on_up(self)


def _event_content(text: bytes) -> str | None:
    """What an event of our subscription says; who signed it does not matter, for the content is sealed."""
    try:
        label, subscription, event = _EVENT.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return event.content if label == "EVENT" and subscription == SUBSCRIPTION else None


_EVENT = msgspec.json.Decoder(tuple[str, str, Event])
