"""The world: hosts, a network and faults on one heap of events. One seed decides everything."""

from __future__ import annotations

import traceback
from collections.abc import Sequence

import msgspec

from dicast.protocol.envelope import PacketReader
from dicast.protocol.inputs import (
    Asked,
    BeaconSeen,
    Cancelled,
    Input,
    ModelsChanged,
    TimeReached,
)
from dicast.protocol.messages import Kind, Role
from dicast.protocol.outputs import Batch, PacketRefused, Put
from dicast.protocol.records import Table
from dicast.simulator.clock import Heap
from dicast.simulator.dice import Dice
from dicast.simulator.engine_room import EngineRoom
from dicast.simulator.engines import OFFERED
from dicast.simulator.faults import Crash, Faults, Jump, Partition, Stage, Works
from dicast.simulator.host import Conduct, Host, NodeMaker
from dicast.simulator.ledger import Ask, Ledger, Violation
from dicast.simulator.network import QUIET, Network, Parcel
from dicast.simulator.reader import RememberingReader
from dicast.simulator.telling import report_text, sent_text
from dicast.simulator.trace import Trace

BOOT_SPREAD_MS = 400
"""Machines start within this time of each other."""
WAKES_PER_SECOND_MAX = 60
"""More deadlines of one node in a virtual second than this is a hot loop."""
REPLAYED_MAX = 200
"""What a relay stores of the last moments: more than a round of any simulated size."""
DIES_AFTER_CANCEL_PM = 400
"""What ended must stay so after a restart; by chance alone the two would seldom meet."""

_ENCODER = msgspec.json.Encoder()
_NOTHING = Batch()


def is_refusal(batch: Batch) -> bool:
    """Whether a batch says no and asks for nothing."""
    reports = batch.reports
    if len(reports) != 1 or type(reports[0]) is not PacketRefused:
        return False
    return not (batch.writes or batch.sends or batch.runs or batch.submits)


class Watcher:
    """Looks on while a world runs; may raise `Violation`. This one sees nothing."""

    def before(self, world: World, host: Host, received: Input) -> None:
        """A node is about to handle an input."""

    def after(self, world: World, host: Host, received: Input, batch: Batch) -> None:
        """It has; the batch is not performed yet."""

    def booted(self, world: World, host: Host) -> None:
        """A node started from a disk."""


