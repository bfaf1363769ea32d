"""Who asked for which documents: queries, bounded queues and a backlog, without sockets or a clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import StrEnum

import msgspec

from dicast.base.expiring import SeenIds
from dicast.base.types import EventId
from dicast.queries.document import DOCUMENT_AGE_MS_MAX, DOCUMENT_AHEAD_MS_MAX, Document
from dicast.queries.json_text import Fault, QueryError
from dicast.queries.language import Query
from dicast.queries.matching import matches

SUBSCRIBERS_MAX = 1_024
"""Each costs a match a document, tens of microseconds."""
SEEN_MAX = 131_072
"""Ids of two backlog ages at a hundred documents a second: about 30 MB at the worst."""

BRIEF_BYTES = 128
"""An id of 64 digits and what stands around it."""


class Form(StrEnum):
    """What a subscriber wants of a document: all of it, or its id only."""

    DOCUMENTS = "documents"
    IDS = "ids"


class Bounds(msgspec.Struct, frozen=True):
    """What one subscriber may hold and cost, and what is kept for late joiners."""

    queries: int = 16
    """Of one subscriber: a page that relays for four others, with room."""
    waiting: int = 512
    """Deliveries that a subscriber has not taken; then the oldest are dropped."""
    waiting_bytes: int = 1 << 20
    """The same in bytes: a thousand stalled subscribers share the documents, but may each want others."""
    work_per_second: int = 100_000
    """Tests times values: some 50 ms of a core, so that one hostile query is no load."""
    backlog: int = 1_024
    """Documents kept for late joiners."""
    backlog_bytes: int = 4 << 20
    """The same in bytes."""
    answer: int = 256
    """Newest matching documents of the backlog that one subscription gets: half of what may wait."""
    answer_bytes: int = 512 * 1024
    """The same in bytes."""


class Delivery(msgspec.Struct, frozen=True):
    """A document for a subscriber; `full` and `brief` are the subscriptions that want it, or only its id."""

    document: Document
    full: tuple[str, ...]
    brief: tuple[str, ...]

    @property
    def size(self) -> int:
        """About how many bytes it takes to say."""
        return len(self.document.wire) if self.full else BRIEF_BYTES


class Subscriber:
    """One who asked. `on_ready` is called when there is something to take, and must not block."""

    def __init__(self, bounds: Bounds, on_ready: Callable[[], None]) -> None:
        self.dropped = 0
        """Deliveries that were not taken in time, and documents that would have cost too much to match."""
        self._bounds = bounds
        self._on_ready = on_ready
        self._queries: dict[str, tuple[Query, Form]] = {}
        self._waiting: deque[Delivery] = deque()
        self._bytes = 0
        self._work_left = bounds.work_per_second
        self._work_at_ms = 0

    def add(self, name: str, query: Query, form: Form = Form.DOCUMENTS) -> None:
        """Ask for what matches, in place of what `name` stood for. Raises `QueryError` over the bound."""
        if name not in self._queries and len(self._queries) >= self._bounds.queries:
            raise QueryError(Fault.TOO_COMPLEX, f"There are {self._bounds.queries} subscriptions already.")
        self._queries[name] = (query, form)

    def remove(self, name: str) -> None:
        """Ask for it no longer; harmless when it was never asked for."""
        self._queries.pop(name, None)

    def offer(self, document: Document, now_ms: int) -> bool:
        """Queue a document if a query matches it."""
        if not self._queries:
            return False
        if not self._afford(sum(query.nodes for query, _ in self._queries.values()), document, now_ms):
            self.dropped += 1
            return False
        wanting = [
            (name, form) for name, (query, form) in self._queries.items() if matches(query, document.value)
        ]
        if not wanting:
            return False
        full = tuple(name for name, form in wanting if form is Form.DOCUMENTS)
        self._put(Delivery(document, full, tuple(name for name, form in wanting if form is Form.IDS)))
        return True

    def answer(self, name: str, documents: list[Document], now_ms: int) -> bool:
        """Queue what matches one subscription, newest last; False when not all could be looked at."""
        query, form = self._queries[name]
        found: list[Document] = []
        found_bytes = 0
        is_complete = True
        for document in reversed(documents):
            is_complete = self._afford(query.nodes, document, now_ms)
            if (
                not is_complete
                or len(found) >= self._bounds.answer
                or found_bytes > self._bounds.answer_bytes
            ):
                is_complete = False
                break
            if matches(query, document.value):
                found.append(document)
                found_bytes += len(document.wire)
        names = (name,)
        for document in reversed(found):
            is_full = form is Form.DOCUMENTS
            self._put(Delivery(document, names if is_full else (), () if is_full else names))
        return is_complete

    def take(self) -> Delivery | None:
        """The next delivery, or None."""
        if not self._waiting:
            return None
        delivery = self._waiting.popleft()
        self._bytes -= delivery.size
        return delivery

    def __len__(self) -> int:
        return len(self._waiting)

    def _put(self, delivery: Delivery) -> None:
        self._waiting.append(delivery)
        self._bytes += delivery.size
        while len(self._waiting) > self._bounds.waiting or self._bytes > self._bounds.waiting_bytes:
            self._bytes -= self._waiting.popleft().size
            self.dropped += 1
        self._on_ready()

    def _afford(self, nodes: int, document: Document, now_ms: int) -> bool:
        """Pay for a match from a bucket that fills steadily and holds a second's worth."""
        full = self._bounds.work_per_second
        self._work_left = min(full, self._work_left + (now_ms - self._work_at_ms) * full // 1000)
        self._work_at_ms = now_ms
        cost = nodes * document.value_count
        if cost > self._work_left:
            return False
        self._work_left -= cost
        return True


class Subscriptions:
    """Everybody who asked, what went by lately, and what was seen. Times in monotonic milliseconds."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self._bounds = bounds or Bounds()
        self._subscribers: dict[Subscriber, None] = {}
        self._backlog: dict[EventId, tuple[int, Document]] = {}
        self._backlog_bytes = 0
        self._seen = SeenIds(DOCUMENT_AGE_MS_MAX + DOCUMENT_AHEAD_MS_MAX, SEEN_MAX)

    def join(self, on_ready: Callable[[], None]) -> Subscriber | None:
        """One more subscriber, without queries yet; None when there is no room."""
        if len(self._subscribers) >= SUBSCRIBERS_MAX:
            return None
        subscriber = Subscriber(self._bounds, on_ready)
        self._subscribers[subscriber] = None
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Offer it nothing more; harmless when repeated."""
        self._subscribers.pop(subscriber, None)

    def has(self, document_id: str, now_ms: int) -> bool:
        """Whether it went by already, so that its signature need not be checked again."""
        return self._seen.has(document_id, now_ms)

    def offer(self, document: Document, now_ms: int) -> bool:
        """Hand a document, its signature checked, to whoever asked for it; False when it went by before."""
        if not self._seen.add(document.id, now_ms):
            return False
        self._keep(document, now_ms)
        for subscriber in list(self._subscribers):
            subscriber.offer(document, now_ms)
        return True

    def catch_up(self, subscriber: Subscriber, name: str, now_ms: int) -> bool:
        """Queue the newest of the backlog that match a subscription; False when there may be more."""
        return subscriber.answer(name, self.backlog(now_ms), now_ms)

    def backlog(self, now_ms: int) -> list[Document]:
        """What went by lately, oldest first."""
        self._forget(now_ms)
        return [document for _, document in self._backlog.values()]

    def find(self, document_id: str) -> Document | None:
        """A document of the backlog."""
        entry = self._backlog.get(EventId(document_id))
        return None if entry is None else entry[1]

    def _keep(self, document: Document, now_ms: int) -> None:
        self._backlog[document.id] = (now_ms, document)
        self._backlog_bytes += len(document.wire)
        self._forget(now_ms)

    def _forget(self, now_ms: int) -> None:
        while self._backlog:
            at_ms, oldest = next(iter(self._backlog.values()))
            is_full = (
                len(self._backlog) > self._bounds.backlog or self._backlog_bytes > self._bounds.backlog_bytes
            )
            if not is_full and now_ms - at_ms <= DOCUMENT_AGE_MS_MAX:
                return
            del self._backlog[oldest.id]
            self._backlog_bytes -= len(oldest.wire)
