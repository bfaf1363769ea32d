"""Sends the same bytes again, with back-off, until the packet that answers them has come."""

from __future__ import annotations

from dicast.base.limits import RESEND_MS_FIRST, RESEND_MS_MAX
from dicast.base.types import RequestId


class _Repeat:
    __slots__ = ("due_ms", "interval_ms", "until_ms", "wire")

    def __init__(self, wire: bytes, due_ms: int, until_ms: int) -> None:
        self.wire = wire
        self.due_ms = due_ms
        self.until_ms = until_ms
        self.interval_ms = RESEND_MS_FIRST


class Repeats:
    """At most one packet a round and step is repeated at a time."""

    def __init__(self) -> None:
        self._entries: dict[tuple[RequestId, str], _Repeat] = {}

    def begin(self, request_id: RequestId, step: str, wire: bytes, now_ms: int, until_ms: int) -> None:
        """Repeat `wire` 1, 2, 4 … seconds after now, until `until_ms` or `stop`."""
        self._entries[request_id, step] = _Repeat(wire, now_ms + RESEND_MS_FIRST, until_ms)

    def stop(self, request_id: RequestId, step: str) -> None:
        """The answer came; harmless when nothing was repeated."""
        self._entries.pop((request_id, step), None)

    def forget(self, request_id: RequestId) -> None:
        """The round is over."""
        for key in [key for key in self._entries if key[0] == request_id]:
            del self._entries[key]

    def take_due(self, now_ms: int) -> list[bytes]:
        """The wires to send now; each is due again after twice its interval."""
        due: list[bytes] = []
        for key, entry in list(self._entries.items()):
            if now_ms >= entry.until_ms:
                del self._entries[key]
            elif now_ms >= entry.due_ms:
                entry.interval_ms = min(2 * entry.interval_ms, RESEND_MS_MAX)
                entry.due_ms = now_ms + entry.interval_ms
                due.append(entry.wire)
        return due

    @property
    def deadline_ms(self) -> int | None:
        """When the next repeat is due."""
        return min((entry.due_ms for entry in self._entries.values()), default=None)

    def __len__(self) -> int:
        return len(self._entries)
