"""How long to wait before the next try."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

RETRY_SECONDS_FIRST = 0.2  # a server that was restarted is back at once
RETRY_SECONDS_MAX = 30.0  # a public server must not be hammered
STABLE_SECONDS = 10.0  # a connection that lived this long starts over


class Backoff:
    """Doubles from try to try, less a random share of up to a half: many do not come back together."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds = RETRY_SECONDS_FIRST
        self._connected_at: float | None = None

    def connected(self) -> None:
        """The connection stands."""
        self._connected_at = self._clock()

    def next_seconds(self) -> float:
        """The pause before the next try."""
        if self._connected_at is not None and self._clock() - self._connected_at > STABLE_SECONDS:
            self._seconds = RETRY_SECONDS_FIRST
        self._connected_at = None
        pause = self._seconds * random.uniform(0.5, 1.0)  # noqa: S311 (jitter)
        self._seconds = min(2 * self._seconds, RETRY_SECONDS_MAX)
        return pause
