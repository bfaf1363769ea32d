"""What every role of one node shares."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from dicast.base.expiring import ExpiringMap
from dicast.base.limits import DEADLINE_MS_MAX, PACKET_BYTES_MAX
from dicast.base.types import NodeId, Now
from dicast.protocol.directory import Directory
from dicast.protocol.effects import Effects
from dicast.protocol.envelope import PacketReader, packet_bytes
from dicast.protocol.evidence import evidence_of
from dicast.protocol.messages import Body, OfferedModel
from dicast.protocol.records import ENCODER, RoundRecord, Table, packet_key
from dicast.protocol.repeats import Repeats
from dicast.protocol.round import Conflict, Round
from dicast.protocol.settings import Identity, NodeSettings

BEACONS_MAX = 1_024
"""Beacon values remembered: at one in three seconds, most of an hour, the longest round."""

Tables = Mapping[str, Mapping[str, bytes]]
"""A node's durable records: table name -> key -> value."""


class Context:
    """Identity, settings, directory, repeats and the effects of the input at hand."""

    def __init__(
        self, identity: Identity, settings: NodeSettings, reader: PacketReader, tables: Tables
    ) -> None:
        self.identity = identity
        self.own_id: NodeId = identity.node_id
        self.settings = settings
        self.reader = reader
        self.topic = settings.topic
        self.effects = Effects(identity, self.topic, settings.secret)
        self.directory = Directory(identity.node_id, tables.get(Table.STANDING, {}))
        self.repeats = Repeats()
        self.models: tuple[OfferedModel, ...] = ()
        self.addresses: dict[str, tuple[str, ...]] = {}
        self.records: dict[str, RoundRecord] = {}
        self._beacons: ExpiringMap[int, str] = ExpiringMap(BEACONS_MAX)
        self.latest_beacon: int | None = None
        self._accused: ExpiringMap[tuple[str, str], bool] = ExpiringMap(BEACONS_MAX)

    def see_beacon(self, number: int, value: str, now: Now) -> None:
        """A beacon round became public."""
        self._beacons.put(number, value, now.monotonic_ms + 2 * DEADLINE_MS_MAX)
        self.latest_beacon = max(number, self.latest_beacon or 0)

    def beacon(self, number: int, now: Now) -> str | None:
        """The value of a beacon round, if it is public and remembered."""
        return self._beacons.get(number, now.monotonic_ms)

    def packet_bytes(self, body: Body, now: Now) -> int:
        """Bytes of our packet that would carry `body`; more on a private network."""
        return packet_bytes(self.topic, body, now, sealed=self.settings.secret is not None)

    def keep_record(self, record: RoundRecord) -> None:
        """Make what this node knows of its part in a round durable."""
        self.records[record.request_id] = record
        self.effects.put(Table.ROUND, record.request_id, ENCODER.encode(record))

    def change_record(self, request_id: str, **changes: object) -> RoundRecord:
        """The round's record with some fields replaced, durable."""
        record = msgspec.structs.replace(self.records[request_id], **changes)
        self.keep_record(record)
        return record

    def keep_packet(self, round_: Round, wire: bytes, event_id: str) -> None:
        """Make a packet of a round durable."""
        if event_id in round_.stored:
            return
        self.effects.put(Table.PACKET, packet_key(round_.id, event_id), wire)
        round_.stored.append(event_id)

    def accuse(self, round_: Round, conflict: Conflict, now: Now) -> None:
        """Publish two contradicting packets, once per key and round, and never choose the key again."""
        author = conflict.second.author
        if author == self.own_id or self._accused.get((round_.id, author), now.monotonic_ms):
            return
        self._accused.put((round_.id, author), True, round_.expires_ms)
        if self.directory.ban(author, "equivocation", self.effects):
            evidence = evidence_of(conflict)
            if evidence is not None and self.packet_bytes(evidence, now) <= PACKET_BYTES_MAX:
                self.effects.speak(evidence, now)
