"""When each of many things is due: the earliest is known without a look at all of them."""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

K = TypeVar("K")

STALE_MIN = 64
"""Entries that hold no longer: with more than these and those that do hold, the heap is made anew."""


class Agenda(Generic[K]):
    """A time for each key. What is due stays due until it is put off or dropped."""

    __slots__ = ("_entries", "_heap", "_serial")

    def __init__(self) -> None:
        self._entries: dict[K, tuple[int, int]] = {}
        self._heap: list[tuple[int, int, K]] = []
        self._serial = 0

    def put(self, key: K, due_ms: int) -> None:
        """`key` is due then, and no longer when it was."""
        known = self._entries.get(key)
        if known is None:
            self._serial += 1
            entry = (due_ms, self._serial)
        elif known[0] == due_ms:
            return
        else:
            entry = (due_ms, known[1])
        self._entries[key] = entry
        heapq.heappush(self._heap, (*entry, key))
        if len(self._heap) > 2 * len(self._entries) + STALE_MIN:
            self._heap = [(*one, name) for name, one in self._entries.items()]
            heapq.heapify(self._heap)
        self._tidy()

    def drop(self, key: K) -> None:
        """`key` is never due; harmless when it was not anyway."""
        if self._entries.pop(key, None) is not None:
            self._tidy()

    @property
    def deadline_ms(self) -> int | None:
        """When the next of them is due."""
        return self._heap[0][0] if self._heap else None

    def due(self, now_ms: int) -> list[K]:
        """Everything whose time has come, in the order in which it was first put."""
        found: dict[int, K] = {}
        places = [0]
        while places:
            place = places.pop()
            if place < len(self._heap) and self._heap[place][0] <= now_ms:
                entry = self._heap[place]
                if self._holds(entry):
                    found[entry[1]] = entry[2]
                places += (2 * place + 1, 2 * place + 2)
        return [found[serial] for serial in sorted(found)]

    def __len__(self) -> int:
        return len(self._entries)

    def _tidy(self) -> None:
        """What lies on top of the heap holds."""
        while self._heap and not self._holds(self._heap[0]):
            heapq.heappop(self._heap)

    def _holds(self, entry: tuple[int, int, K]) -> bool:
        return self._entries.get(entry[2]) == entry[:2]
