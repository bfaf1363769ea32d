"""Puts what a relay had stored into the order in which it happened; relays send the newest first."""

from __future__ import annotations

from dicast.protocol.messages import Kind
from dicast.transports.nostr_frames import Relayed

HELD_PACKETS_MAX = 2048  # a little more than a relay is asked for at once
HELD_BYTES_MAX = 8 << 20


class Replay:
    """Holds the packets of one subscription until the relay says that the stored ones are over."""

    def __init__(self) -> None:
        self._held: list[Relayed] = []
        self._bytes = 0

    def hold(self, packet: Relayed) -> bool:
        """Keep one more; False when that was the last that fits."""
        self._held.append(packet)
        self._bytes += len(packet.wire)
        return len(self._held) < HELD_PACKETS_MAX and self._bytes < HELD_BYTES_MAX

    def take(self) -> list[bytes]:
        """Everything held, announcements first, then by time; kinds break ties, for a round follows them."""
        held, self._held, self._bytes = self._held, [], 0
        held.sort(key=_moment)
        return [packet.wire for packet in held]


def _moment(packet: Relayed) -> tuple[bool, int, int]:
    return (packet.kind != Kind.ANNOUNCEMENT, packet.created_at, packet.kind)
