"""Packets over several Nostr relays at once: every relay gets all, none is waited for."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence

import msgspec

from dicast.addresses import is_websocket, without_user
from dicast.base.crypto import KeyPair
from dicast.base.errors import ConfigurationError, LocalProtocolError
from dicast.base.expiring import SeenIds
from dicast.base.limits import PACKET_BYTES_MAX, RELAYS_MAX
from dicast.ports import TransportHealth
from dicast.protocol.messages import Kind
from dicast.transports.nostr_frames import event_frame, parse_published, wanted_ids
from dicast.transports.nostr_link import RelayLink

COPY_WINDOW_MS = 450  # kept for one to two of these: a repetition comes after a second, and must get through
COPIES_KNOWN_MAX = 8192  # about 2 MB; when full, copies pass, and the node drops them by id
FLUSH_SECONDS_MAX = 1.0  # what `stop` gives to packets on their way


class NostrTransport:
    """`relays` are ws:// or wss:// addresses; `key` signs the answer to a relay's challenge."""

    name = "nostr"
    payload_bytes_max = PACKET_BYTES_MAX

    def __init__(
        self, relays: Sequence[str], key: KeyPair, content_of: Callable[[bytes], str] | None = None
    ) -> None:
        """`content_of` opens what our own packets say on a private network: wants are read here too."""
        self._content_of = content_of
        self._links = [RelayLink(url, key, self._on_wire) for url in dict.fromkeys(map(_checked, relays))]
        if not 1 <= len(self._links) <= RELAYS_MAX:
            raise ConfigurationError(
                "relay_count",
                f"relays names {len(self._links)} addresses; between 1 and {RELAYS_MAX} can be used.",
                'For example ["ws://127.0.0.1:7777"], which `dicast relay` serves.',
            )
        self._found: list[RelayLink] = []
        """Relays that others told of, for as long as a connection to them stands."""
        self._copies = SeenIds(COPY_WINDOW_MS, COPIES_KNOWN_MAX)
        self._on_packet: Callable[[bytes], None] | None = None
        self._state = "starting"
        self._was_up = False
        self._received = 0

    async def start(self, topic: str, on_packet: Callable[[bytes], None]) -> None:
        """Begin to connect to every relay; returns at once. What was published before is kept."""
        self._on_packet = on_packet
        self._state = "running"
        for link in self._links:
            link.start(topic)

    def publish(self, wire: bytes) -> None:
        """Queue one packet for every relay; never blocks."""
        published = parse_published(wire)
        if published is None or len(wire) > PACKET_BYTES_MAX:
            raise LocalProtocolError("not_a_packet", "Only packets of at most 64 KiB can be published.")
        if self._state == "stopped":
            return
        self._is_copy(wire)  # our own packet comes back from every relay
        frame = event_frame(wire)
        if self._content_of is not None and published.kind == Kind.WANT:
            published = msgspec.structs.replace(published, content=self._content_of(wire))
        wanted = wanted_ids(published)
        for link in (*self._links, *self._found):
            link.publish(published.id, frame, published.created_at)
            if wanted:
                link.fetch(wanted)

    def peers(self) -> list[str]:
        """The relays that are connected and have answered."""
        return [without_user(link.url) for link in (*self._links, *self._found) if link.is_up]

    def health(self) -> TransportHealth:
        """How many relays are connected, what is wrong with the others, and what went through."""
        up = sum(link.is_up for link in self._links)
        self._was_up = self._was_up or up > 0
        more = [f"{len(self._found)} that others told of"] if self._found else []
        problems = [f"{without_user(link.url)}: {link.problem}" for link in self._links if link.problem]
        return TransportHealth(
            state=self._state_for(up, bool(problems)),
            detail=f"{up} of {len(self._links)} relays"
            + "".join(f"; {problem}" for problem in [*more, *problems]),
            sent=sum(link.sent for link in (*self._links, *self._found)),
            received=self._received,
            dropped=sum(link.outbox.dropped + link.garbage + link.refused for link in self._links),
            round_trip_ms=min(filter(None, (link.round_trip_ms for link in self._links)), default=None),
        )

    async def stop(self) -> None:
        """Give packets on their way a second, then disconnect."""
        self._state = "stopped"
        await asyncio.gather(*(link.stop(FLUSH_SECONDS_MAX) for link in (*self._links, *self._found)))

    def _state_for(self, up: int, has_problems: bool) -> str:
        if self._state == "stopped":
            return "down"
        if up == len(self._links):
            return "up"
        if up:
            return "degraded"
        return "down" if has_problems or self._was_up else "starting"

    def _on_wire(self, wire: bytes, is_fetched: bool) -> None:
        if self._on_packet is None or self._state != "running":
            return
        if is_fetched or not self._is_copy(wire):
            self._received += 1
            self._on_packet(wire)

    def _is_copy(self, wire: bytes) -> bool:
        """Whether the same bytes went through a moment ago; a forged copy differs, and shadows nothing."""
        digest = hashlib.sha256(wire).hexdigest()
        return not self._copies.add(digest, int(time.monotonic() * 1000))


def _checked(url: str) -> str:
    if not is_websocket(url):
        raise ConfigurationError(
            "relay_url",
            f"relays holds {without_user(url)!r}, which is no relay address.",
            "For example wss://relay.example.org or ws://127.0.0.1:7777.",
        )
    return url
