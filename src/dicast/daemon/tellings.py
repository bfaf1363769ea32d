"""What a running node tells beside the reports of its core: work, packets, downloads, its log."""

from __future__ import annotations

import msgspec

from dicast.protocol.inputs import InferenceFailed, InferenceFinished
from dicast.protocol.outputs import Report


class Listening(msgspec.Struct, frozen=True):
    """Whoever asked for events hears everything from here on: the first of a slim stream."""


class PeerGone(msgspec.Struct, frozen=True):
    """A peer's announcement ran out: nobody asks it any more until it announces itself again."""

    node_id: str


class PacketsCounted(msgspec.Struct, frozen=True):
    """Packets since the last of these, at most once a second: transport -> kind -> (received, sent)."""

    counts: dict[str, dict[str, tuple[int, int]]]


class InferenceStarted(msgspec.Struct, frozen=True):
    """An engine of this node began an answer."""

    request_id: str
    model: str


class InferenceEnded(msgspec.Struct, frozen=True, kw_only=True):
    """An engine of this node finished, or gave up: then `code` says why."""

    request_id: str
    model: str = ""
    code: str = ""
    completion_tokens: int = 0
    first_token_ms: int = 0
    total_ms: int = 0


class TransportChanged(msgspec.Struct, frozen=True):
    """A transport came up or went down; `detail` is for people."""

    name: str
    state: str
    detail: str


class DownloadMoved(msgspec.Struct, frozen=True):
    """A model file: `state` is `ready`, `loading` (or stopped half way) or `missing`."""

    name: str
    state: str
    done_bytes: int
    total_bytes: int


class LogLine(msgspec.Struct, frozen=True):
    """One line of the node's log, secrets cut out; prompts and answers are never in it."""

    at_unix_ms: int
    level: str
    event: str
    fields: dict[str, str | int | float | bool | None]


Telling = (
    Listening
    | PeerGone
    | PacketsCounted
    | InferenceStarted
    | InferenceEnded
    | TransportChanged
    | DownloadMoved
    | LogLine
)
Told = Report | Telling
"""Whatever a node tells its listeners."""


def inference_ended(outcome: InferenceFinished | InferenceFailed) -> InferenceEnded:
    """The end of an engine's work; what it said is left out."""
    if isinstance(outcome, InferenceFailed):
        return InferenceEnded(request_id=outcome.request_id, code=outcome.code)
    return InferenceEnded(
        request_id=outcome.request_id,
        model=outcome.model,
        completion_tokens=outcome.completion_tokens,
        first_token_ms=outcome.first_token_ms,
        total_ms=outcome.total_ms,
    )
