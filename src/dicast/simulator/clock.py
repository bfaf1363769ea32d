"""Virtual time: one heap of events for the world, one pair of clocks a host."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

from dicast.base.types import Now

EPOCH_UNIX_MS = 1_750_000_000_000
"""Unix time at world time 0: any fixed moment, so that stamps look like stamps."""

Action = Callable[[Any, Any], None]


class Heap:
    """Events in order of time, then of scheduling: (at_ms, sequence, action, subject, detail)."""

    def __init__(self) -> None:
        self.now_ms = 0
        self._sequence = 0
        self._events: list[tuple[int, int, Action, Any, Any]] = []

    def __len__(self) -> int:
        return len(self._events)

    def schedule(self, at_ms: int, action: Action, subject: Any, detail: Any = None) -> None:
        """Call `action(subject, detail)` at `at_ms`, never before now."""
        self._sequence += 1
        heapq.heappush(self._events, (max(at_ms, self.now_ms), self._sequence, action, subject, detail))

    def run(self, until_ms: int) -> None:
        """Perform every event up to `until_ms`, those that they schedule included."""
        events = self._events
        while events and events[0][0] <= until_ms:
            self.now_ms, _, action, subject, detail = heapq.heappop(events)
            action(subject, detail)
        self.now_ms = max(self.now_ms, until_ms)


class HostClock:
    """What one host believes: monotonic time since some boot, and Unix time that is off and may jump."""

    def __init__(self, boot_ms: int, skew_ms: int) -> None:
        self._monotonic_offset_ms = boot_ms
        self._unix_offset_ms = EPOCH_UNIX_MS + skew_ms
        self._healthy_offset_ms = self._unix_offset_ms

    def now(self, world_ms: int) -> Now:
        """The pair that the host's node is given."""
        return Now(world_ms + self._monotonic_offset_ms, world_ms + self._unix_offset_ms)

    def world_ms(self, monotonic_ms: int) -> int:
        """The world time at which the monotonic clock shows `monotonic_ms`."""
        return monotonic_ms - self._monotonic_offset_ms

    def jump(self, by_ms: int) -> None:
        """Unix time moves at once; monotonic time never does."""
        self._unix_offset_ms += by_ms

    def correct(self) -> None:
        """A time server takes the jumps back; the small skew stays."""
        self._unix_offset_ms = self._healthy_offset_ms

    def reboot(self, boot_ms: int) -> None:
        """Monotonic time starts anew, as it does on a machine that restarts."""
        self._monotonic_offset_ms = boot_ms
