"""Hands a node's reports to whoever listens; a slow listener loses reports and is told how many."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from dicast.daemon.tellings import Told
from dicast.protocol.outputs import RoundOpened

REPORTS_WAITING_MAX = 1024
"""A round of 256 seats makes about 800 reports; a listener that is further behind does not read."""
SUBSCRIBERS_MAX = 64
"""A person's terminals, dashboards and gateways; each costs a queue, and a look at every report."""


class Subscription:
    """One listener's queue. `dropped` counts what it was too slow for."""

    def __init__(self, wanted: Callable[[Told], bool], on_close: Callable[[Subscription], None]) -> None:
        self._wanted = wanted
        self._on_close = on_close
        self._waiting: deque[Told] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        self.dropped = 0

    def offer(self, report: Told) -> None:
        """Queue a report for this listener, unless it does not want it or is too far behind."""
        if self._closed or not self._wanted(report):
            return
        if len(self._waiting) >= REPORTS_WAITING_MAX:
            self.dropped += 1
            return
        self._waiting.append(report)
        self._wake.set()

    async def next(self) -> Told | None:
        """The next report, or None when the node stopped."""
        while not self._waiting:
            if self._closed:
                return None
            self._wake.clear()
            await self._wake.wait()
        return self._waiting.popleft()

    def take(self) -> Told | None:
        """The next report, if one waits."""
        return self._waiting.popleft() if self._waiting else None

    def close(self) -> None:
        """Listen no longer; what is queued can still be read."""
        if not self._closed:
            self._closed = True
            self._wake.set()
            self._on_close(self)


class Reports:
    """All listeners of one node. `listen_now` is called inside the batch, before the next input."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []
        self._asks: dict[str, Subscription] = {}
        self._rounds: dict[str, str] = {}
        self._immediate: list[Callable[[Told], None]] = []
        self.dropped = 0

    def subscribe(self, wanted: Callable[[Told], bool] = lambda _: True) -> Subscription:
        """A new queue of the reports that are `wanted`."""
        subscription = Subscription(wanted, self._forget)
        self._subscriptions.append(subscription)
        return subscription

    def follow(self, ask_id: str, wanted: Callable[[Told], bool]) -> Subscription:
        """A queue of what is `wanted` among the reports of one question, which nobody else has to look at."""

        def forget(subscription: Subscription) -> None:
            self.dropped += subscription.dropped
            del self._asks[ask_id]
            for request_id in [one for one, asker in self._rounds.items() if asker == ask_id]:
                del self._rounds[request_id]

        subscription = self._asks[ask_id] = Subscription(wanted, forget)
        return subscription

    def is_full(self) -> bool:
        """Whether no further listener is taken."""
        return len(self._subscriptions) >= SUBSCRIBERS_MAX

    def listen_now(self, listener: Callable[[Told], None]) -> None:
        """Call `listener` with every report at once; it must not block."""
        self._immediate.append(listener)

    def tell(self, report: Told) -> None:
        """Hand one report to everybody."""
        for listener in self._immediate:
            listener(report)
        for subscription in self._subscriptions:
            subscription.offer(report)
        asking = self._asks.get(self._ask_of(report))
        if asking is not None:
            asking.offer(report)

    def close(self) -> None:
        """No more reports will come."""
        for subscription in (*self._subscriptions, *self._asks.values()):
            subscription.close()

    def _ask_of(self, report: Told) -> str:
        """The question that a report is about, by itself or by its round."""
        ask_id: str = getattr(report, "ask_id", "")
        if isinstance(report, RoundOpened) and ask_id in self._asks:
            self._rounds[report.request_id] = ask_id
        return ask_id or self._rounds.get(getattr(report, "request_id", ""), "")

    def _forget(self, subscription: Subscription) -> None:
        self.dropped += subscription.dropped
        self._subscriptions.remove(subscription)
