"""Hands a node's reports to whoever listens; a slow listener loses reports and is told how many."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from dicast.daemon.tellings import Told

REPORTS_WAITING_MAX = 1024
"""A round of 256 seats makes about 800 reports; a listener that is further behind does not read."""
SUBSCRIBERS_MAX = 192
"""Every question that may be open (128), a person's terminals and a dashboard; each costs a queue."""


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
        self._immediate: list[Callable[[Told], None]] = []
        self.dropped = 0

    def subscribe(self, wanted: Callable[[Told], bool] = lambda _: True) -> Subscription:
        """A new queue of the reports that are `wanted`."""
        subscription = Subscription(wanted, self._forget)
        self._subscriptions.append(subscription)
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

    def close(self) -> None:
        """No more reports will come."""
        for subscription in tuple(self._subscriptions):
            subscription.close()

    def _forget(self, subscription: Subscription) -> None:
        self.dropped += subscription.dropped
        self._subscriptions.remove(subscription)
