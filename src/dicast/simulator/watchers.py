"""Checkers that look into a running node: refusals, rebuilding from a disk, memory."""

from __future__ import annotations

from dicast.protocol.errand import Phase
from dicast.protocol.inputs import Embedded, Input, PacketReceived
from dicast.protocol.messages import Refusal
from dicast.protocol.node import Node
from dicast.protocol.outputs import Batch, PacketRefused, RoundDecided, RoundEnded, StartEmbedding
from dicast.protocol.records import Table
from dicast.simulator.dice import Dice
from dicast.simulator.disk import Disk
from dicast.simulator.embedder import embed
from dicast.simulator.host import Host
from dicast.simulator.ledger import Violation
from dicast.simulator.state import fingerprint, sizes
from dicast.simulator.world import Watcher, World, is_refusal

WALKS_MAX = 4
"""Inputs of one world around which a whole node is walked twice: dear, and worlds are many."""
REBUILDS_MAX = 3
"""Nodes rebuilt from their disks in one world: each makes four and walks three."""
CONTAINER_ITEMS_MAX = 65_536
"""No container of a node may hold more: the largest limit that the protocol names but for seen ids."""
STATE_ITEMS_MAX = 200_000
"""Items in all containers of one simulated node: its peers, rounds and seen ids with room to spare."""


class RefusalsChangeNothing(Watcher):
    """A refused input leaves the node as it was, but for the accounts that refusing itself needs."""

    def __init__(self, seed: int) -> None:
        self._dice = Dice(seed, "refusals")
        self._left = WALKS_MAX
        self._before: bytes | None = None
        self._waiting = 0

    @property
    def is_watching(self) -> bool:
        """Whether the input at hand is looked at."""
        return self._before is not None

    def before(self, world: World, host: Host, received: Input) -> None:
        """Now and then, take the node's fingerprint."""
        self._before = None
        if not self._left or host.conduct.name or not isinstance(received, PacketReceived):
            return
        if self._dice.bits(9) == 0:
            self._left -= 1
            self._before = fingerprint(host.node)
            self._waiting = _waiting(host.node)

    def after(self, world: World, host: Host, received: Input, batch: Batch) -> None:
        """If the input was refused and nothing else, the fingerprint is the same."""
        before, self._before = self._before, None
        if before is None or not is_refusal(batch):
            return
        refusal = batch.reports[0]
        if isinstance(refusal, PacketRefused) and refusal.reason == Refusal.CONFLICT:
            return  # the second of two contradicting packets is kept: it is evidence
        if _waiting(host.node) < self._waiting:
            return  # it was accepted in silence: what is refused had waited for it
        if fingerprint(host.node) != before:
            raise Violation(
                "refusals_change_nothing",
                world.heap.now_ms,
                f"{host.name} changed on a packet refused as {refusal}",
            )


def _waiting(node: object) -> int:
    """Packets that wait for the one they follow."""
    return sum(count for path, count in sizes(node) if path.endswith("._orphans._waiting"))


