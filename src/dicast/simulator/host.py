"""One simulated machine: a clock, a disk, and a node that runs until the machine dies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from dicast.base.crypto import KeyPair
from dicast.base.types import NodeId, Now
from dicast.protocol.envelope import PacketReader
from dicast.protocol.inputs import Input
from dicast.protocol.outputs import Batch, Deadline, FetchBlob, StartInference
from dicast.protocol.settings import Identity, NodeSettings
from dicast.simulator.clock import HostClock
from dicast.simulator.disk import Disk
from dicast.simulator.faults import Stage


class SimulatedNode(Protocol):
    """What the world needs of a node; `dicast.protocol.node.Node` is one."""

    def start(self, now: Now) -> Batch:
        """What to do first."""
        ...

    def handle(self, happened: Input, now: Now) -> Batch:
        """What to do about one input."""
        ...

    @property
    def deadline(self) -> Deadline | None:
        """When to wake the node, and why."""
        ...


class Machine(msgspec.Struct, frozen=True):
    """What a host is: its place, its key and secret, what its node offers; the rest is state."""

    index: int
    identity: Identity
    settings: NodeSettings

    @property
    def node_id(self) -> NodeId:
        """The node's key."""
        return self.identity.node_id


Tables = Mapping[str, Mapping[str, bytes]]
NodeMaker = Callable[[Machine, Tables, PacketReader], SimulatedNode]


class Conduct:
    """How a host's node meets the world. This one changes nothing; an adversary replaces one part."""

    name = ""

    def answer(self, job: StartInference, usual: str) -> str:
        """The engine's text, given what an honest engine would say."""
        return usual

    def receive(self, received: Input, now: Now) -> Input | None:
        """What the node is given in place of an input; None for nothing."""
        return received

    def perform(self, batch: Batch, now: Now) -> Batch:
        """What is performed in place of the node's batch."""
        return batch


HONEST = Conduct()


class Host:
    """A machine and what runs on it now."""

    def __init__(self, machine: Machine, clock: HostClock, conduct: Conduct = HONEST) -> None:
        self.machine = machine
        self.index = machine.index
        self.clock = clock
        self.conduct = conduct
        self.disk = Disk()
        self.node: SimulatedNode | None = None
        self.boots = 0
        """Counts starts; what was begun before a crash belongs to an older boot."""
        self.wakes_at_ms: int | None = None
        self.jobs: dict[str, StartInference] = {}
        self.blobs: dict[str, tuple[str, bytes]] = {}
        """Attached questions by request: their SHA-256 and bytes."""
        self.evictable: dict[str, bytes] = {}
        """Those that were kept when the machine died: on disk still, and nobody's."""
        self.fetching: dict[str, FetchBlob] = {}
        self.doom: tuple[int, Stage, int] | None = None
        """Batches left before the machine dies, the stage at which it does, and for how long (ms)."""
        self.second = 0
        self.wakes_in_second = 0

    @property
    def is_up(self) -> bool:
        """Whether a node runs here."""
        return self.node is not None

    @property
    def name(self) -> str:
        """A short name for people."""
        return f"n{self.index}" + (f"({self.conduct.name})" if self.conduct.name else "")


def make_identity(seed: int, index: int) -> Identity:
    """The identity of host `index` in world `seed`."""
    secret = f"dicast/simulator/{seed}/{index}".encode()
    return Identity(KeyPair.from_seed(secret), KeyPair.from_seed(b"secret " + secret).secret)
