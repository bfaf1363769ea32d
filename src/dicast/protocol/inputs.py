"""Everything that can happen to a node. A closed union: `Node.handle` matches every member."""

from __future__ import annotations

import msgspec

from dicast.base.types import NodeId, RequestId
from dicast.consensus.frame import Frame
from dicast.protocol.messages import Message, OfferedModel
from dicast.protocol.places import Place


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants answered, and how sure they want to be."""

    messages: tuple[Message, ...]
    frame: Frame
    seats: int
    models: tuple[str, ...] = ()
    admission: str = "listed"
    members: tuple[NodeId, ...] = ()
    max_tokens: int = 256
    temperature_milli: int = 700
    schema: str = ""
    attempts: int = 1
    beacon_round: int = 0
    encrypted: bool = False
    """Only the members can read question and answers."""
    stream: bool = False
    """The most trusted member streams its answer while it makes it; listed rounds only."""


class Asked(msgspec.Struct, frozen=True):
    """A local caller asks; `ask_id` is the caller's own name for it, unique while it is open."""

    ask_id: str
    question: Question


class Cancelled(msgspec.Struct, frozen=True):
    """The local caller no longer wants the answer."""

    ask_id: str


class PacketReceived(msgspec.Struct, frozen=True):
    """Bytes came in over a transport; anybody may have made them."""

    wire: bytes
    carrier: str


class InferenceFinished(msgspec.Struct, frozen=True, kw_only=True):
    """An engine answered a `StartInference`."""

    request_id: RequestId
    text: str
    model: str
    engine: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    first_token_ms: int = 0
    total_ms: int = 0


class InferenceProgressed(msgspec.Struct, frozen=True):
    """An engine made the next piece of an answer that is streamed."""

    request_id: RequestId
    text: str


class InferenceFailed(msgspec.Struct, frozen=True):
    """An engine gave up; `code` is a stable word, `detail` is for people."""

    request_id: RequestId
    code: str
    detail: str = ""


class Embedded(msgspec.Struct, frozen=True):
    """An embedder finished a `StartEmbedding`: packed bits of each text, as hex, in the order asked."""

    job_id: str
    embedder: str
    bits: tuple[str, ...]


class EmbeddingFailed(msgspec.Struct, frozen=True):
    """An embedder gave up on a job."""

    job_id: str
    detail: str = ""


class BlobFetched(msgspec.Struct, frozen=True):
    """A `FetchBlob` was answered; whether these are the bytes, the node looks itself."""

    request_id: RequestId
    data: bytes


class BlobMissing(msgspec.Struct, frozen=True):
    """Nobody gave a blob in time; `reason` is for people."""

    request_id: RequestId
    reason: str = ""


class BeaconSeen(msgspec.Struct, frozen=True):
    """A public randomness beacon published a round's value (hex)."""

    round: int
    value: str


class ModelsChanged(msgspec.Struct, frozen=True):
    """What this node's engines can run now."""

    models: tuple[OfferedModel, ...]


class LinksSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What the world says: our own addresses by transport, which dial, what is connected, which finders."""

    own: dict[str, tuple[str, ...]] = {}
    dialling: tuple[str, ...] = ()
    links: tuple[Place, ...] = ()
    finders: tuple[str, ...] = ()


class PlaceGiven(msgspec.Struct, frozen=True):
    """A person says where a peer is: by the configuration or a ticket."""

    place: Place


class RecordFound(msgspec.Struct, frozen=True):
    """A finder found bytes under one of our keys; anybody may have put them there."""

    record: bytes
    finder: str


class TimeReached(msgspec.Struct, frozen=True):
    """The node's deadline has come (or simply: look at the time)."""


Input = (
    Asked
    | Cancelled
    | PacketReceived
    | InferenceFinished
    | InferenceProgressed
    | InferenceFailed
    | Embedded
    | EmbeddingFailed
    | BlobFetched
    | BlobMissing
    | BeaconSeen
    | ModelsChanged
    | LinksSeen
    | PlaceGiven
    | RecordFound
    | TimeReached
)
