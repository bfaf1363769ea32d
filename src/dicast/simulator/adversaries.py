"""Adversaries: real nodes with one part replaced. Here: the parts, and those whose engine is replaced."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from dicast.base.crypto import KeyPair
from dicast.base.errors import RemoteProtocolError
from dicast.base.types import EventId, Now
from dicast.protocol.envelope import Packet, sign_packet, tags_for
from dicast.protocol.inputs import Input, PacketReceived
from dicast.protocol.messages import KINDS, Body, Kind, Request, prompt_text
from dicast.protocol.outputs import Batch, Send, StartInference
from dicast.simulator.dice import Dice
from dicast.simulator.engines import answer, spliced
from dicast.simulator.host import Conduct, Host
from dicast.simulator.spyglass import Spyglass
from dicast.simulator.world import World

Maker = Callable[[World, Host], Conduct]


class Adversary(Conduct):
    """A conduct with eyes: it reads packets, remembers requests, and signs with its host's key."""

    def __init__(self, world: World, host: Host) -> None:
        self.world = world
        self.host = host
        self.key = host.machine.identity.key
        self.dice = Dice(world.seed, f"{self.name} {host.index}")
        self.requests: dict[EventId, Request] = {}
        self.spyglass = Spyglass([self.key])

    def read(self, wire: bytes) -> tuple[Packet, Body] | None:
        """The packet and its body; None when it is no packet."""
        try:
            packet = self.world.reader.parse(wire)
            return packet, self.spyglass.look(packet, self.world.reader.body(packet))
        except RemoteProtocolError:
            return None

    def heard(self, received: Input) -> tuple[Packet, Body] | None:
        """The packet in an input; requests are remembered."""
        if not isinstance(received, PacketReceived):
            return None
        found = self.read(received.wire)
        if found is not None and isinstance(found[1], Request):
            self.requests[found[0].id] = found[1]
        return found

    def is_member(self, request_id: EventId | None) -> bool:
        """Whether the host was named in a request that it heard."""
        request = self.requests.get(request_id) if request_id is not None else None
        return request is not None and self.host.machine.node_id in request.members

    def sign(self, body: Body, now: Now, predecessor: EventId | None) -> bytes:
        """A packet of this host's key."""
        return self.sign_as(self.key, self.spyglass.hide(body, self.key, predecessor), now, predecessor)

    def sign_as(self, key: KeyPair, body: Body, now: Now, predecessor: EventId | None) -> bytes:
        """A packet of any key, sealed where the network is private."""
        tags = tags_for(KINDS[type(body)], self.topic, now, predecessor, ())
        return sign_packet(key, body, tags, now, self.world.secret).wire

    def publish(self, wire: bytes, delay_ms: int = 0) -> None:
        """Send a packet around the node, later if wanted."""
        if delay_ms:
            self.world.heap.schedule(self.world.heap.now_ms + delay_ms, self._publish_later, wire)
        else:
            self.world.publish(self.host, wire)

    @property
    def topic(self) -> str:
        """The topic of the simulated network."""
        return self.world.topic

    def _publish_later(self, wire: bytes, detail: object) -> None:
        if self.host.is_up:
            self.world.publish(self.host, wire)


class Tampering(Adversary):
    """Replaces what is sent, packet by packet; a repeated packet is replaced as it was the first time."""

    def __init__(self, world: World, host: Host) -> None:
        super().__init__(world, host)
        self._replaced: dict[bytes, list[bytes]] = {}

    def perform(self, batch: Batch, now: Now) -> Batch:
        """The batch with every packet sent as `tamper` says."""
        sends: list[Send] = []
        for send in batch.sends:
            if send.wire not in self._replaced:
                found = self.read(send.wire)
                assert found is not None, "a node sends packets"
                self._replaced[send.wire] = self.tamper(found[0], found[1], now)
            sends.extend(Send(wire) for wire in self._replaced[send.wire])
        return msgspec.structs.replace(batch, sends=tuple(sends))

    def tamper(self, packet: Packet, body: Body, now: Now) -> list[bytes]:
        """What is sent in place of a packet."""
        return [packet.wire]


class Liar(Adversary):
    """Says something false of its own."""

    name = "liar"

    def answer(self, job: StartInference, usual: str) -> str:
        """A false answer."""
        return answer(job, f"lie {self.host.index}")


class Colluder(Adversary):
    """Says the same false thing as every other colluder."""

    name = "colluder"

    def answer(self, job: StartInference, usual: str) -> str:
        """The agreed false answer."""
        return answer(job, "collusion")


class Chorus(Adversary):
    """Says spam that a splicer ties to the honest answer."""

    name = "chorus"

    def answer(self, job: StartInference, usual: str) -> str:
        """Spam."""
        return answer(job, "spam")


class Splicer(Adversary):
    """Says a text that lies within the radius of the honest answer and of spam."""

    name = "splicer"

    def answer(self, job: StartInference, usual: str) -> str:
        """Half of the truth, half spam."""
        return spliced(prompt_text(job.messages), "spam", job.seed)


class Babbler(Adversary):
    """Its engine answers with what breaks careless text handling."""

    name = "babbler"

    _TEXTS = (
        "",
        " \n\t ",
        "```\nunclosed",
        "\u202e\u0000\ud800",
        "word " * 9_000,
        "*_`" * 400,
        "\U0001f9ff" * 50,
    )

    def answer(self, job: StartInference, usual: str) -> str:
        """Nothing, noise, or far too much."""
        return self.dice.pick(self._TEXTS)


def forging_relay(world: World) -> Callable[[bytes], list[bytes]]:
    """A relay that sends, before some packets, copies with another signature or other content."""
    dice = Dice(world.seed, "forging relay")

    def forge(wire: bytes) -> list[bytes]:
        if not dice.chance(200):
            return []
        text = wire.decode("utf-8", "replace")
        start = text.find('"sig":"')
        if start < 0:
            return []
        start += len('"sig":"')
        resigned = text[:start] + dice.octets(64).hex() + text[start + 128 :]
        altered = text.replace('\\"v\\":1', '\\"v\\":2', 1)
        return [resigned.encode(), altered.encode()][: dice.between(1, 2)]

    return forge


CROWD_KINDS = (Kind.COMMIT, Kind.REVEAL, Kind.QUORUM, Kind.CLOSE, Kind.SIGNATURE, Kind.STATUS, Kind.WANT)
