"""One lease: a quick start-ack, renewed by every sign of progress, lapsed when there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, Protocol

from dicast.client import Event
from dicast.client_channel import EventSink
from dicast.daemon.api import Answer
from dicast.protocol.messages import DeclineReason, WorkState
from dicast.protocol.outputs import MemberProgress, RoundOpened, RoundProgress

START_S = 4.0
"""A node says that it has begun within a round trip; a lost request is repeated after 1 and after 3 s."""
RUN_S_MIN = 20.0
"""Without news, once it has begun: a cold model loads meanwhile."""
RUN_TIMES = 12
"""Or so many times as long as it usually takes."""
FINISH_S = 30.0
"""After the last commit: revealing, judging and signing have budgets of their own in the round."""


class LeaseLog(Protocol):
    """Where the leases of one line are kept."""

    def unfinished(self) -> Sequence[str]:
        """Rounds that were opened for this line by somebody who did not live to write the answer down."""
        ...

    def begin(self, why: list[dict[str, Any]]) -> int:
        """Somebody is asked; the number of this lease."""
        ...

    def opened(self, attempt: int, request_id: str) -> None:
        """Its round."""
        ...

    def end(self, attempt: int, ended: str) -> None:
        """How it ended."""
        ...


class NoLine:
    """A question outside of a batch: nothing is kept."""

    def unfinished(self) -> Sequence[str]:
        """See `LeaseLog`."""
        return ()

    def begin(self, why: list[dict[str, Any]]) -> int:
        """See `LeaseLog`."""
        del why
        return 0

    def opened(self, attempt: int, request_id: str) -> None:
        """See `LeaseLog`."""

    def end(self, attempt: int, ended: str) -> None:
        """See `LeaseLog`."""


LINE: ContextVar[LeaseLog] = ContextVar("dicast_line")
"""The line at hand: set by the runner, read where nodes are chosen."""


class Questioned(Protocol):
    """What a watch has to know of its question."""

    @property
    def on_event(self) -> EventSink | None:
        """Who else listens."""
        ...

    @property
    def log(self) -> LeaseLog:
        """Where the lease is kept."""
        ...


class LeaseWatch:
    """Follows the events of one lease. `released` hears whose slot is free, and how long the node took."""

    def __init__(
        self,
        nodes: tuple[str, ...],
        clock: Callable[[], float],
        released: Callable[[str, float | None], None],
    ) -> None:
        self._nodes = nodes
        self._clock = clock
        self._released = released
        self._held = set(nodes)
        self._quorum = len(nodes)
        self._began_s = self._moved_s = clock()
        self.acked: set[str] = set()
        self._declined: dict[str, str] = {}

    def to(self, question: Questioned, attempt: int) -> EventSink:
        """What hears the events: this watch, the log, and whoever else listens."""

        def see(event: Event) -> None:
            if isinstance(event, RoundOpened):
                self._quorum = event.quorum
                question.log.opened(attempt, event.request_id)
            self._see(event)
            if question.on_event is not None:
                question.on_event(event)

        return see

    async def kept(self, asking: asyncio.Future[Answer], usual_s: float | None) -> Answer | None:
        """The answer, or None when the lease lapsed; then the round is cancelled."""
        try:
            while not asking.done():
                left_s = self._left_s(usual_s)
                if left_s <= 0:
                    return None
                await asyncio.wait({asking}, timeout=left_s)
            return asking.result()
        finally:
            if not asking.done():
                asking.cancel()
                await asyncio.wait({asking})

    def failed(self) -> frozenset[str]:
        """Who declined for a reason of its own, or did not finish."""
        return frozenset(self._held | set(self._declined))

    def blameless(self) -> frozenset[str]:
        """Who declined for the question's length: their model cannot read it, or they could not get it."""
        return frozenset(one for one, why in self._declined.items() if why in OF_LENGTH)

    def without_answer(self) -> frozenset[str]:
        """Whose models said nothing that is an answer: their fault, or the question's."""
        malformed = DeclineReason.ANSWER_MALFORMED.value
        return frozenset(one for one, why in self._declined.items() if why == malformed)

    def busy(self) -> frozenset[str]:
        """Who had no slot free, which is no fault either."""
        return frozenset(one for one, why in self._declined.items() if why == DeclineReason.BUSY.value)

    def release_all(self) -> None:
        """Slots that are held still."""
        for node_id in tuple(self._held):
            self._release(node_id, None)

    def _left_s(self, usual_s: float | None) -> float:
        """How long the lease holds if nothing more comes."""
        if not self._held:
            limit_s = FINISH_S
        elif len(self.acked) >= self._quorum:
            limit_s = max(RUN_S_MIN, RUN_TIMES * usual_s) if usual_s is not None else _UNKNOWN_S
        else:
            limit_s = START_S
        return self._moved_s + limit_s - self._clock()

    def _see(self, event: Event) -> None:
        match event:
            case MemberProgress():
                self._moved_s = self._clock()
                self._see_member(event)
            case RoundProgress():
                self._moved_s = self._clock()
            case _:
                pass

    def _see_member(self, event: MemberProgress) -> None:
        self.acked.add(event.member)
        if event.step == WorkState.DECLINED.value:
            self._declined[event.member] = event.detail
            self._release(event.member, None)
        elif event.step == "committed":
            self._release(event.member, 1000 * (self._clock() - self._began_s))

    def _release(self, node_id: str, took_ms: float | None) -> None:
        if node_id in self._held:
            self._held.discard(node_id)
            self._released(node_id, took_ms)


_UNKNOWN_S = 3_600.0
"""A node that was never measured: the round's own deadline, at most an hour, ends it."""
OF_LENGTH = frozenset({DeclineReason.CONTEXT_LENGTH_EXCEEDED.value, DeclineReason.QUESTION_MISSING.value})
