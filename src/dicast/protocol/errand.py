"""A round of ours: where it stands, and the table of steps it may take."""

from __future__ import annotations

from enum import StrEnum

from dicast.base.types import NodeId
from dicast.protocol.inputs import Question
from dicast.protocol.opening import Again
from dicast.protocol.validator import Judged


class Phase(StrEnum):
    """Where a round of ours stands."""

    DRAWING = "drawing"
    COLLECTING = "collecting"
    REVEALING = "revealing"
    JUDGING = "judging"
    SIGNING = "signing"
    OVER = "over"


STEPS: dict[Phase, frozenset[Phase]] = {
    Phase.DRAWING: frozenset({Phase.COLLECTING, Phase.OVER}),
    Phase.COLLECTING: frozenset({Phase.REVEALING, Phase.JUDGING, Phase.OVER}),
    Phase.REVEALING: frozenset({Phase.JUDGING, Phase.OVER}),
    Phase.JUDGING: frozenset({Phase.SIGNING, Phase.OVER}),
    Phase.SIGNING: frozenset({Phase.OVER}),
    Phase.OVER: frozenset(),
}


class Errand:
    """One round of ours: who asked, where it stands, and until when."""

    __slots__ = (
        "again",
        "ask_id",
        "candidates",
        "declined",
        "due_ms",
        "graced",
        "judged",
        "phase",
        "question",
        "salt",
    )

    def __init__(self, ask_id: str, question: Question, salt: str) -> None:
        self.ask_id = ask_id
        self.question = question
        self.salt = salt
        self.phase = Phase.COLLECTING
        self.due_ms = 0
        self.graced = False
        self.declined: set[NodeId] = set()
        self.candidates: dict[NodeId, int] = {}
        self.judged: Judged | None = None
        self.again: Again | None = None
