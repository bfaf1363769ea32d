"""A node in mid-round and a genuine packet of each kind that it is about to receive."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from dicast.base.crypto import KeyPair
from dicast.base.events import encode_event, parse_event, sign_event
from dicast.base.nip44 import conversation_key
from dicast.base.types import EventId, Now, RequestId
from dicast.protocol.envelope import Packet, PacketReader, make_packet, sign_packet, tags_for, topic_of
from dicast.protocol.inputs import BeaconSeen, LinksSeen, PacketReceived
from dicast.protocol.messages import Commit, Evidence, Kind, Places, Seek, Want
from dicast.protocol.node import Node
from dicast.protocol.orphans import Orphans
from dicast.protocol.outputs import Batch
from dicast.protocol.records import ENCODER, StandingRecord
from dicast.protocol.stream_seal import Line, StreamFrom, StreamText, sealed_text, sealed_wish

TOPIC = topic_of("main")
BEACON = "5eed" * 16


class CountingReader(PacketReader):
    """Counts what is dear."""

    def __init__(self) -> None:
        super().__init__()
        self.checks = 0

    def is_signed(self, packet: Packet) -> bool:
        self.checks += 1
        return super().is_signed(packet)


class Scene:
    """`node` waits for `wire`, by `key`, and for nothing else. `fresh` has a node of its own."""

    def __init__(self, node: Node, now: Now, wire: bytes, key: KeyPair) -> None:
        self.reader = CountingReader()
        self.node = self._copied(node)
        self.node._orphans = Orphans()
        self.now = now
        self.wire = wire
        self.key = key

    def fresh(self) -> Scene:
        return Scene(self.node, self.now, self.wire, self.key)

    def receive(self, wire: bytes) -> Batch:
        return self.node.handle(PacketReceived(wire, "test"), self.now)

    def view(self) -> tuple[object, ...]:
        return self.node.rounds(), self.node.peers(), self.node.deadline

    @property
    def fields(self) -> dict[str, Any]:
        return json.loads(self.wire)

    def resigned(self, **changes: Any) -> bytes:
        """The genuine packet with some fields changed, and signed by its author."""
        fields = {**self.fields, **changes}
        parts = (fields["created_at"], fields["kind"], fields["tags"], fields["content"])
        return encode_event(sign_event(self.key, *parts))

    def _copied(self, node: Node) -> Node:
        context = node._context
        kept = {id(context.reader): self.reader, id(context.identity): context.identity}
        return copy.deepcopy(node, kept)


def kind_of(wire: bytes) -> int:
    return json.loads(wire)["kind"]


def author_of(wire: bytes) -> str:
    return json.loads(wire)["pubkey"]


class Staging:
    """Runs a round on the loss-free network until one packet, kept from one node, is what is awaited."""

    def __init__(self, network: Any, question: Callable[..., Any]) -> None:
        self.network = network
        self.asker = network.add(roles=())
        self.workers = [network.add() for _ in range(5)]
        network.run_for(1_000)
        self.question = question

    def scene(self, kind: Kind) -> Scene:
        match kind:
            case Kind.ANNOUNCEMENT:
                return self._announcement()
            case Kind.WANT | Kind.EVIDENCE:
                return self._spoken(kind)
            case Kind.STREAM | Kind.CONTINUE:
                return self._streaming(kind)
            case Kind.SEEK | Kind.PLACES:
                return self._acquainting(kind)
            case Kind.REQUEST | Kind.PANEL | Kind.QUORUM | Kind.CLOSE:
                return self._kept_back(kind, self.workers[0], self.asker)
            case _:
                return self._kept_back(kind, self.asker, self.workers[0])

    def _announcement(self) -> Scene:
        wire = next(wire for wire in self.network.wires if kind_of(wire) == Kind.ANNOUNCEMENT)
        stranger = KeyPair.from_seed(b"stranger")
        scene = Scene(self.asker.node, self.network.now, wire, stranger)
        scene.wire = scene.resigned()
        return scene

    def _kept_back(self, kind: Kind, target: Any, author: Any) -> Scene:
        def is_awaited(wire: bytes) -> bool:
            return kind_of(wire) == kind and author_of(wire) == author.identity.node_id

        self.network.drop = lambda host, wire: host is target and is_awaited(wire)
        start = len(self.network.wires)
        self._ask(drawn=kind is Kind.PANEL)
        wire = next(wire for wire in self.network.wires[start:] if is_awaited(wire))
        return Scene(target.node, self.network.now, wire, author.identity.key)

    def _ask(self, drawn: bool) -> None:
        if drawn:
            record = ENCODER.encode(StandingRecord(agreed=9))
            self.asker.tables["standing"] = {one.identity.node_id: record for one in self.workers}
            announcements = [wire for wire in self.network.wires if kind_of(wire) == Kind.ANNOUNCEMENT]
            self.network.restart(self.asker)
            for wire in announcements:
                self.network.give(self.asker, PacketReceived(wire, "test"))
            self._publish(1)
            self.network.ask(self.asker, self.question(admission="drawn", beacon_round=2))
            self.network.settle()
            self._publish(2)
        else:
            self.network.ask(self.asker, self.question())
        self.network.settle()

    def _publish(self, number: int) -> None:
        for host in self.network.hosts:
            self.network.give(host, BeaconSeen(number, BEACON))

    def _spoken(self, kind: Kind) -> Scene:
        self._ask(drawn=False)
        now, author = self.network.now, self.workers[0].identity.key
        parsed = [parse_event(wire) for wire in self.network.wires]
        last = {event.kind: EventId(event.id) for event in parsed}
        if kind is Kind.WANT:
            body, predecessor = Want(v=1, ids=(last[Kind.COMMIT],)), last[Kind.CLOSE]
            wire = make_packet(author, TOPIC, body, now, predecessor).wire
        else:
            culprit = self.workers[1].identity.key
            lies = [Commit(v=1, digest=digit * 64) for digit in "12"]
            quoted = [make_packet(culprit, TOPIC, lie, now, last[Kind.REQUEST]) for lie in lies]
            packets = tuple(packet.wire.decode() for packet in quoted)
            wire = make_packet(author, TOPIC, Evidence(v=1, packets=packets), now).wire
        return Scene(self.asker.node, now, wire, author)

    def _streaming(self, kind: Kind) -> Scene:
        """What the member that streams says to the asker, or the asker to it."""
        for worker in self.workers:
            worker.answer = lambda _: None
        self.network.ask(self.asker, self.question(stream=True))
        self.network.settle()
        request = next(json.loads(wire) for wire in self.network.wires if kind_of(wire) == Kind.REQUEST)
        request_id, streamer = RequestId(request["id"]), json.loads(request["content"])["streamer"]
        worker = next(one for one in self.workers if one.identity.node_id == streamer)
        target, author = (self.asker, worker) if kind is Kind.STREAM else (worker, self.asker)
        key, now = author.identity.key, self.network.now
        line = Line(conversation_key(key, target.identity.node_id), request_id, key.node_id)
        chunk = sealed_text(line, StreamText(0, 0, "Par"))
        body = chunk if kind is Kind.STREAM else sealed_wish(line, StreamFrom(0, 0))
        tags = tags_for(kind, TOPIC, now, EventId(request_id), (target.identity.node_id,))
        return Scene(target.node, now, sign_packet(key, body, tags, now).wire, key)

    def _acquainting(self, kind: Kind) -> Scene:
        """A seek to the asker, or the answer of whom the asker sought."""
        self.network.give(self.asker, LinksSeen(dialling=("websocket",)))
        self.network.run_for(20_000)
        [seek] = [json.loads(wire) for wire in self.network.wires if kind_of(wire) == Kind.SEEK]
        sought = next(tag[1] for tag in seek["tags"] if tag[0] == "p")
        peer = next(one for one in self.workers if one.identity.node_id == sought)
        author, now = peer.identity.key, self.network.now
        answer = Places(v=1, addresses={"websocket": ("ws://192.0.2.1:7780",)})
        body = answer if kind is Kind.PLACES else Seek(v=1, transports=("websocket",))
        tags = tags_for(kind, TOPIC, now, None, (self.asker.identity.node_id,))
        return Scene(self.asker.node, now, sign_packet(author, body, tags, now).wire, author)


_SCENES: dict[Kind, Scene] = {}


@pytest.fixture
def scene_of(network: Any, question: Callable[..., Any]) -> Callable[[Kind], Scene]:
    """A fresh scene for a kind of message; each is staged once a test run."""

    def scene(kind: Kind) -> Scene:
        if kind not in _SCENES:
            _SCENES[kind] = Staging(network, question).scene(kind)
        return _SCENES[kind].fresh()

    return scene
