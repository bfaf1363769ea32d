"""The slots of a worker: which prompts run, and which wait a moment for one of them to end."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from dicast.base.types import NodeId, Now, RequestId
from dicast.protocol.round import Round

WAITING_A_SLOT = 2
"""Of one requester: a batch keeps one more prompt a slot on its way than run, and its people's questions find
the other places free."""
WAITING_SHARES = 2
"""Of all requesters together, so many times as much: who fills its share leaves as much to the others."""
EXPECTED_MS_MAX = 500
"""Who would wait longer is told at once that we are busy, and others are asked: that takes about as long."""
WAIT_MS_MAX = 1_500
"""Who waited so long all the same is told then. A requester takes a member for silent after 4 s, and a lost
request comes again after one."""
NEWEST_SHARE = 8
"""Of the usual time of a prompt the newest one makes an eighth: the load of a minute ago is forgotten."""


class _Running(NamedTuple):
    requester: NodeId
    began_ms: int


class _Waiting(NamedTuple):
    round_: Round
    until_ms: int


class Slots:
    """Prompts by request id. A prompt that was begun regardless may be one too many."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._running: dict[RequestId, _Running] = {}
        self._waiting: dict[RequestId, _Waiting] = {}
        self._usual_ms: int | None = None

    @property
    def load(self) -> int:
        """Prompts being run."""
        return len(self._running)

    @property
    def is_free(self) -> bool:
        """May another prompt begin now? Those that wait have begun by the end of the step that freed one."""
        return len(self._running) < self._slots

    @property
    def is_waited_for(self) -> bool:
        """Does a prompt wait?"""
        return bool(self._waiting)

    def may_wait(self, requester: NodeId, now: Now) -> bool:
        """Is there a place for another prompt of this requester, from which it will soon begin?"""
        share = WAITING_A_SLOT * self._slots
        theirs = sum(one.round_.requester == requester for one in self._waiting.values())
        if theirs >= share or len(self._waiting) >= WAITING_SHARES * share or self._usual_ms is None:
            return False
        newest = max((one.began_ms for one in self._running.values()), default=now.monotonic_ms)
        each_ms = max(self._usual_ms, now.monotonic_ms - newest)
        return each_ms * (len(self._waiting) + 1) <= EXPECTED_MS_MAX * self._slots

    def wait(self, round_: Round, now: Now) -> None:
        """A prompt waits for a slot, at the longest until its answer would be late."""
        until_ms = min(now.monotonic_ms + WAIT_MS_MAX, round_.sealing_ms)
        self._waiting[round_.id] = _Waiting(round_, until_ms)

    def next(self) -> Round | None:
        """Who begins now: the requester with the fewest prompts running; first come, first served."""
        if not self._waiting or not self.is_free:
            return None
        running = Counter(one.requester for one in self._running.values())
        waiting = (one.round_ for one in self._waiting.values())
        return min(waiting, key=lambda round_: running[round_.requester])

    def late(self, now: Now) -> list[Round]:
        """Who has waited for too long."""
        return [one.round_ for one in self._waiting.values() if one.until_ms <= now.monotonic_ms]

    @property
    def deadline_ms(self) -> int | None:
        """When the next of them has waited for too long."""
        return min(one.until_ms for one in self._waiting.values()) if self._waiting else None

    def begin(self, round_: Round, now: Now) -> None:
        """A prompt runs."""
        self._waiting.pop(round_.id, None)
        self._running[round_.id] = _Running(round_.requester, now.monotonic_ms)

    def measure(self, request_id: RequestId, now: Now) -> None:
        """The engine has answered it."""
        took_ms = now.monotonic_ms - self._running[request_id].began_ms
        usual_ms = took_ms if self._usual_ms is None else self._usual_ms
        self._usual_ms = usual_ms + (took_ms - usual_ms) // NEWEST_SHARE

    def leave(self, request_id: RequestId) -> None:
        """It neither runs nor waits; harmless when it did not."""
        self._running.pop(request_id, None)
        self._waiting.pop(request_id, None)
