"""What a running node answers to calls; the socket and the in-process follower both go through here."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import TypeVar, assert_never

import msgspec

from dicast.base.errors import AdapterError, ConfigurationError, DicastError
from dicast.daemon import api
from dicast.daemon.asking import Known, may_be_attached, plan, question_of
from dicast.daemon.config_schema import AskSettings, Settings
from dicast.daemon.downloads import downloads
from dicast.daemon.driver import Driver
from dicast.daemon.embedding import Embedding
from dicast.daemon.history import RoundBook
from dicast.daemon.lane import Lane
from dicast.daemon.logs import LEVELS
from dicast.daemon.memory import resident_mb
from dicast.daemon.one_ask import OneAsk
from dicast.daemon.settings_view import Origins, settings_view
from dicast.daemon.settling import Settling
from dicast.daemon.tellings import Listening, LogLine, Told
from dicast.daemon.vicinity import is_on_this_machine
from dicast.protocol.directory import Peer
from dicast.protocol.errand import Phase
from dicast.protocol.outputs import CertificateReady, PacketRefused, PeerSeen, StreamRestarted, Token
from dicast.protocol.records import Table
from dicast.protocol.settings import NodeSettings
from dicast.version import VERSION

ASKS_OPEN_MAX = 384
"""Questions of this node at a time: 256 of people, as many as it can have slots, and 96 of batches."""
LOOK_AGAIN_S = 0.02
"""How often a question that waits for peers looks again: shorter than a person notices."""
NOBODY_YET = frozenset({"no_peers", "no_model", "too_few_nodes"})
"""Refusals that may vanish when more announcements come in."""
SLIM_PAUSE_S = 0.03
"""Dashboards get what happened meanwhile in one piece: a round's own work comes first."""
ROUNDS_SHOWN_MAX = 1_000
"""More lines than a person reads; the store may hold ten thousand."""
T = TypeVar("T")
EventSink = Callable[[Told | api.ReportsDropped], None]
Result = msgspec.Struct | tuple[msgspec.Struct, ...]


