"""Whom this node knows: live announcements, and what it has seen of each key itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from dicast.base.limits import ANNOUNCEMENT_EXPIRY_MS, PEERS_MAX, UNITS_MAX
from dicast.base.types import EventId, NodeId, Now
from dicast.protocol.effects import Effects
from dicast.protocol.envelope import Packet
from dicast.protocol.messages import Announcement, Refusal, Role
from dicast.protocol.outputs import PeerSeen, Penalised
from dicast.protocol.records import ENCODER, STANDING_DECODER, StandingRecord, Table

SILENCE_MS = 600_000
"""A node that is back announces itself, which ends its silence at once; ten minutes are for the rest."""
MALFORMED_MAX = 8
"""Signed junk that is forgiven: bugs happen, floods of them do not happen to honest software."""
STANDINGS_MAX = 8 * PEERS_MAX
"""Keys whose standing is kept; free identities must not fill the disk."""


class Peer(msgspec.Struct, frozen=True):
    """One live announcement."""

    node_id: NodeId
    announced_at: int
    packet_id: EventId
    expires_ms: int
    offer: Announcement


class Directory:
    """Live peers, at most `PEERS_MAX`, and standings. May be shared by simulated nodes as a snapshot."""

    def __init__(self, own_id: NodeId, standings: Mapping[str, bytes]) -> None:
        self._own_id = own_id
        self._peers: dict[NodeId, Peer] = {}
        self._earliest_ms: int | None = None
        self._silent: dict[NodeId, int] = {}
        self._speeds: dict[NodeId, int] = {}
        self._standings: dict[NodeId, StandingRecord] = {
            NodeId(key): STANDING_DECODER.decode(value) for key, value in sorted(standings.items())
        }

    def hear(self, packet: Packet, offer: Announcement, now: Now, effects: Effects) -> Refusal | None:
        """Newest `created_at` wins, then the lower id. When full, only the already known are renewed."""
        known = self._peers.get(packet.author)
        if known is not None and not _is_newer(packet, known):
            return Refusal.OLDER
        self.expire(now)
        self._silent.pop(packet.author, None)
        known = self._peers.get(packet.author)
        if known is None and len(self._peers) >= PEERS_MAX:
            return Refusal.FULL
        age_ms = max(0, now.unix_ms - packet.created_at * 1000)
        expires_ms = now.monotonic_ms + ANNOUNCEMENT_EXPIRY_MS - age_ms
        self._earliest_ms = min(self._earliest_ms or expires_ms, expires_ms)
        self._peers[packet.author] = Peer(
            packet.author,
            packet.created_at,
            packet.id,
            expires_ms,
            offer,
        )
        if known is None:
            effects.report(PeerSeen(packet.author))
        return None

    def expire(self, now: Now) -> None:
        """Forget announcements whose time is over; looks at all of them only when one may be."""
        for node_id in [one for one, until_ms in self._silent.items() if until_ms <= now.monotonic_ms]:
            del self._silent[node_id]
        if self._earliest_ms is None or now.monotonic_ms < self._earliest_ms:
            return
        gone = [peer.node_id for peer in self._peers.values() if peer.expires_ms <= now.monotonic_ms]
        for node_id in gone:
            del self._peers[node_id]
        times = (peer.expires_ms for peer in self._peers.values())
        self._earliest_ms = min(times, default=None)

    @property
    def deadline_ms(self) -> int | None:
        """When the next announcement may expire; a renewed one makes this too early, never too late."""
        return self._earliest_ms

    def workers(self, models: tuple[str, ...], embedders: tuple[str, ...]) -> Iterator[Peer]:
        """Live workers in good standing that serve one of `models` (any, if empty) and every embedder."""
        for peer in self._peers.values():
            offer = peer.offer
            serves = any(not models or model.name in models for model in offer.models)
            embeds = all(name in offer.embedders for name in embedders)
            if Role.WORKER in offer.roles and serves and embeds and not self.is_banned(peer.node_id):
                yield peer

    def is_known(self, node_id: NodeId) -> bool:
        """Did this key announce itself, and is the announcement alive?"""
        return node_id in self._peers

    def note_silent(self, node_id: NodeId, now: Now) -> None:
        """It neither committed nor declined in our round: ask others first, until it is heard of again."""
        if node_id in self._peers:
            self._silent[node_id] = now.monotonic_ms + SILENCE_MS

    def was_silent(self, node_id: NodeId) -> bool:
        """Did it not answer us lately? Memory of a while, no penalty: networks lose packets."""
        return node_id in self._silent

    def note_speed(self, node_id: NodeId, commits_a_million_seconds: int) -> None:
        """How fast it answered us just now; earlier times count as much as this one."""
        if node_id in self._peers:
            known = self._speeds.pop(node_id, commits_a_million_seconds)
            self._speeds[node_id] = (known + commits_a_million_seconds) // 2
            if len(self._speeds) > PEERS_MAX:
                del self._speeds[next(iter(self._speeds))]

    def speed(self, node_id: NodeId) -> int:
        """How fast it answered us lately, in commits in a million seconds; 0 for who never did."""
        return self._speeds.get(node_id, 0)

    def peers(self) -> tuple[Peer, ...]:
        """Every live announcement, by key."""
        return tuple(self._peers[node_id] for node_id in sorted(self._peers))

    def standing(self, node_id: NodeId) -> StandingRecord:
        """What we have seen of a key; neutral for a stranger."""
        return self._standings.get(node_id, _NEUTRAL)

    def is_banned(self, node_id: NodeId) -> bool:
        """Did this key sign contradictions, or junk beyond patience?"""
        return bool(self.standing(node_id).banned)

    def units(self, node_id: NodeId) -> int:
        """Weight in a draw: rounds in which we saw the key agree, at most `UNITS_MAX`."""
        return min(UNITS_MAX, self.standing(node_id).agreed)

    def credit(self, node_id: NodeId, effects: Effects) -> None:
        """The key agreed with a verdict of a round we took part in."""
        old = self.standing(node_id)
        self._keep(node_id, msgspec.structs.replace(old, agreed=old.agreed + 1), effects)

    def debit_unrevealed(self, node_id: NodeId, effects: Effects) -> None:
        """The key committed in our round and did not reveal. Counted, never a ban: networks lose packets."""
        old = self.standing(node_id)
        self._keep(node_id, msgspec.structs.replace(old, unrevealed=old.unrevealed + 1), effects)

    def debit_malformed(self, node_id: NodeId, effects: Effects) -> None:
        """The key signed something that no version of the protocol says."""
        old = self.standing(node_id)
        count = old.malformed + 1
        banned = old.banned or ("malformed" if count >= MALFORMED_MAX else "")
        self._keep(node_id, msgspec.structs.replace(old, malformed=count, banned=banned), effects)
        effects.report(Penalised(node_id, "malformed"))

    def ban(self, node_id: NodeId, reason: str, effects: Effects) -> bool:
        """The key signed a contradiction: never chosen again. False when it was banned already."""
        old = self.standing(node_id)
        if old.banned:
            return False
        self._keep(node_id, msgspec.structs.replace(old, banned=reason), effects)
        effects.report(Penalised(node_id, reason))
        return True

    def _keep(self, node_id: NodeId, record: StandingRecord, effects: Effects) -> None:
        if node_id == self._own_id:
            return
        if node_id not in self._standings and len(self._standings) >= STANDINGS_MAX:
            forgotten = self._least_telling()
            del self._standings[forgotten]
            effects.delete(Table.STANDING, forgotten)
        self._standings[node_id] = record
        effects.put(Table.STANDING, node_id, ENCODER.encode(record))

    def _least_telling(self) -> NodeId:
        """The standing that is missed least: not banned, fewest counts; ties by key."""

        def telling(node_id: NodeId) -> tuple[bool, int, str]:
            record = self._standings[node_id]
            return bool(record.banned), record.agreed + record.unrevealed + record.malformed, node_id

        return min(self._standings, key=telling)


_NEUTRAL = StandingRecord()


def _is_newer(packet: Packet, known: Peer) -> bool:
    if packet.created_at != known.announced_at:
        return packet.created_at > known.announced_at
    return packet.id < known.packet_id
