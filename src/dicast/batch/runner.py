"""Runs the lines of a job, many at a time; every answer is durable before anybody sees it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from dicast.base.errors import DicastError
from dicast.batch import book
from dicast.batch.book import Book, Line
from dicast.batch.dispatch import Dispatcher
from dicast.batch.lease import LINE

LINES_AT_ONCE_MAX = 96
"""Of one job: the node takes 128 questions, the rest is for people and for other jobs."""
LINES_A_SLOT = 4
"""Of all nodes: one is answered, one is on its way, and two wait for their verdict and for the disk."""
GROW_S = 1.0
"""How often it is looked whether there are more nodes."""


class Outcome(NamedTuple):
    """The one answer of a line: whether it is good, and the line of the output."""

    ok: bool
    content: bytes


Answering = Callable[[Line], Awaitable[Outcome]]
OnResult = Callable[[Line, Outcome], None]


class LineLog:
    """The leases of one line, in the book. What is lost of them in a crash is asked again."""

    def __init__(self, kept: Book, job_id: str, number: int) -> None:
        self._book = kept
        self._job_id = job_id
        self._number = number
        earlier = kept.leases(job_id, number)
        self._attempt = earlier[-1].attempt if earlier else 0
        self._open = [lease.request for lease in earlier if lease.request and not lease.ended]
        self.nodes: list[dict[str, Any]] = msgspec.json.decode(earlier[-1].why) if earlier else []
        """Who was asked last, and why."""

    def unfinished(self) -> Sequence[str]:
        """See `LeaseLog`; the newest first, each told once."""
        found, self._open = self._open, []
        return found[::-1]

    def begin(self, why: list[dict[str, Any]]) -> int:
        """See `LeaseLog`."""
        self._attempt += 1
        self.nodes = why
        began_ms = time.time_ns() // 1_000_000
        encoded = msgspec.json.encode(why)
        self._book.note(book.begin_lease(self._job_id, self._number, self._attempt, encoded, began_ms))
        return self._attempt

    def opened(self, attempt: int, request_id: str) -> None:
        """See `LeaseLog`."""
        self._book.note(book.name_request(self._job_id, self._number, attempt, request_id))

    def end(self, attempt: int, ended: str) -> None:
        """See `LeaseLog`. A lease that was cancelled from here may have been decided all the same."""
        if ended != "cancelled":
            self._book.note(book.end_lease(self._job_id, self._number, attempt, ended))


class Runner:
    """Answers what is unanswered in a job."""

    def __init__(self, kept: Book, dispatcher: Dispatcher) -> None:
        self._book = kept
        self._dispatcher = dispatcher

    async def run(self, job_id: str, answer: Answering, on_result: OnResult | None = None) -> None:
        """Until every line has its answer. Cancelling keeps what is answered. Raises AdapterError."""
        lines = _Lines(self._book, job_id)

        async def work() -> None:
            while (line := lines.next()) is not None:
                LINE.set(LineLog(self._book, job_id, line.number))
                outcome = await answer(line)
                await self._book.write(*book.answer_line(job_id, line.number, outcome.ok, outcome.content))
                if on_result is not None:
                    on_result(line, outcome)

        try:
            async with asyncio.TaskGroup() as group:
                working = 0
                while not lines.is_over:
                    wide = await self._width()
                    for _ in range(wide - working):
                        group.create_task(work())
                    working = max(working, wide)
                    await lines.ended(GROW_S)
        except* DicastError as errors:
            raise _first(errors) from errors

    async def _width(self) -> int:
        """Lines to have in hand at a time."""
        try:
            await self._dispatcher.look()
        except DicastError:
            return 1  # the node is away: one line waits for it
        slots = self._dispatcher.workers.capacity
        return min(LINES_AT_ONCE_MAX, max(1, LINES_A_SLOT * slots))


class _Lines:
    """What is left to be answered, a page at a time."""

    def __init__(self, kept: Book, job_id: str) -> None:
        self._book = kept
        self._job_id = job_id
        self._page: deque[Line] = deque()
        self._last = -1
        self._over = asyncio.Event()

    @property
    def is_over(self) -> bool:
        """Whether all of them were handed out."""
        return self._over.is_set()

    def next(self) -> Line | None:
        """The next line; None when all were handed out."""
        if not self._page and not self.is_over:
            self._page.extend(self._book.unanswered(self._job_id, self._last))
        if not self._page:
            self._over.set()
            return None
        line = self._page.popleft()
        self._last = line.number
        return line

    async def ended(self, most_s: float) -> None:
        """Until all were handed out, or so long."""
        try:
            async with asyncio.timeout(most_s):
                await self._over.wait()
        except TimeoutError:
            pass


def _first(errors: BaseExceptionGroup[DicastError]) -> DicastError:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
