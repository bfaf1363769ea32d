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
METERED_KEYS_MAX = 4_096
"""Keys whose packet rate is metered at a time; the longest silent is forgotten."""
RATE_WINDOW_MS = 1_000
"""The window of `PACKETS_PER_KEY_AND_SECOND`."""

_FRESHNESS_MS = {
    Kind.ANNOUNCEMENT: ANNOUNCEMENT_EXPIRY_MS,
    Kind.REQUEST: REQUEST_FRESHNESS_MS,
    Kind.STATUS: EPHEMERAL_FRESHNESS_MS,
    Kind.WANT: EPHEMERAL_FRESHNESS_MS,
}


class Intake:
    """Screens wires by what they say, then by who signed them. A forged copy never shadows the real one."""

    def __init__(self, topic: str, reader: PacketReader) -> None:
        self._topic = topic
        self._reader = reader
        self._seen = SeenIds(SEEN_WINDOW_MS, SEEN_IDS_MAX)
        self._wires = SeenIds(RATE_WINDOW_MS * 600, SEEN_IDS_MAX)
        self._rejected = SeenIds(RATE_WINDOW_MS * 600, REJECTED_WIRES_MAX)
        self._rates: ExpiringMap[NodeId, list[int]] = ExpiringMap(METERED_KEYS_MAX)

    def screen(self, wire: bytes, now: Now) -> Packet:
        """Size, repetition, shape, topic, freshness. Raises `RemoteProtocolError`; changes nothing."""
        if len(wire) > PACKET_BYTES_MAX:
            raise RemoteProtocolError(Refusal.SIZE, "The packet is larger than 64 KiB.")
        mark = _mark(wire)
        if self._wires.has(mark, now.monotonic_ms):
            raise RemoteProtocolError(Refusal.DUPLICATE, "These bytes were handled before.")
        if self._rejected.has(mark, now.monotonic_ms):
            raise RemoteProtocolError(Refusal.BAD_SIGNATURE, "These bytes were refused before.")
        packet = self._reader.parse(wire)
        if packet.topic != self._topic:
            raise RemoteProtocolError(Refusal.TOPIC, "The packet belongs to another network.")
        _check_freshness(packet, now)
        if self._seen.has(packet.id, now.monotonic_ms):
            raise RemoteProtocolError(Refusal.DUPLICATE, "This packet was handled before.")
        return packet

    def check_signature(self, packet: Packet, now: Now) -> None:
        """The Schnorr check, once per wire; then the author's rate. Raises `RemoteProtocolError`."""
        if not self._reader.is_signed(packet):
            self._rejected.add(_mark(packet.wire), now.monotonic_ms)
            raise RemoteProtocolError(Refusal.BAD_SIGNATURE, "The signature does not hold.")
        if not self._within_rate(packet.author, now):
            raise RemoteProtocolError(Refusal.RATE, "The author sends more than anybody needs to.")

    def remember(self, packet: Packet, now: Now) -> None:
        """Never handle this packet again, in any spelling."""
        self._seen.add(packet.id, now.monotonic_ms)
        self._wires.add(_mark(packet.wire), now.monotonic_ms)

    def _within_rate(self, author: NodeId, now: Now) -> bool:
        window = self._rates.get(author, now.monotonic_ms)
        if window is None:
            self._rates.put(author, [1], now.monotonic_ms + RATE_WINDOW_MS)
            return True
        window[0] += 1
        return window[0] <= PACKETS_PER_KEY_AND_SECOND


def _mark(wire: bytes) -> str:
    return sha256(wire).hex()


def _check_freshness(packet: Packet, now: Now) -> None:
    stamp_ms = packet.created_at * 1000
    if stamp_ms > now.unix_ms + CLOCK_AHEAD_MS:
        raise RemoteProtocolError(Refusal.CLOCK, "The packet is stamped too far ahead of our clock.")
    allowed_ms = _FRESHNESS_MS.get(packet.kind, SEEN_WINDOW_MS)
    if stamp_ms + allowed_ms < now.unix_ms:
        raise RemoteProtocolError(Refusal.STALE, "The packet is too old.")
    if packet.expires_at and packet.expires_at * 1000 <= now.unix_ms:
        raise RemoteProtocolError(Refusal.STALE, "The packet has expired.")
