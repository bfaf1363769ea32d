"""What an observer outside the nodes saw: every packet made, every fact told. Checkers read only this."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import msgspec

from dicast.base.crypto import KeyPair
from dicast.base.errors import RemoteProtocolError
from dicast.base.types import EventId, RequestId
from dicast.protocol.envelope import Packet, PacketReader
from dicast.protocol.inputs import Question
from dicast.protocol.messages import Body, Kind
from dicast.protocol.network import NetworkSecret
from dicast.protocol.outputs import (
    AskRefused,
    FetchBlob,
    PacketRefused,
    Report,
    RoundDecided,
    RoundEnded,
    StartInference,
)
from dicast.simulator.spyglass import Spyglass


class Violation(Exception):  # noqa: N818  (what a checker finds; the word of the spec)
    """A property did not hold. `checker` names it; the seed replays it."""

    def __init__(self, checker: str, at_ms: int, detail: str) -> None:
        super().__init__(checker, at_ms, detail)
        self.checker = checker
        self.at_ms = at_ms
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.checker} at {self.at_ms / 1000:.3f} s: {self.detail}"


class Sent(msgspec.Struct, frozen=True):
    """The first time a packet left a host."""

    at_ms: int
    host: int
    packet: Packet
    body: Body


class Told(msgspec.Struct, frozen=True):
    """A fact that a node reported."""

    at_ms: int
    host: int
    report: Report


class Blob(msgspec.Struct, frozen=True):
    """An attached question that a host shared."""

    at_ms: int
    host: int
    request_id: RequestId
    data: bytes


class Fetch(msgspec.Struct, frozen=True):
    """A host began to get an attached question."""

    at_ms: int
    host: int
    wanted: FetchBlob


class Work(msgspec.Struct, frozen=True):
    """A host's engine began."""

    at_ms: int
    host: int
    job: StartInference


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A question put to a host. `healthy`: after the faults, with enough honest live members."""

    at_ms: int
    host: int
    ask_id: str
    question: Question
    healthy: bool = False
    cancel_after_ms: int = 0
    """When the asker loses interest; 0 for never."""


class Ledger:
    """History by packet and by fact. Honest means: no part of the node was replaced."""

    def __init__(self, keys: Sequence[KeyPair], secret: NetworkSecret | None = None) -> None:
        self.node_ids = tuple(key.node_id for key in keys)
        self.secret = secret
        self.spyglass = Spyglass(keys)
        self.dishonest: set[int] = set()
        self.honest_ids = set(self.node_ids)
        self.sent: list[Sent] = []
        self.by_id: dict[EventId, Sent] = {}
        self.told: list[Told] = []
        self.untold: list[Told] = []
        """Facts that are on a disk, but the machine died before it told them."""
        self.asked: list[Ask] = []
        self.lost_asks: set[str] = set()
        self.refused: Counter[str] = Counter()
        self.shared: list[Blob] = []
        self.fetched: list[Fetch] = []
        self.ran: list[Work] = []
        self._known: set[bytes] = set()

    def disown(self, host: int) -> None:
        """A part of this host's node was replaced."""
        self.dishonest.add(host)
        self.honest_ids.discard(self.node_ids[host])

    def is_honest(self, host: int) -> bool:
        """Whether no part of the host's node was replaced."""
        return host not in self.dishonest

    def note_sent(self, at_ms: int, host: int, wire: bytes, reader: PacketReader) -> Sent | None:
        """Remember a packet the first time it leaves; junk, damaged and forged copies are not remembered."""
        if wire in self._known:
            return None
        self._known.add(wire)
        made = self.note_made(at_ms, host, wire, reader)
        if made is None or made.packet.wire != wire:
            return None
        sent = msgspec.structs.replace(made, at_ms=at_ms, host=host)
        self.sent.append(sent)
        return sent

    def note_made(self, at_ms: int, host: int, wire: bytes, reader: PacketReader) -> Sent | None:
        """Remember a packet once it is on a disk or leaves, whichever is first: `by_id` has that moment."""
        try:
            packet = reader.parse(wire)
            body = self.spyglass.look(packet, reader.body(packet))
        except RemoteProtocolError:
            return None
        if packet.id not in self.by_id and reader.is_signed(packet):
            self.by_id[packet.id] = Sent(at_ms, host, packet, body)
        return self.by_id.get(packet.id)

    def note_told(self, at_ms: int, host: int, report: Report) -> None:
        """Remember a fact; refusals are only counted."""
        if isinstance(report, PacketRefused):
            self.refused[report.reason] += 1
        else:
            self.told.append(Told(at_ms, host, report))

    def note_untold(self, at_ms: int, host: int, reports: tuple[Report, ...]) -> None:
        """Remember what a machine would have told, had it lived on."""
        self.untold.extend(Told(at_ms, host, report) for report in reports)

    def note_blob(self, at_ms: int, host: int, request_id: RequestId, data: bytes) -> None:
        """An asker keeps its attached question for its members."""
        self.spyglass.blobs[hashlib.sha256(data).hexdigest()] = data
        self.shared.append(Blob(at_ms, host, request_id, data))

    def note_fetch(self, at_ms: int, host: int, fetch: FetchBlob) -> None:
        """A host begins to get an attached question."""
        self.fetched.append(Fetch(at_ms, host, fetch))

    def note_run(self, at_ms: int, host: int, job: StartInference) -> None:
        """A host's engine begins."""
        self.ran.append(Work(at_ms, host, job))

    def of_kind(self, kind: Kind) -> list[Sent]:
        """Every packet of a kind, in the order they first left."""
        return [sent for sent in self.sent if sent.packet.kind is kind]

    def endings(self) -> dict[str, int]:
        """How often questions ended in each way."""
        counts: Counter[str] = Counter()
        for told in self.told:
            match told.report:
                case RoundDecided(verdict=verdict):
                    counts[verdict.reason.value] += 1
                case RoundEnded(code=code) | AskRefused(code=code):
                    counts[code] += 1
                case _:
                    pass
        return dict(sorted(counts.items()))
