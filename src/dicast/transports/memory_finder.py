"""A table of records in memory: the twin of a hash table over many machines, for tests and examples."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from dicast.ports import TransportHealth

RECORDS_A_KEY_MAX = 64
"""As many as one look-up in a real table brings; the oldest makes room."""


class MemoryTable:
    """What all finders of one process share."""

    def __init__(self) -> None:
        self.records: dict[str, dict[int, bytes]] = {}

    def put(self, key: str, owner: int, record: bytes) -> None:
        """Keep one record of an owner under a key."""
        under = self.records.setdefault(key, {})
        under.pop(owner, None)
        under[owner] = record
        while len(under) > RECORDS_A_KEY_MAX:
            del under[next(iter(under))]


class MemoryFinder:
    """One node's door to a `MemoryTable`."""

    record_bytes_max = 1000

    def __init__(self, table: MemoryTable, name: str = "memory") -> None:
        self.name = name
        self._table = table
        self._on_record: Callable[[bytes], None] | None = None
        self._keys: tuple[str, ...] = ()

    async def start(self, on_record: Callable[[bytes], None]) -> None:
        """Join."""
        self._on_record = on_record

    def provide(self, keys: Sequence[str], record: bytes) -> None:
        """Keep a record under these keys only."""
        self._forget()
        self._keys = tuple(keys)
        for key in keys:
            self._table.put(key, id(self), record)

    def find(self, key: str) -> None:
        """Hand over what is there, soon."""
        loop = asyncio.get_running_loop()
        for record in tuple(self._table.records.get(key, {}).values()):
            if self._on_record is not None:
                loop.call_soon(self._on_record, record)

    def health(self) -> TransportHealth:
        """Up between start and stop."""
        return TransportHealth(
            "down" if self._on_record is None else "up", f"{len(self._table.records)} keys"
        )

    async def stop(self) -> None:
        """Leave, and take the record along."""
        self._forget()
        self._on_record = None

    def _forget(self) -> None:
        for key in self._keys:
            self._table.records.get(key, {}).pop(id(self), None)
