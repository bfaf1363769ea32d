"""Which round a packet belongs to: by what it names as its predecessor."""

from __future__ import annotations

from dicast.base.expiring import ExpiringMap
from dicast.base.limits import OPEN_ROUNDS_MAX, ROUND_FRESHNESS_MS, SEEN_WINDOW_MS
from dicast.base.types import EventId, Now, RequestId
from dicast.protocol.envelope import Packet
from dicast.protocol.messages import Kind
from dicast.protocol.round import Round

CHAIN_MAX = 16 * OPEN_ROUNDS_MAX
"""Predecessors of our rounds: at most four a round, and rounds that ended a minute ago."""
FOREIGN_MAX = 65_536
"""Predecessors of others' rounds, apart from ours: a flood of strangers' requests evicts none of ours."""
FOREIGN = RequestId("")
"""The round of a packet that does not concern us."""


class Chain:
    """Steps of rounds that packets may follow."""

    def __init__(self) -> None:
        self._ours: ExpiringMap[str, RequestId] = ExpiringMap(CHAIN_MAX)
        self._foreign: ExpiringMap[str, RequestId] = ExpiringMap(FOREIGN_MAX)

    def round_of(self, predecessor: EventId, now: Now) -> RequestId | None:
        """The round in which a packet is the predecessor; `FOREIGN`, or None when it is unknown."""
        ours = self._ours.get(predecessor, now.monotonic_ms)
        return ours or self._foreign.get(predecessor, now.monotonic_ms)

    def follow(self, round_: Round, now: Now) -> None:
        """Packets may name these as their predecessor."""
        until_ms = max(round_.expires_ms, now.monotonic_ms) + ROUND_FRESHNESS_MS
        for packet in (round_.packet, round_.panel, round_.quorum, round_.close):
            if packet is not None:
                self._ours.put(packet.id, round_.id, until_ms)

    def note_foreign(self, packet: Packet, now: Now) -> None:
        """Remember that what follows this packet does not concern us either."""
        if packet.kind in {Kind.REQUEST, Kind.PANEL, Kind.QUORUM, Kind.CLOSE}:
            self._foreign.put(packet.id, FOREIGN, now.monotonic_ms + SEEN_WINDOW_MS)
