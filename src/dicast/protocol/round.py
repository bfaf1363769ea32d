"""What has been said in one round, and which packets may still be said; shared by every role."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from dicast.base.hashing import tagged
from dicast.base.limits import MEMBERS_MAX, ROUND_FRESHNESS_MS
from dicast.base.types import EventId, NodeId, RequestId
from dicast.protocol.envelope import Packet
from dicast.protocol.messages import (
    Admission,
    Attachment,
    Close,
    Commit,
    Panel,
    Quorum,
    Refusal,
    Request,
    Reveal,
    SealedReveal,
    Signature,
)
from dicast.protocol.round_key import heard

VERSIONS_PER_KEY_MAX = 2
"""Conflicting packets kept per key: two are evidence, a third adds nothing."""


class Conflict(msgspec.Struct, frozen=True):
    """Two packets of one key that contradict each other."""

    first: Packet
    second: Packet


Acceptance = Refusal | Conflict | None
"""None: accepted. A conflict may have been accepted as well (see `Round.commit`)."""


class Round:
    """The packets of one round. `hear_*` either accepts a packet or says why not."""

    def __init__(
        self, packet: Packet, request: Request, opened_ms: int, opened_unix_ms: int, key: bytes | None = None
    ) -> None:
        self.id = RequestId(packet.id)
        self.packet = packet
        self.request = request
        self.key = key
        """Of an encrypted round; `request` and reveals are kept as they were before they were sealed."""
        self.attachment: Attachment | None = request.attachment
        """Names the blob with the messages, which are in `request` once they are known."""
        self.requester = packet.author
        self.opened_ms = opened_ms
        self.opened_unix_ms = opened_unix_ms
        frame = request.frame
        self.sealing_ms = opened_ms + frame.deadline_ms
        self.expires_ms = self.sealing_ms + frame.grace_ms + frame.reveal_ms + ROUND_FRESHNESS_MS
        self.seats: dict[NodeId, int] = {}
        if request.admission is Admission.LISTED:
            self.seats = {NodeId(member): 1 for member in request.members}
        self.panel: Packet | None = None
        self.panel_body: Panel | None = None
        self.commits: dict[EventId, tuple[Packet, Commit]] = {}
        self.commits_of: dict[NodeId, list[EventId]] = {}
        self.quorum: Packet | None = None
        self.sealed: tuple[EventId, ...] = ()
        self.reveals: dict[EventId, tuple[Packet, Reveal]] = {}
        self.reveals_of: dict[NodeId, list[EventId]] = {}
        self.close: Packet | None = None
        self.close_body: Close | None = None
        self.signatures: dict[NodeId, tuple[Packet, Signature]] = {}
        self.stored: list[str] = []
        self.withdrawn = False
        """Its requester said that nobody waits for it any more."""

    @property
    def is_known(self) -> bool:
        """Is the question here? One that is attached comes later than its request."""
        return self.request.attachment is None and not self.request.sealed

    @property
    def is_encrypted(self) -> bool:
        """Is it sealed to its members, whether we have the key or not?"""
        return self.key is not None or bool(self.request.sealed)

    def unseal(self, request: Request, key: bytes) -> None:
        """We were drawn: the request as it was meant, and the round's key."""
        assert self.request.sealed, "a round is unsealed once"
        self.request, self.key, self.attachment = request, key, request.attachment

    def learn(self, request: Request) -> None:
        """The question has come: the request with its messages."""
        assert not self.is_known, "a question is learnt once"
        self.request = request

    @property
    def start_id(self) -> EventId:
        """What a commit and a quorum name as their predecessor: the panel where there is one."""
        return self.panel.id if self.panel is not None else EventId(self.id)

    @property
    def is_signed_by_all(self) -> bool:
        """Has everybody with a seat signed, and so heard the close? Of an open round nobody knows."""
        return bool(self.seats) and all(member in self.signatures for member in self.seats)

    def seats_of(self, node_id: NodeId) -> int:
        """Votes of a member; one for anybody who was let into an open round."""
        if self.request.admission is not Admission.OPEN:
            return self.seats.get(node_id, 0)
        ids = self.commits_of.get(node_id, ())
        return int(any(commit in self.sealed for commit in ids) if self.quorum is not None else bool(ids))

    def follows(self, packet: Packet, body: object) -> bool:
        """Does a packet name the step that its kind comes after, and has that been taken?"""
        match body:
            case Panel():
                return packet.predecessor == self.id
            case Commit() | Quorum():
                return packet.predecessor == self.start_id
            case Reveal() | SealedReveal() | Close():
                return self.quorum is not None and packet.predecessor == self.quorum.id
            case Signature():
                return self.close is not None and packet.predecessor == self.close.id
            case _:
                return False

    def hear(self, packet: Packet, body: object, is_known: Callable[[NodeId], bool]) -> Acceptance:
        """Let a packet that `follows` take its step; `is_known` as for commits."""
        match body:
            case Panel():
                return self.hear_panel(packet, body)
            case Commit():
                return self.hear_commit(packet, body, is_known)
            case Quorum():
                return self.hear_quorum(packet, body)
            case Reveal() | SealedReveal():
                return self.hear_reveal(packet, body)
            case Close():
                return self.hear_close(packet, body)
            case Signature():
                return self.hear_signature(packet, body)
            case _:
                raise AssertionError("only packets that follow get here")

    def hear_panel(self, packet: Packet, body: Panel) -> Acceptance:
        """The draw of a drawn round; the caller has checked that it follows from the beacon."""
        if packet.author != self.requester:
            return Refusal.NOT_REQUESTER
        if self.panel is not None:
            return _clash(self.panel, packet)
        if len(body.wraps) != (len(body.members) if self.is_encrypted else 0):
            return Refusal.SEALED
        self.panel, self.panel_body = packet, body
        self.seats = {NodeId(member): seats for member, seats in sorted(body.members.items())}
        return None

    def hear_commit(self, packet: Packet, body: Commit, is_known: Callable[[NodeId], bool]) -> Acceptance:
        """One commit a key; after the quorum only those inside it."""
        inside = packet.id in self.sealed
        if self.quorum is not None and not inside:
            return self._late(packet, self.commits_of)
        if self.request.admission is Admission.OPEN:
            if not inside and not is_known(packet.author):
                return Refusal.NOT_MEMBER
            if len(self.commits) >= MEMBERS_MAX and not inside:
                return Refusal.FULL
        elif packet.author not in self.seats:
            return Refusal.NOT_MEMBER
        return self._keep(packet, self.commits_of, inside, lambda: self._put_commit(packet, body))

    def hear_quorum(self, packet: Packet, body: Quorum) -> Acceptance:
        """The first quorum holds; a second is evidence against the requester."""
        if packet.author != self.requester:
            return Refusal.NOT_REQUESTER
        if self.quorum is not None:
            return _clash(self.quorum, packet)
        if len(set(body.commits)) != len(body.commits):
            return Refusal.BODY
        self.quorum = packet
        self.sealed = tuple(EventId(commit) for commit in body.commits)
        return None

    def hear_reveal(self, packet: Packet, body: Reveal | SealedReveal) -> Acceptance:
        """A reveal for our quorum by a key that may have a commit in it."""
        inside = self.close_body is not None and packet.id in self.close_body.reveals
        if self.close_body is not None and not inside:
            return self._late(packet, self.reveals_of)
        obstacle = self._reveal_obstacle(packet.author, inside)
        if obstacle is not None:
            return obstacle
        if self.request.sealed:
            return Refusal.SEALED
        reveal = heard(body, self.key)
        if reveal is None or not has_bits_of(reveal, self.request):
            return Refusal.BODY
        return self._keep(packet, self.reveals_of, inside, lambda: self._put_reveal(packet, reveal))

    def hear_close(self, packet: Packet, body: Close) -> Acceptance:
        """The first close for our quorum holds; it must open the salt that the request named."""
        if packet.author != self.requester:
            return Refusal.NOT_REQUESTER
        if self.close is not None:
            return _clash(self.close, packet)
        salt_hash = tagged("dicast/selection-salt/1", bytes.fromhex(body.selection_salt)).hex()
        if salt_hash != self.request.selection_salt_hash or len(set(body.reveals)) != len(body.reveals):
            return Refusal.BODY
        self.close, self.close_body = packet, body
        return None

    def hear_signature(self, packet: Packet, body: Signature) -> Acceptance:
        """One signature a member."""
        if not self.seats_of(packet.author):
            unknown = any(commit not in self.commits for commit in self.sealed)
            return Refusal.UNKNOWN_PREDECESSOR if unknown else Refusal.NOT_MEMBER
        known = self.signatures.get(packet.author)
        if known is not None:
            return _clash(known[0], packet)
        self.signatures[packet.author] = (packet, body)
        return None

    def ends(self) -> tuple[Packet, Packet]:
        """The quorum and the close of a closed round."""
        assert self.quorum is not None, "a closed round was sealed"
        assert self.close is not None, "the round is closed"
        return self.quorum, self.close

    def missing(self) -> tuple[EventId, ...]:
        """Ids that the quorum and the close name and that have not come."""
        reveals = self.close_body.reveals if self.close_body is not None else ()
        lacking = [commit for commit in self.sealed if commit not in self.commits]
        lacking.extend(EventId(reveal) for reveal in reveals if reveal not in self.reveals)
        return tuple(lacking)

    def sealed_seats(self) -> int:
        """Seats of the commits inside the quorum, as far as they are known."""
        authors = (self.commits[commit][0].author for commit in self.sealed if commit in self.commits)
        return sum(self.seats_of(author) for author in authors)

    def packets(self) -> tuple[Packet, ...]:
        """Every packet of this round that is here, in the order of a certificate."""
        commits = [packet for packet, _ in self.commits.values()]
        reveals = [packet for packet, _ in self.reveals.values()]
        signatures = [packet for packet, _ in self.signatures.values()]
        in_order = (self.packet, self.panel, *commits, self.quorum, *reveals, self.close, *signatures)
        return tuple(packet for packet in in_order if packet is not None)

    def find(self, event_id: EventId) -> Packet | None:
        """A packet of this round by its id, for whoever wants it."""
        for single in (self.packet, self.panel, self.quorum, self.close):
            if single is not None and single.id == event_id:
                return single
        pair = self.commits.get(event_id) or self.reveals.get(event_id)
        if pair is not None:
            return pair[0]
        return next((packet for packet, _ in self.signatures.values() if packet.id == event_id), None)

    def _reveal_obstacle(self, author: NodeId, inside: bool) -> Refusal | None:
        """Strangers may only fill the places of sealed commits that have not come; a close's own list may."""
        authors = {self.commits[commit][0].author for commit in self.sealed if commit in self.commits}
        if author in authors:
            return None
        unknown = len(self.sealed) - len(authors)
        if not unknown or (author not in self.seats and self.request.admission is not Admission.OPEN):
            return Refusal.NOT_MEMBER
        strangers = sum(one not in authors and one != author for one in self.reveals_of)
        return None if inside or strangers < unknown else Refusal.FULL

    def _keep(
        self,
        packet: Packet,
        kept: dict[NodeId, list[EventId]],
        inside: bool,
        put: Callable[[], None],
    ) -> Acceptance:
        others = kept.get(packet.author, [])
        if packet.id in others:
            return Refusal.DUPLICATE
        if len(others) >= VERSIONS_PER_KEY_MAX and not inside:
            return Refusal.CONFLICT
        put()
        kept.setdefault(packet.author, []).append(packet.id)
        return Conflict(self._first(others[0]), packet) if others else None

    def _late(self, packet: Packet, kept: dict[NodeId, list[EventId]]) -> Acceptance:
        """Too late to count, never too late to convict."""
        others = kept.get(packet.author, [])
        if packet.id in others:
            return Refusal.DUPLICATE
        return Conflict(self._first(others[0]), packet) if others else Refusal.LATE

    def _first(self, event_id: EventId) -> Packet:
        pair = self.commits.get(event_id) or self.reveals[event_id]
        return pair[0]

    def _put_commit(self, packet: Packet, body: Commit) -> None:
        self.commits[packet.id] = (packet, body)

    def _put_reveal(self, packet: Packet, body: Reveal) -> None:
        self.reveals[packet.id] = (packet, body)


def bits_of(embedder: str) -> int:
    """The bit length that an embedder's name ends in (`minilm-l6-v2/381`); 0 when it names none."""
    digits = embedder.rpartition("/")[2]
    return int(digits) if digits.isdecimal() and digits.isascii() and len(digits) < 6 else 0


def has_bits_of(reveal: Reveal, request: Request) -> bool:
    """Does a reveal carry exactly the frame's embedders, each with as many bits as its name says?"""
    lengths = {name: 2 * -(-bits_of(name) // 8) for name in request.frame.sec_distance_bits}
    return {name: len(bits) for name, bits in reveal.embeddings.items()} == lengths and all(
        _HEX.fullmatch(bits) for bits in reveal.embeddings.values()
    )


_HEX = re.compile(r"[0-9a-f]*")


def _clash(known: Packet, packet: Packet) -> Acceptance:
    """Two packets where one is allowed; after a restart the same one may come again."""
    return Refusal.DUPLICATE if known.id == packet.id else Conflict(known, packet)
