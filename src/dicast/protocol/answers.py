"""Answers to `want`: packets of a round, to those who have a part in it."""

from __future__ import annotations

from dicast.base.expiring import ExpiringMap
from dicast.base.hashing import tagged
from dicast.base.limits import WANT_PERIOD_MS
from dicast.base.types import EventId, NodeId, Now
from dicast.protocol.context import Context
from dicast.protocol.envelope import Packet
from dicast.protocol.messages import Want
from dicast.protocol.round import Round

ANSWERED_MAX = 8_192
"""Answered wants remembered for two seconds."""


class Answers:
    """To members and the requester, once per asker, packet and two seconds."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._answered: ExpiringMap[tuple[str, str], bool] = ExpiringMap(ANSWERED_MAX)

    def give(self, round_: Round, packet: Packet, want: Want, now: Now) -> None:
        """Send what is wanted again, if we have it and it is for us to answer."""
        asker = packet.author
        if asker != round_.requester and not round_.seats_of(asker):
            return
        if packet.addressees and self._context.own_id not in packet.addressees:
            return
        for wanted in want.ids:
            found = round_.find(EventId(wanted))
            if found is None or self._answered.get((asker, wanted), now.monotonic_ms):
                continue
            if packet.addressees or self._is_answerer(round_, found, asker):
                self._answered.put((asker, wanted), True, now.monotonic_ms + WANT_PERIOD_MS)
                self._context.effects.repeat(found.wire)

    def _is_answerer(self, round_: Round, found: Packet, asker: NodeId) -> bool:
        """Of those who are not asked by name the author, the requester and a quarter of the rest answer."""
        if self._context.own_id in {found.author, round_.requester}:
            return True
        parts = (self._context.own_id, asker, found.id)
        return tagged("dicast/answerer/1", *map(bytes.fromhex, parts))[0] < 64
