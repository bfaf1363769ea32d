"""What a packet must pass before a role hears it; order as in `spec/09-envelope.md`."""

from __future__ import annotations

from dicast.base.errors import RemoteProtocolError
from dicast.base.expiring import ExpiringMap, SeenIds
from dicast.base.hashing import sha256
from dicast.base.limits import (
    ANNOUNCEMENT_EXPIRY_MS,
    CLOCK_AHEAD_MS,
    EPHEMERAL_FRESHNESS_MS,
    PACKET_BYTES_MAX,
    PACKETS_PER_KEY_AND_SECOND,
    REQUEST_FRESHNESS_MS,
    SEEN_IDS_MAX,
    SEEN_WINDOW_MS,
)
from dicast.base.types import NodeId, Now
from dicast.protocol.envelope import Packet, PacketReader
from dicast.protocol.messages import Kind, Refusal

REJECTED_WIRES_MAX = 4_096
"""Wires whose signature failed, so that a repeated forgery costs no second check."""
VERIFIED_WIRES_MAX = 4_096
"""Wires whose signature held but whose moment had not come: the same bytes again cost no second check."""
HANDLED_WIRES_MAX = 65_536
"""Wires remembered only so that the same bytes again cost no parsing; twenty seconds of the fastest flood."""
WIRE_WINDOW_MS = 600_000
"""Longer than repeats and relays that replay take to send the same bytes again."""
METERED_KEYS_MAX = 4_096
"""Keys whose packet rate is metered at a time; the longest silent is forgotten."""
RATE_WINDOW_MS = 1_000
"""The window of `PACKETS_PER_KEY_AND_SECOND`."""

_FRESHNESS_MS = {
    Kind.ANNOUNCEMENT: ANNOUNCEMENT_EXPIRY_MS,
    Kind.REQUEST: REQUEST_FRESHNESS_MS,
    Kind.STATUS: EPHEMERAL_FRESHNESS_MS,
    Kind.WANT: EPHEMERAL_FRESHNESS_MS,
    Kind.STREAM: EPHEMERAL_FRESHNESS_MS,
    Kind.CONTINUE: EPHEMERAL_FRESHNESS_MS,
    Kind.SEEK: EPHEMERAL_FRESHNESS_MS,
    Kind.PLACES: EPHEMERAL_FRESHNESS_MS,
}


class Intake:
    """Screens wires by what they say, then by who signed them. A forged copy never shadows the real one."""

    def __init__(self, topic: str, reader: PacketReader) -> None:
        self._topic = topic
        self._reader = reader
        self._seen = SeenIds(SEEN_WINDOW_MS, SEEN_IDS_MAX)
        self._wires = SeenIds(WIRE_WINDOW_MS, HANDLED_WIRES_MAX)
        self._rejected = SeenIds(WIRE_WINDOW_MS, REJECTED_WIRES_MAX)
        self._verified = SeenIds(WIRE_WINDOW_MS, VERIFIED_WIRES_MAX)
        self._rates: ExpiringMap[NodeId, list[int]] = ExpiringMap(METERED_KEYS_MAX)
        self._marked: tuple[bytes, bytes] = (b"", sha256(b""))

    def screen(self, wire: bytes, now: Now) -> Packet | Refusal:
        """Size, repetition, shape, topic, freshness; changes nothing."""
        if len(wire) > PACKET_BYTES_MAX:
            return Refusal.SIZE
        mark = self._mark(wire)
        if self._wires.has(mark, now.monotonic_ms):
            return Refusal.DUPLICATE
        if self._rejected.has(mark, now.monotonic_ms):
            return Refusal.BAD_SIGNATURE
        try:
            packet = self._reader.parse(wire)
        except RemoteProtocolError as error:
            return Refusal(error.code)
        if packet.topic != self._topic:
            return Refusal.TOPIC
        refusal = _staleness(packet, now)
        if refusal is None and self._seen.has(packet.id, now.monotonic_ms):
            return Refusal.DUPLICATE
        return refusal or packet

    def check_signature(self, packet: Packet, now: Now) -> Refusal | None:
        """The Schnorr check, at most once for the same bytes; none for a key that is over its rate.

        Bytes that were checked before are nobody's new packet: whoever replays them spends no key's rate.
        """
        mark = self._mark(packet.wire)
        if self._verified.has(mark, now.monotonic_ms):
            return None
        window = self._rates.get(packet.author, now.monotonic_ms)
        if window is not None and window[0] >= PACKETS_PER_KEY_AND_SECOND:
            return Refusal.RATE
        if not self._reader.is_signed(packet):
            self._rejected.add(mark, now.monotonic_ms)
            return Refusal.BAD_SIGNATURE
        if window is None:
            self._rates.put(packet.author, [1], now.monotonic_ms + RATE_WINDOW_MS)
        else:
            window[0] += 1
        return None

    def remember(self, packet: Packet, now: Now) -> None:
        """Its signature held, or it is ours: never handle this packet again, in any spelling."""
        self._seen.add(packet.id, now.monotonic_ms)
        self.pass_over(packet, now)

    def pass_over(self, packet: Packet, now: Now) -> None:
        """Nobody checked the signature, and nobody needs to: the same bytes are not looked at again."""
        self._wires.add(self._mark(packet.wire), now.monotonic_ms)

    def vouch(self, packet: Packet, now: Now) -> None:
        """Its signature held and it was refused for now: when it comes again, it is not checked again."""
        self._verified.add(self._mark(packet.wire), now.monotonic_ms)

    def _mark(self, wire: bytes) -> bytes:
        """SHA-256 of the bytes; of the bytes at hand it is asked several times."""
        if self._marked[0] is not wire:
            self._marked = (wire, sha256(wire))
        return self._marked[1]


def _staleness(packet: Packet, now: Now) -> Refusal | None:
    stamp_ms = packet.created_at * 1000
    if stamp_ms > now.unix_ms + CLOCK_AHEAD_MS:
        return Refusal.CLOCK
    if stamp_ms + _FRESHNESS_MS.get(packet.kind, SEEN_WINDOW_MS) < now.unix_ms:
        return Refusal.STALE
    return Refusal.STALE if packet.expires_at and packet.expires_at * 1000 <= now.unix_ms else None
