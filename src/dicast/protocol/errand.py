"""Rounds of ours: where each stands, until when, and the table of steps it may take."""

from __future__ import annotations

from enum import StrEnum

from dicast.base.agenda import Agenda
from dicast.base.types import NodeId, RequestId
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
        "_agenda", "_due_ms", "_phase", "_request_id", "again", "ask_id", "candidates", "declined", "graced",
        "judged", "question", "salt",
    )  # fmt: skip

    def __init__(
        self, request_id: RequestId, ask_id: str, question: Question, salt: str, agenda: Agenda[RequestId]
    ) -> None:
        self.ask_id = ask_id
        self.question = question
        self.salt = salt
        self._request_id = request_id
        self._agenda = agenda
        self._phase = Phase.COLLECTING
        self._due_ms = 0
        self.graced = False
        self.declined: set[NodeId] = set()
        self.candidates: dict[NodeId, int] = {}
        self.judged: Judged | None = None
        self.again: Again | None = None

    @property
    def phase(self) -> Phase:
        """Where it stands."""
        return self._phase

    @phase.setter
    def phase(self, phase: Phase) -> None:
        """A step; what is over is due no more."""
        self._phase = phase
        self._note()

    @property
    def due_ms(self) -> int:
        """When the waiting in this phase ends."""
        return self._due_ms

    @due_ms.setter
    def due_ms(self, due_ms: int) -> None:
        """Wait until then."""
        self._due_ms = due_ms
        self._note()

    def _note(self) -> None:
        if self._phase is Phase.OVER:
            self._agenda.drop(self._request_id)
        else:
            self._agenda.put(self._request_id, self._due_ms)


class Errands:
    """The rounds of ours that are not forgotten: by request, by question, and by when they are due."""

    def __init__(self) -> None:
        self._errands: dict[RequestId, Errand] = {}
        self._by_ask: dict[str, RequestId] = {}
        self._agenda: Agenda[RequestId] = Agenda()

    def begin(self, request_id: RequestId, ask_id: str, question: Question, salt: str) -> Errand:
        """A request of ours is out, or was resumed."""
        errand = self._errands[request_id] = Errand(request_id, ask_id, question, salt, self._agenda)
        if self.open_for(ask_id) is None:
            self._by_ask[ask_id] = request_id
        return errand

    def get(self, request_id: RequestId) -> Errand | None:
        """What we know of a round of ours; None when it is not ours."""
        return self._errands.get(request_id)

    def open_for(self, ask_id: str) -> RequestId | None:
        """The round in which a caller's question is open."""
        request_id = self._by_ask.get(ask_id)
        if request_id is None or self._errands[request_id].phase is Phase.OVER:
            return None
        return request_id

    def due(self, now_ms: int) -> list[RequestId]:
        """Open rounds whose waiting is over."""
        return self._agenda.due(now_ms)

    @property
    def deadline_ms(self) -> int | None:
        """When the next of them is due."""
        return self._agenda.deadline_ms

    def forget(self, request_id: RequestId) -> None:
        """The round expired."""
        errand = self._errands.pop(request_id, None)
        if errand is None:
            return
        self._agenda.drop(request_id)
        if self._by_ask.get(errand.ask_id) == request_id:
            del self._by_ask[errand.ask_id]
