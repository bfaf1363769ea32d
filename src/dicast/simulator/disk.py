"""What survives a crash: tables of records, written whole batches at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dicast.protocol.outputs import Delete, Put, Write


class Disk:
    """An atomic, durable store in memory."""

    def __init__(self, tables: Mapping[str, Mapping[str, bytes]] | None = None) -> None:
        self._tables = {name: dict(rows) for name, rows in (tables or {}).items()}

    def apply(self, writes: Sequence[Write]) -> None:
        """Make all of `writes` durable."""
        for write in writes:
            match write:
                case Put(table, key, value):
                    self._tables.setdefault(table, {})[key] = value
                case Delete(table, key):
                    self._tables.get(table, {}).pop(key, None)

    def tables(self) -> dict[str, dict[str, bytes]]:
        """A copy of everything, in key order, as a store loads it."""
        return {name: dict(sorted(rows.items())) for name, rows in sorted(self._tables.items())}

    def rows(self) -> int:
        """How many records it holds."""
        return sum(len(rows) for rows in self._tables.values())

    def octets(self) -> int:
        """How many bytes its values take."""
        return sum(len(value) for rows in self._tables.values() for value in rows.values())
