"""What `/api` answers about rounds: one frozen record a JSON shape; the OpenAPI document is made of these."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dicast.daemon.history import RoundSummary
from dicast.protocol.messages import Message, Usage

UnixMs = Annotated[int, msgspec.Meta(description="Milliseconds since 1970, UTC.")]
NodeKey = Annotated[str, msgspec.Meta(description="A node's public key, 64 hex digits.")]


class RoundPage(msgspec.Struct, frozen=True):
    """Rounds, newest first; `next_cursor` asks for those before, null at the end."""

    items: tuple[RoundSummary, ...]
    next_cursor: str | None


class FrameView(msgspec.Struct, frozen=True, kw_only=True):
    """The security frame of a round. `sec_distance_bits` is the radius of the ball under each embedder."""

    seats: int
    quorum: int
    need: int
    faults: int
    sec_percentage: float
    sec_distance: float
    sec_distance_bits: dict[str, int]
    gates: tuple[str, ...]
    exact: tuple[str, ...]
    fuzzy: tuple[str, ...]
    labels: tuple[str, ...]
    deadline_ms: int
    reveal_ms: int
    grace_ms: int


class PanelMember(msgspec.Struct, frozen=True, kw_only=True):
    """One member of the panel and how far it came; `status` is the verdict's word about it."""

    node_id: NodeKey
    seats: int
    committed_unix_ms: UnixMs | None = None
    revealed_unix_ms: UnixMs | None = None
    signed_unix_ms: UnixMs | None = None
    sealed: bool = False
    status: str | None = None


class PanelView(msgspec.Struct, frozen=True, kw_only=True):
    """Who may answer: `listed` by the requester, `drawn` by a beacon, or `open` to all."""

    admission: str
    members: tuple[PanelMember, ...]
    beacon_round: int = 0
    beacon: str = ""
    candidates: int = 0


class AnswerView(msgspec.Struct, frozen=True, kw_only=True):
    """One revealed answer. `x`, `y` are bits from the centre of the ball; null where nothing compares it.

    `distance` is the true Hamming distance to the centre; `ticket` orders the core, the lowest wins.
    """

    node_id: NodeKey
    seats: int
    answer: str
    model: str
    engine: str
    usage: Usage
    status: str | None = None
    support: int | None = None
    in_ball: bool = False
    is_winner: bool = False
    x: float | None = None
    y: float | None = None
    distance: int | None = None
    ticket: str | None = None


class BallView(msgspec.Struct, frozen=True, kw_only=True):
    """The ball around the centre: `size` seats agree with it, the best outside has `runner_up`."""

    center: NodeKey | None
    radius: int
    size: int
    runner_up: int
    need: int
    unique: bool


class LayoutView(msgspec.Struct, frozen=True, kw_only=True):
    """How the answers were laid out: by which embedder, and what share of all distances two axes show."""

    embedder: str | None
    bits: int
    shown: float


class GateView(msgspec.Struct, frozen=True, kw_only=True):
    """A gate and the pairs of near answers that it keeps apart, as keys; `count` when there are more."""

    gate: str
    count: int
    pairs: tuple[tuple[str, str], ...]


class WinnerView(msgspec.Struct, frozen=True, kw_only=True):
    """Who won and why, as a sentence; `core` answers took part in the draw of the lowest ticket."""

    node_id: NodeKey
    answer: str
    support: int
    core: int
    why: str


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was said in the round, by its signed time."""

    at_unix_ms: UnixMs
    step: str
    node_id: NodeKey
    event_id: str


class RoundDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A round with everything that is known here; what has not happened yet is null or empty."""

    round: RoundSummary
    requester: NodeKey
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float
    attempt: int
    previous: str | None
    frame: FrameView
    panel: PanelView
    answers: tuple[AnswerView, ...]
    layout: LayoutView
    ball: BallView | None
    gates: tuple[GateView, ...]
    winner: WinnerView | None
    steps: tuple[Step, ...]
    certificate_url: str | None


class CertificateSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway's own check of a certificate says; `fault` is the first wrong thing, if any."""

    request_id: str
    holds: bool
    fault: str | None
    detail: str
    bytes: int
    sha256: str
    signed_seats: int
    inputs_witnessed: bool
    panel: str | None
    embeddings: str | None
    url: str