class RebuiltIsTheSame(Watcher):
    """A node made from a disk does what the disk says: twice the same, and never another commit or reveal."""

    def __init__(self, seed: int) -> None:
        self._dice = Dice(seed, "rebuilds")
        self._left = REBUILDS_MAX

    def after(self, world: World, host: Host, received: Input, batch: Batch) -> None:
        """Now and then, and often when a round ends, rebuild a node from what will be on its disk."""
        if not self._left or host.conduct.name or not batch.writes:
            return
        ends = any(isinstance(report, RoundDecided | RoundEnded) for report in batch.reports)
        if self._dice.bits(1 if ends else 5) == 0:
            self._left -= 1
            self.compare(world, host, batch)

    def compare(self, world: World, host: Host, batch: Batch) -> None:
        """Two nodes from the disk after `batch` start alike, and a third after them; raises `Violation`."""
        tables = _after(host.disk.tables(), batch)
        now = host.clock.now(world.heap.now_ms)
        starts: list[tuple[Batch, bytes]] = []
        for _ in range(2):
            node = world.make_node(host.machine, tables, world.reader)
            starts.append((node.start(now), fingerprint(node)))
        if starts[0] != starts[1]:
            raise Violation("rebuilt_is_the_same", world.heap.now_ms, f"{host.name} starts in two ways")
        self._check_own_rounds(world, host, tables)
        again = world.make_node(host.machine, _after(tables, starts[0][0]), world.reader)
        again.start(now)
        if fingerprint(again) != starts[0][1]:
            raise Violation("rebuilt_is_the_same", world.heap.now_ms, f"{host.name} wakes up another")
        once = _settled(world, host, tables)
        if _settled(world, host, once) != once:
            raise Violation(
                "rebuilt_is_the_same", world.heap.now_ms, f"{host.name} writes more at each start"
            )

    def _check_own_rounds(self, world: World, host: Host, tables: dict[str, dict[str, bytes]]) -> None:
        """What a running node still asks for is resumed after a restart, or ended with a reason."""
        running, rebuilt = host.node, world.make_node(host.machine, tables, world.reader)
        begun = rebuilt.start(host.clock.now(world.heap.now_ms))
        ended = {report.request_id for report in begun.reports if isinstance(report, RoundEnded)}
        if not isinstance(running, Node) or not isinstance(rebuilt, Node):
            return
        known = ended | {view.request_id for view in rebuilt.rounds()}
        durable = tables.get(Table.ROUND, {})
        lost = [
            view
            for view in running.rounds()
            if view.ours
            and view.step != Phase.OVER
            and view.request_id in durable
            and view.request_id not in known
        ]
        if lost:
            raise Violation("rebuilt_is_the_same", world.heap.now_ms, f"{host.name} forgot {lost[0]}")


def check_memory(world: World) -> None:
    """P10: no container of an honest node grew beyond what the protocol's limits allow."""
    for host in world.hosts:
        if host.node is None or host.conduct.name:
            continue
        total = 0
        for path, count in sizes(host.node):
            total += count
            if count > CONTAINER_ITEMS_MAX:
                raise Violation("bounded_memory", world.heap.now_ms, f"{host.name} {path} holds {count}")
        if total > STATE_ITEMS_MAX:
            raise Violation("bounded_memory", world.heap.now_ms, f"{host.name} holds {total} items")


def check_blobs(world: World) -> None:
    """What an honest node keeps and gets belongs to rounds that it still knows."""
    for host in world.hosts:
        if isinstance(host.node, Node) and not host.conduct.name:
            known = {view.request_id for view in host.node.rounds()}
            left = sorted({*host.blobs, *host.fetching} - known)
            if left:
                raise Violation("check_blobs", world.heap.now_ms, f"{host.name} still keeps {left[0][:8]}")


def _settled(world: World, host: Host, tables: dict[str, dict[str, bytes]]) -> dict[str, dict[str, bytes]]:
    """The tables once a node has started from them and every embedding that it asked for has come."""
    disk, now = Disk(tables), host.clock.now(world.heap.now_ms)
    node = world.make_node(host.machine, tables, world.reader)
    pending = [node.start(now)]
    while pending:
        batch = pending.pop()
        disk.apply(batch.writes)
        for run in batch.runs:
            if isinstance(run, StartEmbedding):
                bits = tuple(embed(text).hex() for text in run.texts)
                pending.append(node.handle(Embedded(run.job_id, run.embedder, bits), now))
    return {name: rows for name, rows in disk.tables().items() if rows}


def _after(tables: dict[str, dict[str, bytes]], batch: Batch) -> dict[str, dict[str, bytes]]:
    """The tables once a batch's writes are durable."""
    disk = Disk(tables)
    disk.apply(batch.writes)
    return disk.tables()
