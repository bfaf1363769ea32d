"""The real clock as the core wants it: a pair of integers that never goes back."""

from __future__ import annotations

import time

from dicast.base.types import Now


class RealClock:
    """Reads both clocks. A wall clock that is set back stands still until it is reached again."""

    def __init__(self) -> None:
        self._last = Now(monotonic_ms=0, unix_ms=0)
        self.set_back_ms = 0

    def now(self) -> Now:
        """The time, never earlier than the time before."""
        monotonic_ms = time.monotonic_ns() // 1_000_000
        unix_ms = time.time_ns() // 1_000_000
        self.set_back_ms = max(0, self._last.unix_ms - unix_ms)
        self._last = Now(
            monotonic_ms=max(monotonic_ms, self._last.monotonic_ms),
            unix_ms=max(unix_ms, self._last.unix_ms),
        )
        return self._last
