"""The store's in-memory twin: the same answers as `sqlite`, gone with the process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import assert_never

from dicast.base.errors import LocalProtocolError
from dicast.protocol.outputs import Delete, Put, Write


class MemoryStore:
    """Records in a dictionary per table."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[str, bytes]] = {}
        self._closed = False

    def apply(self, writes: Sequence[Write]) -> None:
        """Make all of `writes` so, in order."""
        self._check_open()
        for write in writes:
            match write:
                case Put(table=table, key=key, value=value):
                    self._tables.setdefault(table, {})[key] = value
                case Delete(table=table, key=key):
                    self._tables.get(table, {}).pop(key, None)
                case _:
                    assert_never(write)

    def load(self, table: str) -> Iterator[tuple[str, bytes]]:
        """Every (key, value) of a table, in key order."""
        self._check_open()
        return iter(sorted(self._tables.get(table, {}).items()))

    def get(self, table: str, key: str) -> bytes | None:
        """One value, or None."""
        self._check_open()
        return self._tables.get(table, {}).get(key)

    def close(self) -> None:
        """Forget everything; harmless when repeated."""
        self._closed = True
        self._tables.clear()

    def _check_open(self) -> None:
        if self._closed:
            raise LocalProtocolError("store_closed", "The store was closed before this call.")
