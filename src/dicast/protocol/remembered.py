"""What a node has said once and must never say again: kept on disk, longer than any packet stays fresh."""

from __future__ import annotations

from dicast.base.types import Now, RequestId
from dicast.protocol.effects import Effects
from dicast.protocol.records import Table

REMEMBERED_SECONDS = 86_400
"""A day: a request that old is refused as stale long before, whatever the clocks did."""
REMEMBERED_MAX = 100_000
"""More than one a second for a day; a node that would say more waits."""


class Remembered:
    """Request ids with the time they were added, oldest first; forgotten after a day."""

    def __init__(self, table: Table, stored: dict[str, int]) -> None:
        self._table = table
        self._seconds = dict(sorted(stored.items(), key=lambda entry: (entry[1], entry[0])))

    def __contains__(self, request_id: RequestId) -> bool:
        return request_id in self._seconds

    @property
    def is_full(self) -> bool:
        """Is there no room for another?"""
        return len(self._seconds) >= REMEMBERED_MAX

    def add(self, request_id: RequestId, now: Now, effects: Effects) -> None:
        """Remember durably, and forget what is a day old."""
        seconds = now.unix_ms // 1000
        for old in self._expired(seconds):
            del self._seconds[old]
            effects.delete(self._table, old)
        self._seconds[request_id] = seconds
        effects.put(self._table, request_id, str(seconds).encode())

    def _expired(self, seconds: int) -> list[str]:
        expired: list[str] = []
        for request_id, added in self._seconds.items():
            if added + REMEMBERED_SECONDS > seconds:
                break
            expired.append(request_id)
        return expired
