"""What peers say: one frozen record a message kind, decoded strictly; see `spec/10-messages.md`."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Annotated, Literal

import msgspec

from dicast.base.limits import ATTACHED_BYTES_MAX
from dicast.consensus.frame import Frame

PANEL_CANDIDATES_MAX = 512
"""Candidates of one draw: 512 keys with their units fill 40 of a packet's 64 KiB."""
SEALED_CANDIDATES_MAX = 256
"""On a private network a packet says at most 40 KiB: as many keys with units, and the members among them."""
ENCRYPTED_MEMBERS_MAX = 64
"""Members of an encrypted round: their wraps take 11 of a packet's 64 KiB."""

Hex64 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Hex64OrNone = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?\Z")]
Version = Literal[1]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Label = Annotated[str, msgspec.Meta(max_length=256)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
Payload = Annotated[str, msgspec.Meta(max_length=87_472, pattern=r"^[A-Za-z0-9+/]*={0,2}\Z")]
"""Base64 of NIP-44; empty where nothing is sealed."""
SeatCount = Annotated[int, msgspec.Meta(ge=1, le=256)]
Address = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Addresses = Annotated[
    dict[Word, Annotated[tuple[Address, ...], msgspec.Meta(min_length=1, max_length=4)]],
    msgspec.Meta(max_length=16),
]
"""Transport to addresses, best first: a machine has few, and a node is on few networks."""


class Kind(IntEnum):
    """Nostr event kinds of Dicast's packets."""

    ANNOUNCEMENT = 31411
    REQUEST = 4110
    PANEL = 4111
    COMMIT = 4112
    QUORUM = 4113
    REVEAL = 4114
    CLOSE = 4115
    SIGNATURE = 4116
    EVIDENCE = 4117
    STATUS = 24110
    STREAM = 24111
    WANT = 24112
    SEEK = 24113
    PLACES = 24114
    CONTINUE = 24115


class Admission(StrEnum):
    """Who may answer: members named by the requester, drawn by a beacon, or whoever comes."""

    LISTED = "listed"
    DRAWN = "drawn"
    OPEN = "open"


class Role(StrEnum):
    """What a node offers: to run prompts, and to recompute and sign verdicts."""

    WORKER = "worker"
    VALIDATOR = "validator"


class WorkState(StrEnum):
    """What a member tells the requester before it commits."""

    ACCEPTED = "accepted"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    """Said by the requester: nobody waits for this round any more."""


class Refusal(StrEnum):
    """Why a packet changed nothing."""

    SIZE = "size"
    SHAPE = "shape"
    TOPIC = "topic"
    UNKNOWN_KIND = "unknown_kind"
    STALE = "stale"
    CLOCK = "clock"
    DUPLICATE = "duplicate"
    FOREIGN = "foreign"
    BAD_SIGNATURE = "bad_signature"
    BODY = "body"
    VERSION = "version"
    RATE = "rate"
    OWN = "own"
    UNKNOWN_PREDECESSOR = "unknown_predecessor"
    NOT_MEMBER = "not_member"
    NOT_REQUESTER = "not_requester"
    LATE = "late"
    CONFLICT = "conflict"
    OLDER = "older"
    IMPOSSIBLE = "impossible"
    FULL = "full"
    SEALED = "sealed"


class DeclineReason(StrEnum):
    """Why a member will not answer."""

    BUSY = "busy"
    MODEL_MISSING = "model_missing"
    EMBEDDER_MISSING = "embedder_missing"
    CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"
    ENGINE_FAILED = "engine_failed"
    ANSWER_TOO_LARGE = "answer_too_large"
    ANSWER_MALFORMED = "answer_malformed"
    BEACON_PUBLIC = "beacon_public"
    QUESTION_MISSING = "question_missing"


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Attachment(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Names the blob that holds a request's messages: SHA-256 and number of its bytes, root of its tree.

    `nodes` are addresses where its requester gives it.
    """

    sha256: Hex64
    size: Annotated[int, msgspec.Meta(ge=1, le=ATTACHED_BYTES_MAX)]
    root: Hex64
    nodes: Annotated[tuple[Address, ...], msgspec.Meta(max_length=4)] = ()


class OfferedModel(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A model an engine can run. `domain` says what it was made for; empty means general."""

    name: Label
    engine: Word
    context_tokens: Count
    quantization: Label = ""
    domain: Label = ""


class Announcement(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """What a node offers; addressable, so the newest replaces the others. `load` counts busy `slots`."""

    v: Version
    models: Annotated[tuple[OfferedModel, ...], msgspec.Meta(max_length=64)] = ()
    roles: Annotated[tuple[Role, ...], msgspec.Meta(max_length=8)] = ()
    embedders: Annotated[tuple[Label, ...], msgspec.Meta(max_length=8)] = ()
    slots: Count = 0
    load: Count = 0
    software: Label = ""
    addresses: Addresses = {}


class Request(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """Opens a round. `seats` is n for listed and drawn, the most that count for open.

    In an encrypted round `sealed` takes the place of `messages`, and `wraps` hold its key for each member of
    a listed one; of a drawn one the panel has them.
    Messages that are too long for a packet lie in a blob, and `attachment` takes their place.
    """

    v: Version
    messages: Annotated[tuple[Message, ...], msgspec.Meta(max_length=256)] = ()
    frame: Frame
    admission: Admission
    seats: SeatCount
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    temperature_milli: Annotated[int, msgspec.Meta(ge=0, le=10_000)]
    selection_salt_hash: Hex64
    sequence: Count
    attempt: Annotated[int, msgspec.Meta(ge=1, le=3)]
    models: Annotated[tuple[Label, ...], msgspec.Meta(max_length=64)] = ()
    members: Annotated[tuple[Hex64, ...], msgspec.Meta(max_length=256)] = ()
    schema: Annotated[str, msgspec.Meta(max_length=32_768)] = ""
    candidates_root: Hex64OrNone = ""
    beacon_round: Count = 0
    previous: Hex64OrNone = ""
    sealed: Payload = ""
    wraps: Annotated[tuple[Payload, ...], msgspec.Meta(max_length=ENCRYPTED_MEMBERS_MAX)] = ()
    streamer: Hex64OrNone = ""
    attachment: Attachment | None = None

    def __post_init__(self) -> None:
        ways = bool(self.messages) + bool(self.sealed) + (self.attachment is not None)
        wrapped = bool(self.sealed) and self.admission is Admission.LISTED
        if ways != 1 or bool(self.wraps) != wrapped:
            raise ValueError("a request is open, attached or sealed")


class Panel(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """The draw: the beacon's value, every candidate's units, and the seats that follow from them.

    In an encrypted round `wraps` hold its key for each member, in the order of their keys.
    """

    v: Version
    beacon: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{2}){1,128}\Z")]
    candidates: Annotated[dict[Hex64, int], msgspec.Meta(max_length=PANEL_CANDIDATES_MAX)]
    members: Annotated[dict[Hex64, SeatCount], msgspec.Meta(max_length=256)]
    wraps: Annotated[tuple[Payload, ...], msgspec.Meta(max_length=ENCRYPTED_MEMBERS_MAX)] = ()


class Commit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Binds a member to an answer that nobody can read yet."""

    v: Version
    digest: Hex64


class Quorum(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seals the commits that count; after it no other does."""

    v: Version
    commits: Annotated[tuple[Hex64, ...], msgspec.Meta(max_length=256)]


class Usage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tokens and milliseconds, as the worker counted them; shown, never paid by."""

    prompt_tokens: Count
    completion_tokens: Count
    first_token_ms: Count
    total_ms: Count


class Reveal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Opens a commit: the answer whole, the model that made it, the salt, and its bits by embedder."""

    v: Version
    answer: str
    model: Label
    salt: Hex64
    embeddings: Annotated[dict[Label, str], msgspec.Meta(max_length=8)]
    usage: Usage
    engine: Word


class SealedReveal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reveal of an encrypted round: the canonical JSON of a `Reveal`, sealed under the round's key."""

    v: Version
    sealed: Payload


class Close(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fixes the reveals that count and opens the selection salt."""

    v: Version
    reveals: Annotated[tuple[Hex64, ...], msgspec.Meta(max_length=256)]
    selection_salt: Hex64


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A member's word for the verdict; see `certificate.signature_digest`."""

    v: Version
    digest: Hex64


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two signed packets of one key that contradict each other, as wires."""

    v: Version
    packets: Annotated[tuple[str, ...], msgspec.Meta(min_length=2, max_length=2)]


class WorkStatus(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A member's hint to the requester; proves nothing."""

    v: Version
    state: WorkState
    reason: DeclineReason | None = None


class Stream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A piece of a member's answer before it committed: a `StreamText`, sealed to the requester."""

    v: Version
    sealed: Payload


class Continue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The requester asks one member to stream: a `StreamFrom`, sealed to the member."""

    v: Version
    sealed: Payload


class Want(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Asks for packets of a round by their ids."""

    v: Version
    ids: Annotated[tuple[Hex64, ...], msgspec.Meta(min_length=1, max_length=64)]


class Seek(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Asks one peer for addresses that it has seen alive itself, of these transports."""

    v: Version
    transports: Annotated[tuple[Word, ...], msgspec.Meta(min_length=1, max_length=16)]


class Places(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Answers a seek: a few addresses, by transport. Hearsay to whoever asked."""

    v: Version
    addresses: Addresses


Body = (
    Announcement
    | Request
    | Panel
    | Commit
    | Quorum
    | Reveal
    | SealedReveal
    | Close
    | Signature
    | Evidence
    | WorkStatus
    | Stream
    | Continue
    | Want
    | Seek
    | Places
)

BODIES: dict[Kind, type[Body]] = {
    Kind.ANNOUNCEMENT: Announcement,
    Kind.REQUEST: Request,
    Kind.PANEL: Panel,
    Kind.COMMIT: Commit,
    Kind.QUORUM: Quorum,
    Kind.REVEAL: Reveal,
    Kind.CLOSE: Close,
    Kind.SIGNATURE: Signature,
    Kind.EVIDENCE: Evidence,
    Kind.STATUS: WorkStatus,
    Kind.STREAM: Stream,
    Kind.WANT: Want,
    Kind.SEEK: Seek,
    Kind.PLACES: Places,
    Kind.CONTINUE: Continue,
}
KINDS: dict[type[Body], Kind] = {body: kind for kind, body in BODIES.items()} | {SealedReveal: Kind.REVEAL}
SEALED_REVEAL = '{"sealed":'
"""How the canonical JSON of a `SealedReveal` begins, and that of a `Reveal` never does."""

STREAMING = frozenset({Kind.STREAM, Kind.CONTINUE})
"""Kinds of a round that concern the one key they address, and nobody else."""
EPHEMERAL = frozenset({Kind.STATUS, Kind.WANT, Kind.SEEK, Kind.PLACES, *STREAMING})
ACQUAINTING = frozenset({Kind.SEEK, Kind.PLACES})
"""Kinds between two peers that belong to no round."""
STARTS = frozenset({Kind.ANNOUNCEMENT, Kind.REQUEST, Kind.EVIDENCE, *ACQUAINTING})
"""Kinds that name no predecessor."""


def prompt_text(messages: tuple[Message, ...]) -> str:
    """The text the gates compare answers with: every turn's content, joined by line feeds."""
    return "\n".join(message.content for message in messages)
