"""A loss-free network of real nodes on a list of packets: for tests of the protocol alone."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from dicast.base.crypto import KeyPair
from dicast.base.hashing import sha256
from dicast.base.types import NodeId, Now
from dicast.consensus.frame import Frame
from dicast.embedders.memory import MemoryEmbedder
from dicast.protocol.effects import Effects
from dicast.protocol.envelope import Packet, decode_body
from dicast.protocol.inputs import (
    Asked,
    BeaconSeen,
    BlobFetched,
    BlobMissing,
    Embedded,
    InferenceFinished,
    Input,
    ModelsChanged,
    PacketReceived,
    Question,
    TimeReached,
)
from dicast.protocol.messages import Body, Kind, Message, OfferedModel, Role
from dicast.protocol.node import Node
from dicast.protocol.outputs import (
    Batch,
    CancelInference,
    Delete,
    DropBlob,
    FetchBlob,
    Put,
    Report,
    ShareBlob,
    StartEmbedding,
    StartInference,
)
from dicast.protocol.records import ENCODER, StandingRecord
from dicast.protocol.settings import Identity, NodeSettings

EMBEDDER = MemoryEmbedder()
MODEL = OfferedModel(name="fake-1", engine="fake", context_tokens=4096)
START_UNIX_MS = 1_790_000_000_000


class Host:
    """One node, its disk, and what it asked for."""

    def __init__(self, number: int, roles: tuple[Role, ...], embedders: tuple[str, ...]) -> None:
        self.identity = Identity(KeyPair.from_seed(b"test-%d" % number), sha256(b"secret-%d" % number))
        self.settings = NodeSettings(roles=roles, embedders=embedders, slots=4, software="test")
        self.tables: dict[str, dict[str, bytes]] = {}
        self.reports: list[Report] = []
        self.answer: Callable[[StartInference], str | None] = lambda _: "The capital of France is Paris."
        self.embed: Callable[[tuple[str, ...]], list[bytes]] = EMBEDDER.embed
        self.alive = True
        self.node = Node(self.identity, self.settings)

    def reported(self, kind: type) -> list:
        return [report for report in self.reports if isinstance(report, kind)]


class Network:
    """Delivers everything to everybody at once, in order; time moves only when nothing else can."""

    def __init__(self) -> None:
        self.hosts: list[Host] = []
        self.now_ms = 1_000
        self.queue: deque[tuple[Host, Input]] = deque()
        self.wires: list[bytes] = []
        self.drop: Callable[[Host, bytes], bool] = lambda _host, _wire: False
        self.blobs: dict[str, bytes] = {}
        self.fetches: list[tuple[Host, FetchBlob]] = []
        self.dropped: list[tuple[Host, DropBlob]] = []
        self.fetch: Callable[[bytes | None], bytes | None] = lambda blob: blob
        """What a fetch brings in place of what was shared; None: nobody gives it."""
        self.serves = True
        """Whether a fetch is answered at all."""

    @property
    def now(self) -> Now:
        return Now(self.now_ms, START_UNIX_MS + self.now_ms)

    def add(
        self,
        roles: tuple[Role, ...] = (Role.WORKER, Role.VALIDATOR),
        embedders: tuple[str, ...] = (EMBEDDER.name,),
    ) -> Host:
        host = Host(len(self.hosts), roles, embedders)
        self.hosts.append(host)
        self.perform(host, host.node.start(self.now))
        if roles:
            self.give(host, ModelsChanged((MODEL,)))
        return host

    def restart(self, host: Host) -> None:
        host.node = Node(host.identity, host.settings, tables=host.tables)
        self.queue = deque((one, happened) for one, happened in self.queue if one is not host)
        host.alive = True
        self.perform(host, host.node.start(self.now))
        self.give(host, ModelsChanged((MODEL,)))

    def give(self, host: Host, happened: Input) -> None:
        if host.alive:
            self.perform(host, host.node.handle(happened, self.now))

    def perform(self, host: Host, batch: Batch) -> None:
        for write in batch.writes:
            table = host.tables.setdefault(write.table, {})
            match write:
                case Put(_, key, value):
                    table[key] = value
                case Delete(_, key):
                    table.pop(key, None)
        for send in batch.sends:
            self.wires.append(send.wire)
            for other in self.hosts:
                if other is not host and not self.drop(other, send.wire):
                    self.queue.append((other, PacketReceived(send.wire, "test")))
        for run in batch.runs:
            self._run(host, run)
        host.reports.extend(batch.reports)

    def _run(self, host: Host, run: object) -> None:
        match run:
            case StartInference():
                text = host.answer(run)
                if text is not None:
                    done = InferenceFinished(
                        request_id=run.request_id, text=text, model=run.model, engine="fake"
                    )
                    self.queue.append((host, done))
            case StartEmbedding(job_id, name, texts):
                bits = tuple(one.hex() for one in host.embed(texts))
                self.queue.append((host, Embedded(job_id, name, bits)))
            case ShareBlob(_, attachment, data):
                self.blobs[attachment.sha256] = data
            case FetchBlob():
                self.fetches.append((host, run))
                blob = self.fetch(self.blobs.get(run.attachment.sha256))
                if self.serves:
                    missing = BlobMissing(run.request_id, "nobody has it")
                    self.queue.append((host, missing if blob is None else BlobFetched(run.request_id, blob)))
            case DropBlob():
                self.dropped.append((host, run))
            case CancelInference():
                pass
            case _:
                raise AssertionError(run)

    def settle(self) -> None:
        """Until nothing is in flight."""
        while self.queue:
            host, happened = self.queue.popleft()
            self.give(host, happened)

    def run_for(self, milliseconds: int) -> None:
        """Let deadlines come, in order, for so long."""
        end_ms = self.now_ms + milliseconds
        while True:
            self.settle()
            due = [
                (host.node.deadline.at_ms, place)
                for place, host in enumerate(self.hosts)
                if host.alive and host.node.deadline is not None
            ]
            at_ms, place = min(due, default=(end_ms + 1, 0))
            if at_ms > end_ms:
                self.now_ms = end_ms
                return
            self.now_ms = max(self.now_ms, at_ms)
            self.give(self.hosts[place], TimeReached())

    def settle_until(self, is_reached: Callable[[], bool]) -> None:
        """Let one input after the other happen, until something is the case."""
        while not is_reached():
            host, happened = self.queue.popleft()
            self.give(host, happened)

    def sent(self, kind: Kind, author: Host | None = None) -> list[bytes]:
        """Every packet of a kind, repeats included; of one author, if given."""
        events = [(wire, json.loads(wire)) for wire in self.wires]
        key = author.identity.node_id if author is not None else None
        return [wire for wire, one in events if one["kind"] == kind and key in {None, one["pubkey"]}]

    def ask(self, host: Host, question: Question, ask_id: str = "a") -> None:
        self.give(host, Asked(ask_id, question))


@pytest.fixture(autouse=True)
def spoken_as_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own roles hear what we meant, others what the packet says: in every test these are the same."""
    speak = Effects.speak

    def checked(self: Effects, body: Body, *rest: Any, **more: Any) -> Packet:
        packet = speak(self, body, *rest, **more)
        assert repr(decode_body(packet, self._secret)) == repr(body)
        return packet

    monkeypatch.setattr(Effects, "speak", checked)


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def question() -> Callable[..., Question]:
    def make(seats: int = 5, quorum: int = 4, percentage_bp: int = 6_000, **changes: object) -> Question:
        frame_changes = {
            name: changes.pop(name)
            for name in ("deadline_ms", "reveal_ms", "grace_ms", "gates", "faults", "sec_distance_bits")
            if name in changes
        }
        frame = Frame(
            **{
                "quorum": quorum,
                "sec_percentage_bp": percentage_bp,
                "sec_distance_bits": {EMBEDDER.name: 100},
                "gates": ("numbers", "entities", "polarity"),
                "deadline_ms": 20_000,
                "reveal_ms": 3_000,
                "grace_ms": 1_000,
                **frame_changes,
            }
        )
        return Question(
            messages=(Message("user", "What is the capital of France?"),), frame=frame, seats=seats, **changes
        )

    return make


@pytest.fixture
def follower(network: Network) -> Host:
    """A node without roles and without an embedder: it asks."""
    return network.add(roles=(), embedders=())


@pytest.fixture
def node_ids(network: Network) -> Callable[[], list[NodeId]]:
    return lambda: [host.identity.node_id for host in network.hosts]


@pytest.fixture
def prove(network: Network) -> Callable[[Host, int], None]:
    """Let a host remember that it saw every other key agree so often; it restarts, as memory is on disk."""

    def remember(host: Host, rounds: int) -> None:
        record = ENCODER.encode(StandingRecord(agreed=rounds))
        others = [one.identity.node_id for one in network.hosts if one is not host]
        host.tables["standing"] = dict.fromkeys(others, record)
        network.restart(host)
        for wire in network.sent(Kind.ANNOUNCEMENT):
            network.give(host, PacketReceived(wire, "test"))

    return remember


@pytest.fixture
def publish(network: Network) -> Callable[[int], None]:
    """A beacon round becomes public: everybody sees it."""

    def see(number: int) -> None:
        for host in network.hosts:
            network.give(host, BeaconSeen(number, sha256(b"beacon-%d" % number).hex()))

    return see
