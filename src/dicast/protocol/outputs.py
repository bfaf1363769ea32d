"""What a node asks of the world. A `Batch` is performed whole, in field order, before the next input."""

from __future__ import annotations

import msgspec

from dicast.base.types import NodeId, RequestId
from dicast.consensus.verdict import Verdict
from dicast.protocol.messages import Attachment, Message
from dicast.protocol.places import Place


class Put(msgspec.Struct, frozen=True):
    """Make `value` durable under (`table`, `key`), replacing what was there."""

    table: str
    key: str
    value: bytes


class Delete(msgspec.Struct, frozen=True):
    """Forget (`table`, `key`); harmless when absent."""

    table: str
    key: str


Write = Put | Delete


class Send(msgspec.Struct, frozen=True):
    """Publish one signed packet on every transport."""

    wire: bytes


class StartInference(msgspec.Struct, frozen=True, kw_only=True):
    """Run a prompt. `model` is one that this node offered; `seed` is what makes the answer re-runnable."""

    request_id: RequestId
    messages: tuple[Message, ...]
    model: str
    max_tokens: int
    temperature_milli: int
    seed: int
    deadline_ms: int
    schema: str = ""
    stream: bool = False
    """Pieces are wanted as they come, as `InferenceProgressed`."""


class CancelInference(msgspec.Struct, frozen=True):
    """Stop working on a request, if still at it."""

    request_id: RequestId


class StartEmbedding(msgspec.Struct, frozen=True):
    """Embed `texts` in order; answered by `Embedded` or `EmbeddingFailed` with the same `job_id`."""

    job_id: str
    embedder: str
    texts: tuple[str, ...]


class ShareBlob(msgspec.Struct, frozen=True):
    """Keep an attached question of ours where its members can fetch it, until it is dropped."""

    request_id: RequestId
    attachment: Attachment
    data: bytes


class FetchBlob(msgspec.Struct, frozen=True, kw_only=True):
    """Get an attached question; answered by `BlobFetched` or `BlobMissing`. Kept until it is dropped."""

    request_id: RequestId
    attachment: Attachment
    requester: NodeId
    deadline_ms: int


class DropBlob(msgspec.Struct, frozen=True):
    """Nobody here needs an attached question any more: stop getting it, and let it go."""

    request_id: RequestId
    sha256: str


class TryPlace(msgspec.Struct, frozen=True):
    """Somebody may be there: let the transport knock, when it has room."""

    place: Place


class Provide(msgspec.Struct, frozen=True):
    """Let every finder keep our record under these keys, in place of what was."""

    keys: tuple[str, ...]
    record: bytes


class Find(msgspec.Struct, frozen=True):
    """Let every finder look once for records under a key; they come as `RecordFound`."""

    key: str


Work = StartInference | CancelInference | StartEmbedding
BlobRun = ShareBlob | FetchBlob | DropBlob
Run = Work | BlobRun
Errand = TryPlace | Provide | Find


class Submit(msgspec.Struct, frozen=True):
    """Hand something to a chain or a payment rail; none exists in version 1."""

    rail: str
    payload: bytes


class AskRefused(msgspec.Struct, frozen=True):
    """A question cannot be asked as it stands; nothing was sent."""

    ask_id: str
    code: str
    reason: str
    next_step: str


class RoundOpened(msgspec.Struct, frozen=True):
    """A request of ours is out (or was resumed); `members` are known at once only in a listed round."""

    ask_id: str
    request_id: RequestId
    members: dict[NodeId, int]
    seats: int
    need: int
    quorum: int
    attempt: int


class MemberProgress(msgspec.Struct, frozen=True):
    """A member of our round did something: `accepted`, `declined`, `committed`, `revealed`, `signed`."""

    request_id: RequestId
    member: NodeId
    step: str
    detail: str = ""


class RoundProgress(msgspec.Struct, frozen=True):
    """Our round moved: `drawn`, `sealed`, `closed`; `seats` counts those inside."""

    request_id: RequestId
    step: str
    seats: int


class Token(msgspec.Struct, frozen=True):
    """A piece of the provisional text of our round: `text` goes to `offset`, right after what came before."""

    ask_id: str
    request_id: RequestId
    member: NodeId
    offset: int
    text: str


class StreamRestarted(msgspec.Struct, frozen=True):
    """The provisional text is void: `member` says another from its beginning."""

    ask_id: str
    request_id: RequestId
    member: NodeId


class RoundDecided(msgspec.Struct, frozen=True):
    """The verdict of our round; `checked` says whether this node recomputed the embeddings itself."""

    ask_id: str
    request_id: RequestId
    verdict: Verdict
    checked: bool
    next_attempt: bool


class CertificateReady(msgspec.Struct, frozen=True):
    """The certificate of our round, as the bytes to hand out; `signed_seats` agree with the verdict."""

    ask_id: str
    request_id: RequestId
    certificate: bytes
    signed_seats: int


class RoundEnded(msgspec.Struct, frozen=True):
    """Our round ended without a verdict: `cancelled`, `abandoned`, `not_confirmed`, `expired`, …"""

    ask_id: str
    request_id: RequestId
    code: str
    reason: str


class WorkProgress(msgspec.Struct, frozen=True):
    """What this node does as a member: `declined`, `running`, `committed`, `revealed`, `signed`, …"""

    request_id: RequestId
    step: str
    detail: str = ""


class PeerSeen(msgspec.Struct, frozen=True):
    """A peer announced itself for the first time, or anew after it had expired."""

    node_id: NodeId


class PacketRefused(msgspec.Struct, frozen=True):
    """A packet changed nothing: `reason` is a `messages.Refusal`; `author` only when its signature held."""

    reason: str
    carrier: str
    author: NodeId | None = None


class Penalised(msgspec.Struct, frozen=True):
    """A key lost standing for something it signed."""

    node_id: NodeId
    reason: str


Report = (
    AskRefused
    | RoundOpened
    | MemberProgress
    | RoundProgress
    | Token
    | StreamRestarted
    | RoundDecided
    | CertificateReady
    | RoundEnded
    | WorkProgress
    | PeerSeen
    | PacketRefused
    | Penalised
)


class Batch(msgspec.Struct, frozen=True):
    """Writes are durable before sends; then errands go out, work starts or stops, and facts are told."""

    writes: tuple[Write, ...] = ()
    sends: tuple[Send, ...] = ()
    errands: tuple[Errand, ...] = ()
    runs: tuple[Run, ...] = ()
    submits: tuple[Submit, ...] = ()
    reports: tuple[Report, ...] = ()


class Deadline(msgspec.Struct, frozen=True):
    """When the node wants `TimeReached`, in monotonic ms, and why."""

    at_ms: int
    reason: str
