"""How long to wait before the next try."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

RETRY_SECONDS_FIRST = 0.2  # a server that was restarted is back at once
RETRY_SECONDS_SOON = 1.0  # while a restart may still be under way, the wait grows no further than this
SOON_SECONDS = 30.0  # after a good connection was lost: a restart takes no longer, and costs 30 knocks
RETRY_SECONDS_MAX = 30.0  # a public server must not be hammered
STABLE_SECONDS = 3.0  # a connection that lived this long was good; who hangs up sooner is tried ever less


class Backoff:
    """Doubles from try to try, less a random share of up to a half: many do not come back together."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds = RETRY_SECONDS_FIRST
        self._connected_at: float | None = None
        self._soon_until: float | None = None

    def connected(self) -> None:
        """The connection stands."""
        self._connected_at = self._clock()

    def next_seconds(self) -> float:
        """The pause before the next try."""
        now = self._clock()
        if self._connected_at is not None:
            is_good = now - self._connected_at > STABLE_SECONDS
            self._soon_until = now + SOON_SECONDS if is_good else None
            if is_good:
                self._seconds = RETRY_SECONDS_FIRST
        self._connected_at = None
        is_soon = self._soon_until is not None and now < self._soon_until
        pause = self._seconds * random.uniform(0.5, 1.0)  # noqa: S311 (jitter)
        self._seconds = min(2 * self._seconds, RETRY_SECONDS_SOON if is_soon else RETRY_SECONDS_MAX)
        return pause
