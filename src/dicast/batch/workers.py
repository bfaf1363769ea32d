"""The nodes that a batch can be given to: their slots, their speed, what they offer, their standing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from dicast.daemon.api import PeerRecord

SLOTS_USED_MAX = 12
"""Of one node at a time: it keeps 16 unfinished rounds of one asker, and they outlive their slots a bit."""
WINDOW_SLOTS_MAX = 2
"""So many times its slots: as many as run are on their way or wait at the node, so that no slot is ever idle;
it lets twice as many wait, so that people's questions find a place."""
WIDEN = 1.0
"""A node's window grows by one question for as many answers as it holds: what is on its way there and back
takes no slot of the node."""
NARROW = 0.75
"""It shrinks when the node says that it is busy; down to its slots at once, below them when that goes on."""
SPEED_SHARE = 0.2
"""Weight of the newest measurement: ten lines after a change the old speed is forgotten."""
UNMEASURED_MS = 1.0
"""Counts for a node that has not answered yet: every node is tried before the fastest gets all."""
PAUSE_MS_FIRST = 200
"""A node that declined or was silent is left alone for a moment, twice as long each time."""
PAUSE_MS_MAX = 30_000
"""As long as it takes to load a model; a node that is really gone leaves the list by itself."""
BYTES_A_TOKEN = 4
"""Of English text; whoever needs it exactly is told by the engine."""


class Need(NamedTuple):
    """What a question needs: seats, models (any if empty), embedders, and room for its tokens."""

    seats: int
    models: tuple[str, ...]
    embedders: tuple[str, ...]
    tokens: int


class Choice(NamedTuple):
    """A node that was chosen, and why, as the record keeps it."""

    node_id: str
    why: dict[str, Any]


class Worker:
    """One node as the batch sees it."""

    def __init__(self, record: PeerRecord) -> None:
        self.record = record
        self.in_flight = 0
        self.mean_ms: float | None = None
        self.answered = 0
        self.failed_in_a_row = 0
        self.paused_until_ms = 0
        self.window = float(self.slots)

    @property
    def slots(self) -> int:
        """Prompts that it runs at a time, as far as we use them."""
        return max(1, min(self.record.slots, SLOTS_USED_MAX))

    @property
    def room(self) -> int:
        """Questions that it may still be given: by its slots, and by what is on its way to it and back."""
        return int(max(self.window, 1.0)) - self.in_flight

    @property
    def window_max(self) -> int:
        """Questions that it is given at a time at the most."""
        return min(WINDOW_SLOTS_MAX * self.slots, SLOTS_USED_MAX)

    def suits(self, need: Need) -> bool:
        """Whether it offers what the question needs."""
        record = self.record
        if "worker" not in record.roles or record.banned or not set(need.embedders) <= set(record.embedders):
            return False
        fitting = [name for name in record.models if not need.models or name in need.models]
        known = [record.contexts.get(name, 0) for name in fitting]
        return bool(fitting) and any(not room or room >= need.tokens for room in known)

    def rank(self) -> tuple[int, int, float, int, str]:
        """Lower is better: what it withheld, failures of late, when it would be done, then fame."""
        record = self.record
        withheld = record.unrevealed * 8 // (record.agreed + record.unrevealed + 8)
        busy = (max(self.in_flight, min(record.load, self.slots - 1)) + 1) / self.slots
        done_ms = (UNMEASURED_MS if self.mean_ms is None else self.mean_ms) * busy
        return withheld, self.failed_in_a_row, done_ms, -record.agreed, record.node_id

    def why(self) -> dict[str, Any]:
        """What spoke for it."""
        return {
            "node": self.record.node_id,
            "room": self.room,
            "in_flight": self.in_flight,
            "slots": self.slots,
            "load": self.record.load,
            "mean_ms": None if self.mean_ms is None else round(self.mean_ms),
            "agreed": self.record.agreed,
            "unrevealed": self.record.unrevealed,
            "failed_in_a_row": self.failed_in_a_row,
            "models": list(self.record.models[:8]),
        }


class Workers:
    """All of them; `mine` is the key of the asking node."""

    def __init__(self) -> None:
        self.mine = ""
        self._workers: dict[str, Worker] = {}

    def see(self, mine: str, records: Iterable[PeerRecord]) -> None:
        """Who is there now."""
        self.mine = mine
        seen = {record.node_id: record for record in records}
        for node_id, record in seen.items():
            known = self._workers.get(node_id)
            if known is None:
                self._workers[node_id] = Worker(record)
            else:
                known.record = record
        for node_id in [
            one for one, worker in self._workers.items() if one not in seen and not worker.in_flight
        ]:
            del self._workers[node_id]

    @property
    def capacity(self) -> int:
        """Prompts that all of them together run at a time."""
        return sum(worker.slots for worker in self._workers.values() if "worker" in worker.record.roles)

    def choose(self, need: Need, left_out: frozenset[str], now_ms: int) -> list[Choice]:
        """As many nodes as the question has seats, each with a slot taken; none while too few are free."""
        suiting = [worker for worker in self._workers.values() if worker.suits(need)]
        fresh = [worker for worker in suiting if worker.record.node_id not in left_out]
        if len(fresh) < need.seats:  # better the same again than nobody
            fresh = suiting
        free = [one for one in fresh if one.room > 0 and one.paused_until_ms <= now_ms]
        if len(free) < need.seats:
            return []
        chosen = sorted(free, key=Worker.rank)[: need.seats]
        choices = [Choice(worker.record.node_id, worker.why()) for worker in chosen]
        for worker in chosen:
            worker.in_flight += 1
        return choices

    def release(self, node_id: str, took_ms: float | None = None) -> None:
        """Its slot is free again; `took_ms` if it answered."""
        worker = self._workers[node_id]
        worker.in_flight -= 1
        if took_ms is not None:
            worker.answered += 1
            worker.failed_in_a_row = 0
            worker.window = min(worker.window_max, worker.window + WIDEN / worker.window)
            old = took_ms if worker.mean_ms is None else worker.mean_ms
            worker.mean_ms = old + (took_ms - old) * SPEED_SHARE

    def note_busy(self, node_id: str, now_ms: int) -> None:
        """It had no slot free: fewer at a time, and when others keep it busy, none for a moment."""
        worker = self._workers.get(node_id)
        if worker is None:
            return
        if worker.window <= worker.slots:
            worker.paused_until_ms = now_ms + PAUSE_MS_FIRST
            worker.window = max(1.0, worker.window * NARROW)
        else:
            worker.window = max(worker.slots, worker.window * NARROW)

    def note_failure(self, node_id: str, now_ms: int) -> None:
        """It declined, was silent or did not finish: others first, for a moment."""
        worker = self._workers.get(node_id)
        if worker is not None:
            pause_ms = min(PAUSE_MS_MAX, PAUSE_MS_FIRST << min(worker.failed_in_a_row, 8))
            worker.failed_in_a_row += 1
            worker.paused_until_ms = now_ms + pause_ms

    def note_without_answer(self, node_id: str) -> None:
        """Its model said nothing that is an answer: others first, without a pause. It may be the question."""
        worker = self._workers.get(node_id)
        if worker is not None:
            worker.failed_in_a_row = max(1, worker.failed_in_a_row)

    def mean_ms(self, node_id: str) -> float | None:
        """How long it took of late."""
        worker = self._workers.get(node_id)
        return None if worker is None else worker.mean_ms
