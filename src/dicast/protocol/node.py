"""The node: what can happen (`inputs`) and what we do about it. It decides and never waits."""

from __future__ import annotations

from operator import itemgetter
from typing import assert_never

from dicast.base.errors import RemoteProtocolError
from dicast.base.events import Event
from dicast.base.types import EventId, NodeId, Now, RequestId
from dicast.protocol.acquaintance import Acquaintance
from dicast.protocol.announcer import Announcer
from dicast.protocol.chain import FOREIGN
from dicast.protocol.context import Context, Tables
from dicast.protocol.directory import Peer
from dicast.protocol.disclosed import opened_events
from dicast.protocol.envelope import Packet, PacketReader
from dicast.protocol.evidence import accused_by
from dicast.protocol.inputs import (
    Asked,
    BeaconSeen,
    BlobFetched,
    BlobMissing,
    Cancelled,
    Embedded,
    EmbeddingFailed,
    InferenceFailed,
    InferenceFinished,
    InferenceProgressed,
    Input,
    LinksSeen,
    ModelsChanged,
    PacketReceived,
    PlaceGiven,
    RecordFound,
    TimeReached,
)
from dicast.protocol.intake import Intake
from dicast.protocol.messages import (
    ACQUAINTING,
    STREAMING,
    Announcement,
    Body,
    Evidence,
    Kind,
    Places,
    Refusal,
    Request,
    Seek,
)
from dicast.protocol.network import NetworkSecret
from dicast.protocol.orphans import Orphans
from dicast.protocol.outputs import Batch, Deadline, PacketRefused
from dicast.protocol.peer_book import Known
from dicast.protocol.records import StandingRecord
from dicast.protocol.round_view import RoundView
from dicast.protocol.roundtable import RoundTable
from dicast.protocol.settings import Identity, NodeSettings

FORGETTABLE = frozenset({Refusal.UNKNOWN_PREDECESSOR, Refusal.FULL, Refusal.NOT_MEMBER, Refusal.CONFLICT})
"""Refusals that depend on the moment: a quorum or a close may name the same packet later."""


def beacon_key(number: int) -> str:
    """What a panel waits for that came before its beacon; no event id looks like it."""
    return f"beacon:{number}"


_at_ms = itemgetter(0)


