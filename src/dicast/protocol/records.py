"""What a node makes durable: table names and the small records in them."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from dicast.base.types import RequestId
from dicast.protocol.inputs import Question


class Table(StrEnum):
    """Tables of the store; the value is the name on disk."""

    ROUND = "round"
    """A round this node takes part in: request id -> `RoundRecord`."""
    PACKET = "packet"
    """Packets of those rounds: request id / event id -> wire."""
    COMMITTED = "committed"
    """"I committed to this request": request id -> Unix seconds. Outlives the round."""
    SIGNED = "signed"
    """"I signed a verdict of this round": request id -> Unix seconds. Outlives the round."""
    CERTIFICATE = "certificate"
    """Certificates of rounds this node asked for: request id -> certificate."""
    CERTIFICATE_SLOT = "certificate_slot"
    """Which certificate lies in which place of the ring: slot -> request id."""
    STANDING = "standing"
    """What this node itself has seen of a key: node id -> `StandingRecord`."""
    ATTACHED = "attached"
    """The attached question of an open round of ours: request id -> blob."""
    COUNTER = "counter"
    """Named numbers: `sequence` -> decimal."""


class Draft(msgspec.Struct, frozen=True):
    """A worker's answer between COMMIT and REVEAL, durable before the commit is sent."""

    answer: str
    model: str
    engine: str
    embeddings: dict[str, str]
    usage: tuple[int, int, int, int]


class RoundRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A round this node takes part in. `opened_unix_ms` is re-anchored on monotonic time at a start."""

    request_id: RequestId
    opened_unix_ms: int
    ask_id: str = ""
    question: Question | None = None
    salt: str = ""
    candidates: dict[str, int] = {}
    sealed_unix_ms: int = 0
    draft: Draft | None = None
    declined: bool = False
    counted: bool = False
    """Standings moved by this round's verdict; a restart must not move them again."""
    over: bool = False
    """Our own round ended without a certificate; a restart must not open it again."""


class StandingRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """Counts for one key: rounds agreed in, reveals withheld, junk signed; `banned` names why."""

    agreed: int = 0
    unrevealed: int = 0
    malformed: int = 0
    banned: str = ""


ENCODER = msgspec.msgpack.Encoder()
ROUND_DECODER = msgspec.msgpack.Decoder(RoundRecord)
STANDING_DECODER = msgspec.msgpack.Decoder(StandingRecord)


def packet_key(request_id: str, event_id: str) -> str:
    """The key of a packet in `Table.PACKET`: all packets of a round lie together."""
    return f"{request_id}/{event_id}"
