"""Says what this node offers: when it changes, at most every minute, and every few minutes anyway."""

from __future__ import annotations

from dicast.base.limits import ANNOUNCEMENT_PERIOD_MS_MAX, ANNOUNCEMENT_PERIOD_MS_MIN
from dicast.base.types import Now
from dicast.protocol.admission import own_offer
from dicast.protocol.context import Context
from dicast.protocol.messages import Announcement

ANNOUNCEMENT_PERIOD_MS = ANNOUNCEMENT_PERIOD_MS_MAX // 2
"""Half of what is promised, so that one lost announcement is not missed."""


class Announcer:
    """A node without roles has nothing to announce."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._said: Announcement | None = None
        self._said_ms = 0
        self._due_ms: int | None = None

    def change(self, now: Now) -> None:
        """The offer changed: say so, as soon as the last announcement is a minute old."""
        if not self._context.settings.roles:
            return
        earliest_ms = (
            self._said_ms + ANNOUNCEMENT_PERIOD_MS_MIN if self._said is not None else now.monotonic_ms
        )
        self._due_ms = max(now.monotonic_ms, earliest_ms)

    def take_due(self, load: int, now: Now) -> None:
        """Announce, if it is time."""
        if self._due_ms is None or now.monotonic_ms < self._due_ms:
            return
        self._said = own_offer(self._context, load)
        self._said_ms = now.monotonic_ms
        self._due_ms = now.monotonic_ms + ANNOUNCEMENT_PERIOD_MS
        self._context.effects.speak(self._said, now)

    @property
    def deadline_ms(self) -> int | None:
        """When the next announcement is due."""
        return self._due_ms
