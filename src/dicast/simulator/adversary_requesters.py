"""Adversaries that ask: two quorums, two closes, left out commits or reveals, death at each step."""

from __future__ import annotations

import msgspec

from dicast.base.types import NodeId, Now
from dicast.protocol.envelope import Packet
from dicast.protocol.inputs import Input
from dicast.protocol.messages import Body, Close, Kind, Quorum
from dicast.simulator.adversaries import Adversary, Tampering


class TwoQuorums(Tampering):
    """Seals twice: shows some members one quorum and some another."""

    name = "two-quorums"

    def tamper(self, packet: Packet, body: Body, now: Now) -> list[bytes]:
        """The quorum, and one that leaves out its first commit."""
        if not isinstance(body, Quorum) or len(body.commits) < 2:
            return [packet.wire]
        other = msgspec.structs.replace(body, commits=body.commits[1:])
        return self.dice.shuffled([packet.wire, self.sign(other, now, packet.predecessor)])


class TwoCloses(Tampering):
    """Closes twice: the second close leaves out a reveal."""

    name = "two-closes"

    def tamper(self, packet: Packet, body: Body, now: Now) -> list[bytes]:
        """The close, and one that leaves out its first reveal."""
        if not isinstance(body, Close) or len(body.reveals) < 2:
            return [packet.wire]
        other = msgspec.structs.replace(body, reveals=body.reveals[1:])
        return self.dice.shuffled([packet.wire, self.sign(other, now, packet.predecessor)])


class Phantoms(Tampering):
    """Seals and closes over ids that do not exist."""

    name = "phantoms"

    def tamper(self, packet: Packet, body: Body, now: Now) -> list[bytes]:
        """Lists with an invented id at the end."""
        invented = self.dice.octets(32).hex()
        if isinstance(body, Quorum):
            body = msgspec.structs.replace(body, commits=(*body.commits, invented))
        elif isinstance(body, Close):
            body = msgspec.structs.replace(body, reveals=(*body.reveals, invented))
        else:
            return [packet.wire]
        return [self.sign(body, now, packet.predecessor)]


class _Deaf(Adversary):
    """Does not hear one kind of packet from half of the keys: what it seals leaves them out."""

    kind = Kind.COMMIT

    def receive(self, received: Input, now: Now) -> Input | None:
        """None for what it leaves out."""
        found = self.heard(received)
        if found is not None and found[0].kind is self.kind and self._leaves_out(found[0].author):
            return None
        return received

    def _leaves_out(self, author: NodeId) -> bool:
        return int(author[:2], 16) % 2 == self.host.index % 2


class OmitsCommits(_Deaf):
    """Leaves commits out of its quorums."""

    name = "omits-commits"
    kind = Kind.COMMIT


class OmitsReveals(_Deaf):
    """Leaves reveals out of its closes."""

    name = "omits-reveals"
    kind = Kind.REVEAL


class _Mortal(Tampering):
    """Dies for good with the first packet of one kind, before or after it is out."""

    kind = Kind.REQUEST

    def tamper(self, packet: Packet, body: Body, now: Now) -> list[bytes]:
        """The packet is the last, or already too late."""
        if packet.kind is not self.kind:
            return [packet.wire]
        self.world.heap.schedule(self.world.heap.now_ms, self._die, None)
        return [packet.wire] if self.dice.chance(700) else []

    def _die(self, subject: None, detail: None) -> None:
        if self.host.is_up:
            self.world.crash(self.host, -1)


class DiesAtRequest(_Mortal):
    """Asks and dies."""

    name = "dies-at-request"
    kind = Kind.REQUEST


class DiesAtQuorum(_Mortal):
    """Seals and dies."""

    name = "dies-at-quorum"
    kind = Kind.QUORUM


class DiesAtClose(_Mortal):
    """Closes and dies."""

    name = "dies-at-close"
    kind = Kind.CLOSE


class DiesAtSignature(_Mortal):
    """Judges and dies before its certificate is out."""

    name = "dies-at-signature"
    kind = Kind.SIGNATURE


REQUESTERS = (
    TwoQuorums, TwoCloses, Phantoms, OmitsCommits, OmitsReveals,
    DiesAtRequest, DiesAtQuorum, DiesAtClose, DiesAtSignature,
)  # fmt: skip
REQUESTER_NAMES = frozenset(requester.name for requester in REQUESTERS)