class Service:
    """Answers calls about one driven node."""

    def __init__(self, driver: Driver, settings: Settings, offers: NodeSettings) -> None:
        self._driver = driver
        self._settings = settings
        self._offers = offers
        self.origins: Origins | None = None
        """Where the settings came from, if whoever started the node says so."""
        self._started = time.monotonic()
        self._refused: dict[str, int] = {}
        self._asks = 0
        self._settling = Settling(driver.transports.lanes)
        self._book = RoundBook(driver.node, driver.parts.store, driver.reports)
        self._embedding = Embedding(driver.parts.embedders)
        driver.reports.listen_now(self._count)
        driver.log.on_line = driver.reports.tell

    async def answer(self, call: api.AnyCall, on_event: EventSink) -> Result:
        """The result of a call; events go to `on_event` meanwhile. Raises DicastError."""
        match call:
            case api.Status():
                return self.status()
            case api.Peers():
                return self.peers()
            case api.Rounds():
                return self.rounds()
            case api.History():
                return await self._book.page(call.wanted)
            case api.Round():
                return self._book.papers(call.request_id)
            case api.Embed():
                return await self._embedding.answer(call)
            case api.Logs():
                return self.logs(call)
            case api.SettingsInForce():
                return api.SettingsResult(settings_view(self._settings, self.origins))
            case api.Certificate():
                return self.certificate(call.request_id)
            case api.Plan():
                return await self._planned(call, plan)
            case api.Ask():
                return await self._ask(call, on_event)
            case api.Events():
                return await self._follow(call, on_event)
            case _:
                assert_never(call)

    def status(self) -> api.StatusResult:
        """How the node is doing."""
        node, counts = self._driver.node, self._driver.counts
        own = self.own()
        return api.StatusResult(
            node_id=own.node_id,
            network=self._settings.network,
            version=VERSION,
            pid=os.getpid(),
            uptime_s=int(time.monotonic() - self._started),
            roles=own.roles,
            models=own.models,
            embedders=own.embedders,
            peers=len(node.peers()),
            open_rounds=sum(view.step != Phase.OVER for view in node.rounds()),
            transports=tuple(self._transports()),
            inputs=counts.inputs,
            packets_received=counts.packets_received,
            packets_dropped=counts.packets_dropped,
            packets_sent=counts.packets_sent,
            refused=dict(sorted(self._refused.items())),
            reports_dropped=self._driver.reports.dropped,
            memory_mb=resident_mb(),
            topic=node.topic,
            paths=self._driver.discovery.paths,
            addresses=self._driver.discovery.addresses,
            on_this_machine=is_on_this_machine(self._settings),
            private=self._offers.secret is not None,
            slots=own.slots,
            load=own.load,
            engines=tuple(api.EngineStatus(name, *seen) for name, seen in self._driver.engines.items()),
            downloads=downloads(),
            packets=self._driver.kinds.read(),
        )

    def own(self) -> api.PeerRecord:
        """This node as a peer would see it."""
        return api.PeerRecord(
            node_id=self._driver.node.node_id,
            roles=tuple(role.value for role in self._offers.roles),
            models=self._driver.models,
            embedders=self._offers.embedders,
            slots=self._offers.slots,
            load=self._driver.node.load,
            software=self._offers.software,
            is_self=True,
            addresses=self._driver.discovery.addresses,
        )

    def known(self) -> Known:
        """Whom one could ask."""
        return Known(self.own(), self.peers)

    def peers(self) -> tuple[api.PeerRecord, ...]:
        """The nodes it knows."""
        return tuple(self._peer_record(peer) for peer in self._driver.node.peers())

    def rounds(self) -> tuple[api.RoundRecord, ...]:
        """Open rounds, and rounds whose certificate is stored."""
        records: dict[str, api.RoundRecord] = {
            view.request_id: api.RoundRecord(
                request_id=view.request_id,
                state=view.step,
                role="requester" if view.ours else "member",
                seats=view.seats,
                commits=view.commits,
                reveals=view.reveals,
                signatures=view.signatures,
            )
            for view in self._driver.node.rounds()
        }
        for request_id, _ in self._driver.parts.store.load(Table.CERTIFICATE.value):
            known = records.get(request_id, api.RoundRecord(request_id=request_id, state="decided"))
            records[request_id] = msgspec.structs.replace(known, has_certificate=True)
            if len(records) >= ROUNDS_SHOWN_MAX:
                break
        return tuple(records.values())

    def certificate(self, request_id: str) -> api.CertificateResult:
        """The stored certificate of a round; the beginning of its id is enough where it is unique."""
        store = self._driver.parts.store
        found = store.get(Table.CERTIFICATE.value, request_id)
        if found is not None:
            return api.CertificateResult(request_id=request_id, certificate=found)
        matches = [
            key for key, _ in store.load(Table.CERTIFICATE.value) if request_id and key.startswith(request_id)
        ]
        if len(matches) != 1:
            raise ConfigurationError(
                "certificate_missing",
                f"{len(matches) or 'No'} stored certificates begin with {request_id[:64]!r}.",
                "`dicast rounds` lists them.",
            )
        return self.certificate(matches[0])

    def _peer_record(self, peer: Peer) -> api.PeerRecord:
        standing = self._driver.node.standing(peer.node_id)
        return api.PeerRecord(
            node_id=peer.node_id,
            roles=tuple(role.value for role in peer.offer.roles),
            models=tuple(model.name for model in peer.offer.models),
            embedders=peer.offer.embedders,
            slots=peer.offer.slots,
            load=peer.offer.load,
            software=peer.offer.software,
            addresses=dict(peer.offer.addresses),
            contexts={model.name: model.context_tokens for model in peer.offer.models},
            announced_unix_s=peer.announced_at,
            agreed=standing.agreed,
            unrevealed=standing.unrevealed,
            malformed=standing.malformed,
            banned=standing.banned,
        )

    def logs(self, call: api.Logs) -> api.LogResult:
        """The newest lines of the log."""
        least = LEVELS.get(call.level, 0)
        lines = [line for line in self._driver.log.recent if LEVELS[line.level] >= least]
        return api.LogResult(tuple(lines[-max(1, call.limit) :]))

    async def _ask(self, call: api.Ask, on_event: EventSink) -> api.Answer:
        if self._asks >= ASKS_OPEN_MAX:
            raise AdapterError(
                "too_many_asks",
                f"{ASKS_OPEN_MAX} questions are open on this node.",
                "Ask again when one is answered.",
            )
        question = await self._planned(call, question_of)
        self._asks += 1
        try:
            return await OneAsk(self._driver, question, on_event).run()
        finally:
            self._asks -= 1

    async def _planned(
        self, call: api.AskOptions, planned: Callable[[api.AskOptions, AskSettings, Known], T]
    ) -> T:
        """What asking means; a node that has just started first gets a moment to hear who is there."""
        while True:
            try:
                if may_be_attached(call):  # whether others reach us is looked at only once a second
                    self._driver.discovery.look()
                return planned(call, self._settings.ask, self.known())
            except DicastError as error:
                if error.code not in NOBODY_YET or self._settling.is_settled():
                    raise self._settling.explained(error) from error
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _follow(self, call: api.Events, on_event: EventSink) -> api.Done:
        if self._driver.reports.is_full():
            raise AdapterError(
                "too_many_listeners", "Too many listen to this node already.", "Stop one of them."
            )

        def wanted(report: Told) -> bool:
            if isinstance(report, LogLine):
                return call.logs
            if isinstance(report, Token | StreamRestarted):
                return False  # whoever asked reads along, and nobody else
            return call.noisy or not isinstance(report, PacketRefused)

        subscription = self._driver.reports.subscribe(wanted)
        told = 0
        if call.slim:
            on_event(Listening())
        try:
            while (report := await subscription.next()) is not None:
                if subscription.dropped > told:
                    on_event(api.ReportsDropped(subscription.dropped - told))
                    told = subscription.dropped
                if call.slim:
                    await asyncio.sleep(SLIM_PAUSE_S)
                while report is not None:
                    on_event(_slim(report) if call.slim else report)
                    report = subscription.take()
        finally:
            subscription.close()
        return api.Done()

    def _transports(self) -> list[api.TransportStatus]:
        return [_transport_status(lane) for lane in self._driver.transports.lanes]

    def _count(self, report: Told) -> None:
        if isinstance(report, PeerSeen):
            self._settling.peer_seen()
        if isinstance(report, PacketRefused):
            self._refused[report.reason] = self._refused.get(report.reason, 0) + 1


def _slim(report: Told) -> Told:
    """Without a certificate, which may have megabytes."""
    if isinstance(report, CertificateReady):
        return msgspec.structs.replace(report, certificate=b"")
    return report


def _transport_status(lane: Lane) -> api.TransportStatus:
    health, lag = lane.health(), lane.lag()
    return api.TransportStatus(
        name=lane.transport.name,
        state=health.state,
        detail=health.detail,
        peers=tuple(lane.peers()),
        sent=health.sent,
        received=health.received,
        dropped=health.dropped + lane.counts.dropped,
        first=lane.counts.first,
        copies=lane.counts.copies,
        oversized=lane.counts.oversized,
        failed=lane.counts.failed,
        lag_median_ms=None if lag is None else lag.median_ms,
        lag_p95_ms=None if lag is None else lag.p95_ms,
        round_trip_ms=health.round_trip_ms,
    )
