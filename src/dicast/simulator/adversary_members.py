"""Adversaries among the members of a round: copying, withholding, contradicting, coming late."""

from __future__ import annotations

import msgspec

from dicast.base.types import EventId, NodeId, Now
from dicast.protocol.envelope import Packet
from dicast.protocol.inputs import Input
from dicast.protocol.messages import Body, Commit, Evidence, Kind, Quorum, Reveal, SealedReveal, Signature
from dicast.simulator.adversaries import Adversary, Tampering
from dicast.simulator.host import Host
from dicast.simulator.world import World


class Withholder(Tampering):
    """Commits and never reveals."""

    name = "withholder"

    def tamper(self, packet: Packet, body: Body, now: Now) -> list[bytes]:
        """Everything but reveals."""
        return [] if packet.kind is Kind.REVEAL else [packet.wire]


class Copier(Tampering):
    """Commits to what another committed to, and reveals what it revealed."""

    name = "copier"

    def __init__(self, world: World, host: Host) -> None:
        super().__init__(world, host)
        self._victims: dict[EventId, NodeId] = {}

    def tamper(self, packet: Packet, body: Body, now: Now) -> list[bytes]:
        """Nothing of its own work."""
        return [] if packet.kind in {Kind.COMMIT, Kind.REVEAL} else [packet.wire]

    def receive(self, received: Input, now: Now) -> Input | None:
        """Copy the first member's commit, and its reveal."""
        found = self.heard(received)
        if found is None or found[0].predecessor is None:
            return received
        packet, body = found
        start = packet.predecessor
        if isinstance(body, Commit) and self.is_member(start) and start not in self._victims:
            assert start is not None, "checked above"
            self._victims[start] = packet.author
            self.publish(self.sign(Commit(v=1, digest=body.digest), now, start))
        elif isinstance(body, Reveal | SealedReveal) and packet.author in self._victims.values():
            self.publish(self.sign(body, now, packet.predecessor))
        return received


class LateCommitter(Tampering):
    """Holds its commit back until it has seen somebody's reveal, then commits to the same answer."""

    name = "late"

    def __init__(self, world: World, host: Host) -> None:
        super().__init__(world, host)
        self._held: list[bytes] = []

    def tamper(self, packet: Packet, body: Body, now: Now) -> list[bytes]:
        """Commits wait."""
        if packet.kind is not Kind.COMMIT:
            return [packet.wire]
        self._held.append(packet.wire)
        return []

    def receive(self, received: Input, now: Now) -> Input | None:
        """The first reveal lets the commits go."""
        found = self.heard(received)
        if found is not None and found[0].kind is Kind.REVEAL:
            for wire in self._held:
                self.publish(wire)
            self._held.clear()
        return received


class TwoCommits(Tampering):
    """Signs two commits for one request."""

    name = "two-commits"

    def tamper(self, packet: Packet, body: Body, now: Now) -> list[bytes]:
        """The commit, and another that nobody can open."""
        if not isinstance(body, Commit):
            return [packet.wire]
        other = self.sign(Commit(v=1, digest=self.dice.octets(32).hex()), now, packet.predecessor)
        return self.dice.shuffled([packet.wire, other])


class TwoReveals(Tampering):
    """Opens one commit twice, with different words."""

    name = "two-reveals"

    def tamper(self, packet: Packet, body: Body, now: Now) -> list[bytes]:
        """The reveal, and one with another answer."""
        if not isinstance(body, Reveal):
            return [packet.wire]
        other = msgspec.structs.replace(body, answer=body.answer + " or so")
        return self.dice.shuffled([packet.wire, self.sign(other, now, packet.predecessor)])


class FalseEmbedder(Tampering):
    """Reveals bits that are not those of its answer."""

    name = "false-bits"

    def tamper(self, packet: Packet, body: Body, now: Now) -> list[bytes]:
        """The reveal with one byte of each embedding changed."""
        if not isinstance(body, Reveal):
            return [packet.wire]
        bits = {name: f"{int(text[:2], 16) ^ 255:02x}{text[2:]}" for name, text in body.embeddings.items()}
        return [self.sign(msgspec.structs.replace(body, embeddings=bits), now, packet.predecessor)]


class FalseSigner(Tampering):
    """Signs a verdict that nobody computed."""

    name = "false-signer"

    def tamper(self, packet: Packet, body: Body, now: Now) -> list[bytes]:
        """Another digest under its signature, sometimes the true one as well."""
        if not isinstance(body, Signature):
            return [packet.wire]
        false = self.sign(Signature(v=1, digest=self.dice.octets(32).hex()), now, packet.predecessor)
        return [false, packet.wire] if self.dice.chance(500) else [false]


class Framer(Adversary):
    """Accuses the innocent: quotes two packets of one key that do not contradict each other."""

    name = "framer"

    def __init__(self, world: World, host: Host) -> None:
        super().__init__(world, host)
        self._last: dict[NodeId, bytes] = {}
        self._left = 40

    def receive(self, received: Input, now: Now) -> Input | None:
        """Pair what a key says now with what it said before."""
        found = self.heard(received)
        if found is not None and self._left and not isinstance(found[1], Evidence | Quorum):
            packet = found[0]
            before = self._last.get(packet.author)
            self._last[packet.author] = packet.wire
            if before is not None and len(before) + len(packet.wire) < 20_000 and self.dice.chance(100):
                self._left -= 1
                quoted = (before.decode(), packet.wire.decode())
                self.publish(self.sign(Evidence(v=1, packets=quoted), now, None))
        return received
