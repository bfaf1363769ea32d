"""Memory that forgets by time and by size; the time is an argument."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class SeenIds:
    """Ids seen within a window: two generations, so an id is kept between one and two windows.

    A full generation rotates early: memory stays below `2 * limit` ids, whatever is sent.
    """

    __slots__ = ("_limit", "_new", "_old", "_rotated_ms", "_rotates_ms", "_window_ms")

    def __init__(self, window_ms: int, limit: int) -> None:
        self._window_ms = window_ms
        self._limit = limit
        self._rotated_ms = 0
        self._rotates_ms = window_ms
        self._new: set[str | bytes] = set()
        self._old: set[str | bytes] = set()

    def add(self, seen_id: str | bytes, now_ms: int) -> bool:
        """Remember an id; False when it was remembered already."""
        if self.has(seen_id, now_ms):
            return False
        if len(self._new) >= self._limit:
            self._rotate(now_ms)
        self._new.add(seen_id)
        return True

    def has(self, seen_id: str | bytes, now_ms: int) -> bool:
        """Whether the id was added within the window."""
        if now_ms >= self._rotates_ms:
            self._forget(now_ms)
        return seen_id in self._new or seen_id in self._old

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def _forget(self, now_ms: int) -> None:
        age_ms = now_ms - self._rotated_ms
        if age_ms >= 2 * self._window_ms:
            self._new = set()
            self._rotate(now_ms)
        else:
            self._rotate(self._rotated_ms + self._window_ms)

    def _rotate(self, at_ms: int) -> None:
        self._old, self._new = self._new, set()
        self._rotated_ms = at_ms
        self._rotates_ms = at_ms + self._window_ms


class ExpiringMap(Generic[K, V]):
    """At most `limit` values, each until its own time; when full, the one put first makes room."""

    __slots__ = ("_entries", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: dict[K, tuple[int, V]] = {}

    def put(self, key: K, value: V, expires_ms: int) -> V | None:
        """Keep `value` until `expires_ms`; the value that had to make room for it, if any."""
        self._entries.pop(key, None)
        evicted = self._evict() if len(self._entries) >= self._limit else None
        self._entries[key] = (expires_ms, value)
        return evicted

    def get(self, key: K, now_ms: int) -> V | None:
        """The value of `key`, unless it expired."""
        entry = self._entries.get(key)
        return entry[1] if entry is not None and now_ms < entry[0] else None

    def pop(self, key: K) -> V | None:
        """Take the value of `key` out, expired or not."""
        entry = self._entries.pop(key, None)
        return None if entry is None else entry[1]

    def expire(self, now_ms: int) -> list[tuple[K, V]]:
        """Take out everything whose time has come, in the order it was put."""
        due = [(key, value) for key, (expires_ms, value) in self._entries.items() if now_ms >= expires_ms]
        for key, _ in due:
            del self._entries[key]
        return due

    @property
    def deadline_ms(self) -> int | None:
        """When the next value expires."""
        return min((expires_ms for expires_ms, _ in self._entries.values()), default=None)

    def items(self) -> Iterator[tuple[K, V]]:
        """Every key and value kept, in the order they were put, expired ones included."""
        return ((key, value) for key, (_, value) in self._entries.items())

    def __len__(self) -> int:
        return len(self._entries)

    def _evict(self) -> V | None:
        oldest = next(iter(self._entries), None)
        return None if oldest is None else self.pop(oldest)
