"""A worker's seat in one round: where it stands, and the table of steps it may take."""

from __future__ import annotations

from enum import StrEnum

from dicast.protocol.records import Draft


class Phase(StrEnum):
    """Where this node's own seat stands."""

    WAITING = "waiting"
    FETCHING = "fetching"
    QUEUED = "queued"
    RUNNING = "running"
    EMBEDDING = "embedding"
    COMMITTED = "committed"
    REVEALED = "revealed"
    OVER = "over"


STEPS: dict[Phase, frozenset[Phase]] = {
    Phase.WAITING: frozenset({Phase.FETCHING, Phase.RUNNING, Phase.OVER}),
    Phase.FETCHING: frozenset({Phase.QUEUED, Phase.RUNNING, Phase.OVER}),
    Phase.QUEUED: frozenset({Phase.RUNNING, Phase.OVER}),
    Phase.RUNNING: frozenset({Phase.EMBEDDING, Phase.COMMITTED, Phase.OVER}),
    Phase.EMBEDDING: frozenset({Phase.COMMITTED, Phase.OVER}),
    Phase.COMMITTED: frozenset({Phase.REVEALED, Phase.OVER}),
    Phase.REVEALED: frozenset({Phase.OVER}),
    Phase.OVER: frozenset(),
}
BUSY = frozenset({Phase.RUNNING, Phase.EMBEDDING})
"""A prompt is being run."""


class Seat:
    """What our member knows of its own work in a round."""

    __slots__ = ("awaited", "draft", "phase")

    def __init__(self, phase: Phase) -> None:
        self.phase = phase
        self.draft: Draft | None = None
        self.awaited: list[str] = []