class Node:
    """`handle(input, now) -> Batch`. Remote input never raises; an exception is our own bug."""

    def __init__(
        self,
        identity: Identity,
        settings: NodeSettings,
        reader: PacketReader | None = None,
        tables: Tables | None = None,
    ) -> None:
        self._tables: Tables = tables or {}
        self._context = Context(identity, settings, reader or PacketReader(settings.secret), self._tables)
        self._intake = Intake(self._context.topic, self._context.reader)
        self._orphans = Orphans()
        self._announcer = Announcer(self._context)
        self._acquaintance = Acquaintance(self._context)
        self._table = RoundTable(self._context, self._tables)
        self._now = Now(0, 0)

    def start(self, now: Now) -> Batch:
        """The first batch: rounds that were open are resumed or ended with a reason."""
        self._now = now
        self._table.restore(self._tables, now)
        self._tables = {}
        self._announcer.change(now)
        self._hear_ourselves(now)
        return self._context.effects.take()

    def handle(self, happened: Input, now: Now) -> Batch:
        """One input, one batch."""
        assert now.monotonic_ms >= self._now.monotonic_ms, "time went back"
        self._now = now
        match happened:
            case PacketReceived(wire, carrier):
                self._receive(wire, carrier, now)
            case TimeReached():
                self._tick(now)
            case Asked():
                self._acquaintance.miss(happened.question.models, now)
                self._table.ask(happened, now)
            case Cancelled(ask_id):
                self._table.cancel(ask_id, now)
            case InferenceFinished() | InferenceProgressed() | InferenceFailed():
                self._hear_engine(happened, now)
            case Embedded():
                self._table.hear_embedded(happened, now)
            case EmbeddingFailed(job_id):
                self._table.hear_embedding_failed(job_id, now)
            case BlobFetched() | BlobMissing():
                data = happened.data if isinstance(happened, BlobFetched) else None
                self._table.hear_blob(happened.request_id, data, now)
            case BeaconSeen(number, value):
                self._see_beacon(number, value, now)
            case ModelsChanged(models):
                self._context.models = models
                self._table.hear_models(now)
                self._acquaintance.renew(now)
                self._announcer.change(now)
                self._announcer.take_due(self._table.load, now)
            case LinksSeen():
                self._see_links(happened, now)
            case PlaceGiven():
                self._acquaintance.hear_given(happened, now)
            case RecordFound(_, finder):
                self._find(happened, finder, now)
            case _:
                assert_never(happened)
        self._hear_ourselves(now)
        self._begin_waiting(now)
        return self._context.effects.take()

    @property
    def deadline(self) -> Deadline | None:
        """When the node wants `TimeReached`: the earliest of its parts, with the reason."""
        times = (
            (self._announcer.deadline_ms, "announcement"),
            (self._context.repeats.deadline_ms, "repeat"),
            (self._context.directory.deadline_ms, "peer"),
            (self._acquaintance.deadline_ms, "acquaintance"),
            *self._table.deadlines(),
        )
        known = [(at_ms, reason) for at_ms, reason in times if at_ms is not None]
        return Deadline(*min(known, key=_at_ms)) if known else None

    @property
    def topic(self) -> str:
        """The topic of our network: what transports meet by."""
        return self._context.topic

    @property
    def node_id(self) -> NodeId:
        """Our own key."""
        return self._context.own_id

    def peers(self) -> tuple[Peer, ...]:
        """Live announcements, by key."""
        return self._context.directory.peers()

    def places(self) -> tuple[Known, ...]:
        """Every address it has heard of, and what became of it."""
        return self._acquaintance.book.known()

    def rounds(self) -> tuple[RoundView, ...]:
        """Rounds this node takes part in, as facts."""
        return self._table.views()

    @property
    def load(self) -> int:
        """Slots that are busy now."""
        return self._table.load

    def packets(self, request_id: RequestId) -> tuple[Packet, ...]:
        """What was said in one of those rounds, in the order of a certificate."""
        round_ = self._table.find(request_id)
        return () if round_ is None else round_.packets()

    def disclosed(self, request_id: RequestId, most: int | None = None) -> tuple[Event, ...]:
        """The same with every seal opened; the first `most` of them."""
        round_ = self._table.find(request_id)
        if round_ is None:
            return ()
        events = (packet.event for packet in round_.packets()[:most])
        return opened_events(events, self.secret, round_.key, round_.request.messages)

    @property
    def secret(self) -> NetworkSecret | None:
        """Of our network, if it is private."""
        return self._context.settings.secret

    def standing(self, node_id: NodeId) -> StandingRecord:
        """What this node itself has seen of a key."""
        return self._context.directory.standing(node_id)

    def _hear_engine(
        self, happened: InferenceFinished | InferenceProgressed | InferenceFailed, now: Now
    ) -> None:
        match happened:
            case InferenceFinished():
                self._table.hear_finished(happened, now)
            case InferenceProgressed():
                self._table.hear_progress(happened, now)
            case InferenceFailed(request_id, code):
                self._table.hear_failed(request_id, code, now)

    def _receive(self, wire: bytes, carrier: str, now: Now) -> None:
        packet = self._intake.screen(wire, now)
        if isinstance(packet, Refusal):
            return self._context.effects.report(PacketRefused(packet.value, carrier))
        refusal = self._interest(packet, carrier, now) or self._intake.check_signature(packet, now)
        if refusal is not None:
            return self._context.effects.report(PacketRefused(refusal.value, carrier))
        refusal = self._hear_signed(packet, now)
        if refusal is not None:
            return self._context.effects.report(PacketRefused(refusal.value, carrier, packet.author))
        return self._hear_orphans(packet.id, now)

    def _hear_signed(self, packet: Packet, now: Now) -> Refusal | None:
        try:
            body = self._context.reader.body(packet)
            refusal = self._hear(packet, body, now)
        except RemoteProtocolError:
            is_newer = self._context.reader.speaks_other_version(packet)
            refusal = Refusal.VERSION if is_newer else Refusal.BODY
        if refusal is Refusal.BODY:
            self._context.directory.debit_malformed(packet.author, self._context.effects)
        if refusal in FORGETTABLE:
            self._intake.vouch(packet, now)
        else:
            self._intake.remember(packet, now)
        return refusal

    def _interest(self, packet: Packet, carrier: str, now: Now) -> Refusal | None:
        """Dropped before the signature check: what concerns rounds of others, and our own echoes."""
        if packet.author == self._context.own_id:
            return Refusal.OWN
        if packet.kind is Kind.REQUEST:
            return self._interest_in_request(packet, now)
        if packet.kind in STREAMING and packet.addressees != (self._context.own_id,):
            return self._pass_over(packet, now)
        if packet.kind in ACQUAINTING:
            return self._acquaintance.refusal_of(packet)
        if packet.predecessor is None:
            return None
        request_id = self._table.chain.round_of(packet.predecessor, now)
        if request_id is None:
            if packet.kind in STREAMING:  # what is said now is worth nothing later
                return Refusal.UNKNOWN_PREDECESSOR
            self._orphans.add(packet.predecessor, packet.wire, carrier)
            return Refusal.UNKNOWN_PREDECESSOR
        if request_id == FOREIGN:
            return self._pass_over(packet, now)
        awaited = self._table.awaited_beacon(request_id, now) if packet.kind is Kind.PANEL else None
        if awaited is not None:  # a relay forwards the same bytes once: the repeat may never come
            self._orphans.add(beacon_key(awaited), packet.wire, carrier)
            return Refusal.UNKNOWN_PREDECESSOR
        return None

    def _interest_in_request(self, packet: Packet, now: Now) -> Refusal | None:
        try:
            body = self._context.reader.body(packet)
        except RemoteProtocolError:
            return None
        assert isinstance(body, Request), "the kind decides the body"
        if self._table.wants(packet, body, now):
            return None
        return self._pass_over(packet, now)

    def _pass_over(self, packet: Packet, now: Now) -> Refusal:
        """Unsigned as it may be: the id fixes what it says, so a forged copy would be as foreign."""
        self._table.chain.note_foreign(packet, now)
        self._intake.pass_over(packet, now)
        return Refusal.FOREIGN

    def _hear(self, packet: Packet, body: Body, now: Now) -> Refusal | None:
        match body:
            case Announcement():
                refusal = self._context.directory.hear(packet, body, now, self._context.effects)
                if refusal is None:
                    self._acquaintance.hear_announcement(packet, body.addresses, now)
                return refusal
            case Seek():
                return self._acquaintance.hear_seek(packet, body, now)
            case Places():
                return self._acquaintance.hear_places(packet, body, now)
            case Evidence():
                return self._hear_evidence(body)
            case _:
                return self._table.hear(packet, body, now)

    def _hear_evidence(self, body: Evidence) -> Refusal | None:
        accused = accused_by(body, self._context.topic, self._context.reader)
        if accused == self._context.own_id:
            return Refusal.OWN
        banned = self._context.directory.ban(accused, "equivocation", self._context.effects)
        return None if banned else Refusal.DUPLICATE

    def _see_links(self, seen: LinksSeen, now: Now) -> None:
        if self._acquaintance.hear_links(seen, now):
            self._announcer.change(now)

    def _find(self, found: RecordFound, finder: str, now: Now) -> None:
        try:
            self._acquaintance.hear_record(found, now)
        except RemoteProtocolError:
            self._context.effects.report(PacketRefused(Refusal.SHAPE.value, finder))

    def _hear_orphans(self, predecessor: EventId | str, now: Now) -> None:
        for wire, carrier in self._orphans.take(predecessor):
            self._receive(wire, carrier, now)

    def _hear_ourselves(self, now: Now) -> None:
        """Our own roles hear what we said: a requester may be a member of its own round."""
        spoken = self._context.effects.spoken
        while spoken:
            packet, body = spoken.popleft()
            self._intake.remember(packet, now)
            if packet.kind in STREAMING:
                continue  # said to one other
            if packet.kind is Kind.REQUEST or packet.predecessor is not None:
                self._table.hear(packet, body, now)
                self._hear_orphans(packet.id, now)

    def _begin_waiting(self, now: Now) -> None:
        while self._table.begin_waiting(now):
            self._hear_ourselves(now)

    def _see_beacon(self, number: int, value: str, now: Now) -> None:
        self._context.see_beacon(number, value, now)
        self._table.hear_beacon(now)
        self._hear_orphans(beacon_key(number), now)

    def _tick(self, now: Now) -> None:
        self._context.directory.expire(now)
        for wire in self._context.repeats.take_due(now.monotonic_ms):
            self._context.effects.repeat(wire)
        self._table.take_due(now)
        self._acquaintance.take_due(now)
        self._announcer.take_due(self._table.load, now)