class World:
    """Runs hosts until the end of their faults' plan, and tells the ledger and the trace everything."""

    def __init__(
        self, seed: int, hosts: Sequence[Host], faults: Faults, *, make_node: NodeMaker, trace: Trace
    ) -> None:
        self.seed = seed
        self.hosts = list(hosts)
        self.faults = faults
        self.trace = trace
        settings = self.hosts[0].machine.settings
        self.secret = settings.secret
        self.reader: PacketReader = RememberingReader(self.secret)
        self.heap = Heap()
        self.network = Network(self.heap, Dice(seed, "network"), self._deliver)
        self.dice = Dice(seed, "world")
        self.handled = 0
        self.ledger = Ledger([host.machine.identity.key for host in self.hosts], self.secret)
        self.topic = settings.topic
        self.librarian: Host | None = None
        """If set, announcements reach this host only: the directory that the others would share with it."""
        self.watchers: list[Watcher] = []
        self.make_node = make_node
        self._engine_room = EngineRoom(self)
        self._beacon: BeaconSeen | None = None
        self._plan()

    def run(self) -> None:
        """Everything, to the end."""
        self.heap.run(self.faults.end_ms)

    def ask(self, ask: Ask) -> None:
        """Put a question to a host at its time; a machine that is down then is asked when it is back."""
        self.heap.schedule(ask.at_ms, self._ask, self.hosts[ask.host], ask)

    def recast(self, host: Host, conduct: Conduct) -> None:
        """Replace a part of a host's node; it is no longer honest."""
        host.conduct = conduct
        self.ledger.disown(host.index)

    def see_beacon(self, seen: BeaconSeen, detail: object = None) -> None:
        """The beacon published a value: everybody who is up hears it, the rest when they are back."""
        self._beacon = seen
        for host in self.hosts:
            self.give(host, seen)

    def publish(self, host: Host, wire: bytes) -> None:
        """Send one packet of a host to everybody."""
        first = self.ledger.note_sent(self.heap.now_ms, host.index, wire, self.reader)
        if first is not None and self.trace.keeps_lines:
            self.trace.line(self.heap.now_ms, f"{host.name} sends {sent_text(first)}")
        serial = self.network.broadcast(host.index, wire, self._audience(wire))
        self.trace.record(b"%d s %d %d " % (self.heap.now_ms, host.index, serial) + wire)

    def give(self, host: Host, received: Input) -> None:
        """One input to a host's node, and its batch performed whole (unless the machine dies of it)."""
        node = host.node
        if node is None:
            return
        now = host.clock.now(self.heap.now_ms)
        if host.conduct.name:
            given = host.conduct.receive(received, now)
            if given is None:
                return
            received = given
        self.handled += 1
        for watcher in self.watchers:
            watcher.before(self, host, received)
        try:
            batch = node.handle(received, now)
        except Exception as error:
            raise self._broken(host, received, error) from error
        for watcher in self.watchers:
            watcher.after(self, host, received, batch)
        if is_refusal(batch):
            # A refused input changes nothing (a checker sees to it), so the deadline is what it was.
            self.trace.record(b"refused")
            self.ledger.note_told(self.heap.now_ms, host.index, batch.reports[0])
            return
        if batch != _NOTHING:
            self._perform(host, batch)
        if host.is_up:
            self._arm(host)

    def boot(self, host: Host, detail: object = None) -> None:
        """Start a node on a host from what its disk holds."""
        del detail
        if host.node is not None:
            return
        host.boots += 1
        host.clock.reboot(self.dice.below(1_000_000) - self.heap.now_ms)
        host.node = self.make_node(host.machine, host.disk.tables(), self.reader)
        self._say(host, "up" if host.boots == 1 else "up again")
        try:
            batch = host.node.start(host.clock.now(self.heap.now_ms))
        except Exception as error:
            raise self._broken(host, "start", error) from error
        self._perform(host, batch)
        for watcher in self.watchers:
            watcher.booted(self, host)
        if self._beacon is not None:
            self.give(host, self._beacon)
        if self.faults.relay_replays and host.boots > 1:
            self._replay(host)
        if Role.WORKER in host.machine.settings.roles:
            self.give(host, ModelsChanged((OFFERED,)))
        elif host.is_up:
            self._arm(host)

    def crash(self, host: Host, down_ms: int) -> None:
        """The machine dies; only its disk is left. It is back after `down_ms`, or never when negative."""
        self._say(host, f"dies for {down_ms} ms" if down_ms >= 0 else "dies for good")
        host.node, host.doom, host.wakes_at_ms = None, None, None
        host.jobs.clear()
        host.fetching.clear()
        host.evictable |= dict(host.blobs.values())
        host.blobs.clear()
        if down_ms >= 0:
            self.heap.schedule(self.heap.now_ms + down_ms, self.boot, host)

    def _replay(self, host: Host) -> None:
        """A relay tells a machine that came back what was said lately, its own packets included."""
        for sent in self.ledger.sent[-REPLAYED_MAX:]:
            at_ms = self.heap.now_ms + self.dice.between(1, 500)
            self.heap.schedule(at_ms, self._deliver, host, self.network.parcel(sent.packet.wire))

    def _plan(self) -> None:
        faults, schedule = self.faults, self.heap.schedule
        self.network.echo = faults.echo
        for host in self.hosts:
            schedule(self.dice.below(BOOT_SPREAD_MS), self.boot, host)
        schedule(faults.quiet_start_ms, self._trouble, None)
        for crash in faults.crashes:
            schedule(crash.at_ms, self._doom, self.hosts[crash.host], crash)
        for jump in faults.jumps:
            schedule(jump.at_ms, self._jump, self.hosts[jump.host], jump)
        for partition in faults.partitions:
            schedule(max(partition.start_ms, faults.quiet_start_ms), self._divide, partition)
            schedule(partition.end_ms, self._unite, partition)
        schedule(faults.heal_ms, self._heal, None)

    def _trouble(self, subject: None, detail: None) -> None:
        self.network.rates = self.faults.rates

    def _heal(self, subject: None, detail: None) -> None:
        self.network.rates, self.network.sides = QUIET, None
        self._engine_room.works = Works()
        for host in self.hosts:
            host.doom = None
            host.clock.correct()
            if host.node is None and not host.conduct.name:
                self.boot(host)
        self.trace.line(self.heap.now_ms, "the faults are over")

    def _doom(self, host: Host, crash: Crash) -> None:
        if host.doom is None and host.node is not None and self.heap.now_ms < self.faults.heal_ms:
            host.doom = (crash.batches, crash.stage, crash.down_ms)

    def _jump(self, host: Host, jump: Jump) -> None:
        self._say(host, f"clock jumps by {jump.by_ms} ms")
        host.clock.jump(jump.by_ms)

    def _divide(self, partition: Partition, detail: None) -> None:
        if partition.end_ms > self.heap.now_ms:
            self.network.sides = partition.sides
            self.trace.line(self.heap.now_ms, f"the network divides: {sum(partition.sides)} hosts apart")

    def _unite(self, partition: Partition, detail: None) -> None:
        if self.network.sides == partition.sides:
            self.network.sides = None

    def _ask(self, host: Host, ask: Ask) -> None:
        if host.node is None:
            self.heap.schedule(self.heap.now_ms + 1_000, self._ask, host, ask)
            return
        boots = host.boots
        self._say(host, f"is asked {ask.ask_id}: {ask.question.messages[0].content[:80]}")
        self.ledger.asked.append(msgspec.structs.replace(ask, at_ms=self.heap.now_ms))
        self.give(host, Asked(ask.ask_id, ask.question))
        if not host.is_up or host.boots != boots:
            self.ledger.lost_asks.add(ask.ask_id)
        elif ask.cancel_after_ms:
            self.heap.schedule(self.heap.now_ms + ask.cancel_after_ms, self._cancel, host, ask)

    def _cancel(self, host: Host, ask: Ask) -> None:
        if host.is_up:
            self._say(host, f"cancels {ask.ask_id}")
        self.give(host, Cancelled(ask.ask_id))
        if self.dice.chance(DIES_AFTER_CANCEL_PM):
            crash = Crash(self.heap.now_ms, host.index, 0, Stage.AFTER, self.dice.between(1, 2_000))
            self.heap.schedule(self.heap.now_ms + self.dice.between(1, 2_000), self._doom, host, crash)

    def _deliver(self, host: Host, parcel: Parcel) -> None:
        if host.node is not None:
            self.trace.record(b"%d r %d %d" % (self.heap.now_ms, host.index, parcel.serial))
            self.give(host, parcel.input)

    def _wake(self, host: Host, at_ms: int) -> None:
        if host.wakes_at_ms != at_ms or host.node is None:
            return
        host.wakes_at_ms = None
        deadline = host.node.deadline
        if deadline is None or host.clock.world_ms(deadline.at_ms) > self.heap.now_ms:
            self._arm(host)
            return
        self._count_wake(host)
        self.trace.record(b"%d w %d" % (self.heap.now_ms, host.index))
        self.give(host, TimeReached())

    def _count_wake(self, host: Host) -> None:
        second = self.heap.now_ms // 1000
        host.wakes_in_second = host.wakes_in_second + 1 if second == host.second else 1
        host.second = second
        if host.wakes_in_second > WAKES_PER_SECOND_MAX and not host.conduct.name:
            reason = host.node.deadline if host.node else None
            raise Violation("hot_loop", self.heap.now_ms, f"{host.name} woke too often for {reason}")

    def _arm(self, host: Host) -> None:
        deadline = host.node.deadline if host.node is not None else None
        if deadline is None:
            return
        at_ms = max(host.clock.world_ms(deadline.at_ms), self.heap.now_ms + 1)
        if host.wakes_at_ms is None or at_ms < host.wakes_at_ms:
            host.wakes_at_ms = at_ms
            self.heap.schedule(at_ms, self._wake, host, at_ms)

    def _perform(self, host: Host, batch: Batch) -> None:
        if host.conduct.name:
            batch = host.conduct.perform(batch, host.clock.now(self.heap.now_ms))
        self.trace.record(_ENCODER.encode((batch.writes, batch.runs, batch.reports)))
        stage = self._stage_of_death(host, batch)
        down_ms = host.doom[2] if host.doom is not None else 0
        if stage is not Stage.BEFORE_WRITES:
            host.disk.apply(batch.writes)
            self._note_kept(host, batch)
        if stage is None or stage >= Stage.AMID_SENDS:
            sends = batch.sends[: len(batch.sends) // 2] if stage is Stage.AMID_SENDS else batch.sends
            for send in sends:
                self.publish(host, send.wire)
        if stage is None or stage is Stage.AFTER:
            for run in batch.runs:
                self._engine_room.start(host, run)
            self._tell(host, batch)
        elif stage is not Stage.BEFORE_WRITES:
            self.ledger.note_untold(self.heap.now_ms, host.index, batch.reports)
        if stage is not None:
            self.crash(host, down_ms)

    def _tell(self, host: Host, batch: Batch) -> None:
        for report in batch.reports:
            self.ledger.note_told(self.heap.now_ms, host.index, report)
            text = report_text(report) if self.trace.keeps_lines else ""
            if text:
                self.trace.line(self.heap.now_ms, f"{host.name} {text}")

    def _note_kept(self, host: Host, batch: Batch) -> None:
        """A packet on a disk was made, even when the machine dies before it is out."""
        for write in batch.writes:
            if isinstance(write, Put) and write.table == Table.PACKET:
                self.ledger.note_made(self.heap.now_ms, host.index, write.value, self.reader)

    def _stage_of_death(self, host: Host, batch: Batch) -> Stage | None:
        if host.doom is None:
            return None
        left, stage, down_ms = host.doom
        counts = bool(batch.writes or batch.sends or batch.runs)
        host.doom = (left - counts, stage, down_ms)
        return stage if counts and left == 0 else None

    def _audience(self, wire: bytes) -> list[Host]:
        if self.librarian is None or self.reader.parse(wire).kind is not Kind.ANNOUNCEMENT:
            return self.hosts
        return [self.librarian]

    def _say(self, host: Host, text: str) -> None:
        self.trace.record(b"%d h %d " % (self.heap.now_ms, host.index) + text.encode())
        self.trace.line(self.heap.now_ms, f"{host.name} {text}")

    def _broken(self, host: Host, received: object, error: Exception) -> Violation:
        where = traceback.format_exception(error)[-3:]
        return Violation(
            "never_raises", self.heap.now_ms, f"{host.name} raised on {received!r:.300}: {''.join(where)}"
        )
