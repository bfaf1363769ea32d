"""Sends the same bytes again, with back-off, until the packet that answers them has come."""

from __future__ import annotations

from dicast.base.agenda import Agenda
from dicast.base.limits import RESEND_MS_FIRST, RESEND_MS_MAX
from dicast.base.types import RequestId


class _Repeat:
    __slots__ = ("interval_ms", "until_ms", "wire")

    def __init__(self, wire: bytes, until_ms: int) -> None:
        self.wire = wire
        self.until_ms = until_ms
        self.interval_ms = RESEND_MS_FIRST


class Repeats:
    """At most one packet a round and step is repeated at a time."""

    def __init__(self) -> None:
        self._entries: dict[RequestId, dict[str, _Repeat]] = {}
        self._agenda: Agenda[tuple[RequestId, str]] = Agenda()

    def begin(self, request_id: RequestId, step: str, wire: bytes, now_ms: int, until_ms: int) -> None:
        """Repeat `wire` 1, 2, 4 … seconds after now, until `until_ms` or `stop`."""
        entry = self._entries.setdefault(request_id, {})[step] = _Repeat(wire, until_ms)
        self._put_off(request_id, step, entry, now_ms)

    def stop(self, request_id: RequestId, step: str) -> None:
        """The answer came; harmless when nothing was repeated."""
        steps = self._entries.get(request_id)
        if steps is None or steps.pop(step, None) is None:
            return
        self._agenda.drop((request_id, step))
        if not steps:
            del self._entries[request_id]

    def forget(self, request_id: RequestId) -> None:
        """The round is over."""
        for step in self._entries.pop(request_id, {}):
            self._agenda.drop((request_id, step))

    def take_due(self, now_ms: int) -> list[bytes]:
        """The wires to send now; each is due again after twice its interval."""
        due: list[bytes] = []
        for request_id, step in self._agenda.due(now_ms):
            entry = self._entries[request_id][step]
            if now_ms >= entry.until_ms:
                self.stop(request_id, step)
                continue
            entry.interval_ms = min(2 * entry.interval_ms, RESEND_MS_MAX)
            due.append(entry.wire)
            self._put_off(request_id, step, entry, now_ms)
        return due

    @property
    def deadline_ms(self) -> int | None:
        """When the next repeat is due."""
        return self._agenda.deadline_ms

    def __len__(self) -> int:
        return len(self._agenda)

    def _put_off(self, request_id: RequestId, step: str, entry: _Repeat, now_ms: int) -> None:
        """Until its next time, if that comes before its end."""
        if now_ms + entry.interval_ms < entry.until_ms:
            self._agenda.put((request_id, step), now_ms + entry.interval_ms)
        else:
            self.stop(request_id, step)
