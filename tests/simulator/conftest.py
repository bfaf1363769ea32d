"""A tiny scripted node, to try the world without the protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from dicast.base.types import Now
from dicast.consensus.constants import EMBEDDER
from dicast.consensus.frame import Frame, tolerated_faults
from dicast.protocol.inputs import Asked, Input, PacketReceived, TimeReached
from dicast.protocol.outputs import Batch, Deadline, PacketRefused, Put, Send
from dicast.protocol.settings import NodeSettings
from dicast.simulator.clock import HostClock
from dicast.simulator.faults import Faults, draw_faults, no_faults
from dicast.simulator.host import Host, Machine, NodeMaker, make_identity
from dicast.simulator.scenario import bare_world, cast
from dicast.simulator.trace import Trace
from dicast.simulator.workload import ask, question
from dicast.simulator.world import World


class Gossip:
    """Says a word each second and counts, durably, the words it hears."""

    def __init__(self, index: int, tables: Mapping[str, Mapping[str, bytes]]) -> None:
        self.index = index
        self.heard = {key: int(value) for key, value in tables.get("heard", {}).items()}
        self.next_ms = 0

    @property
    def deadline(self) -> Deadline:
        return Deadline(self.next_ms, "word")

    def start(self, now: Now) -> Batch:
        self.next_ms = now.monotonic_ms + 1_000
        return Batch()

    def handle(self, input: Input, now: Now) -> Batch:
        match input:
            case TimeReached():
                self.next_ms = now.monotonic_ms + 1_000
                return Batch(sends=(Send(b"word of %d" % self.index),))
            case PacketReceived(wire, carrier):
                word = wire.decode(errors="replace")
                if not word.startswith("word of "):
                    return Batch(reports=(PacketRefused("shape", carrier),))
                self.heard[word] = self.heard.get(word, 0) + 1
                return Batch(writes=(Put("heard", word, b"%d" % self.heard[word]),))
            case Asked():
                return Batch(sends=(Send(b"word asked"),))
            case _:
                return Batch()


def _machine(index: int) -> Machine:
    return Machine(index, make_identity(0, index), NodeSettings())


@pytest.fixture
def make_host() -> Callable[[int], Host]:
    return lambda index: Host(_machine(index), HostClock(0, 0))


@pytest.fixture
def gossip_world(make_host: Callable[[int], Host]) -> Callable[..., World]:
    """A world of gossips: `gossip_world(seed, nodes=5, faults=…, make_node=…)`."""

    def make(
        seed: int,
        nodes: int = 5,
        faults: Faults | None = None,
        make_node: NodeMaker | None = None,
    ) -> World:
        return World(
            seed,
            [make_host(index) for index in range(nodes)],
            faults or draw_faults(seed, nodes, 1),
            make_node=make_node or (lambda machine, tables, reader: Gossip(machine.index, tables)),
            trace=Trace(keep_lines=True),
        )

    return make


def _frame() -> Frame:
    return Frame(
        quorum=4,
        sec_percentage_bp=6_600,
        sec_distance_bits={EMBEDDER: 100},
        gates=(),
        faults=tolerated_faults(6_600, 5),
        deadline_ms=3_000,
        reveal_ms=1_500,
        grace_ms=500,
    )


@pytest.fixture
def one_round() -> Callable[..., World]:
    """Six real nodes, one of which asks five of them: `one_round({2: "liar"}, run=True, seed=1)`."""

    def make(
        casting: dict[int, str] | None = None,
        *,
        run: bool = True,
        seed: int = 1,
        asker: int = 0,
        **asked_how: object,
    ) -> World:
        world = bare_world(seed, 6, no_faults(6, 1))
        for index, name in (casting or {}).items():
            cast(world, index, name)
        members = tuple(host.machine.node_id for host in world.hosts[1:6])
        asked = question(
            str(asked_how.pop("prompt", "Which tree is it?")), _frame(), 5, members=members, **asked_how
        )
        world.ask(ask(1_500, asker, 1, asked))
        if run:
            world.run()
        return world

    return make
