"""Collects what one input asks of the world, to be handed out as one batch."""

from __future__ import annotations

from collections import deque

from dicast.base.types import EventId, NodeId, Now
from dicast.protocol.envelope import Packet, sign_packet, tags_for
from dicast.protocol.messages import KINDS, Body
from dicast.protocol.network import NetworkSecret
from dicast.protocol.outputs import Batch, Delete, Errand, Put, Report, Run, Send, Write
from dicast.protocol.records import Table
from dicast.protocol.settings import Identity


class Effects:
    """The effects of one input, in order. `spoken` holds our own new packets and what they say: our own roles
    hear them too, and need not decode them."""

    def __init__(self, identity: Identity, topic: str, secret: NetworkSecret | None = None) -> None:
        self._identity = identity
        self._topic = topic
        self._secret = secret
        self._writes: list[Write] = []
        self._sends: list[Send] = []
        self._runs: list[Run] = []
        self._reports: list[Report] = []
        self._errands: list[Errand] = []
        self.spoken: deque[tuple[Packet, Body]] = deque()

    def put(self, table: Table, key: str, value: bytes) -> None:
        """Make a record durable before anything of this batch is sent."""
        self._writes.append(Put(table.value, key, value))

    def delete(self, table: Table, key: str) -> None:
        """Forget a record."""
        self._writes.append(Delete(table.value, key))

    def speak(
        self,
        body: Body,
        now: Now,
        predecessor: EventId | None = None,
        addressees: tuple[NodeId, ...] = (),
    ) -> Packet:
        """Sign a message, send it, and let our own roles hear it after this step."""
        tags = tags_for(KINDS[type(body)], self._topic, now, predecessor, addressees)
        packet = sign_packet(self._identity.key, body, tags, now, self._secret)
        self._sends.append(Send(packet.wire))
        self.spoken.append((packet, body))
        return packet

    def repeat(self, wire: bytes) -> None:
        """Send bytes that were sent before."""
        self._sends.append(Send(wire))

    def run(self, run: Run) -> None:
        """Start or stop work."""
        self._runs.append(run)

    def send_out(self, errand: Errand) -> None:
        """Let transports and finders look for somebody."""
        self._errands.append(errand)

    def report(self, report: Report) -> None:
        """Tell a fact."""
        self._reports.append(report)

    def take(self) -> Batch:
        """The batch so far; the collector is empty afterwards."""
        reports, self._reports = tuple(self._reports), []
        if not (self._writes or self._sends or self._runs or self._errands):
            return Batch(reports=reports)
        batch = Batch(
            writes=tuple(self._writes),
            sends=tuple(self._sends),
            runs=tuple(self._runs),
            reports=reports,
            errands=tuple(self._errands),
        )
        self._writes, self._sends, self._runs, self._errands = [], [], [], []
        return batch
