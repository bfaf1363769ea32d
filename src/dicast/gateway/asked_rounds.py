"""Which key asked which round: keys that may not look still get the certificates of their answers."""

from __future__ import annotations

import sqlite3

from dicast.gateway.keys import KeyRecord, Scope

ROUNDS_KEPT = 8_192
"""Of all keys: the node forgets certificates much sooner."""


class AskedRounds:
    """The newest rounds of keys that may not look at everybody's, in the ledger's file."""

    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file
        file.execute("CREATE TABLE IF NOT EXISTS asked (n INTEGER PRIMARY KEY, round TEXT, key TEXT)")
        file.execute("CREATE INDEX IF NOT EXISTS asked_round ON asked (round, key)")

    def keep(self, record: KeyRecord | None, request_id: str) -> None:
        """A round was asked with this key, before its answer is told."""
        if record is None or Scope.READ in record.scopes:
            return
        added = self._file.execute("INSERT INTO asked (round, key) VALUES (?, ?)", (request_id, record.id))
        self._file.execute("DELETE FROM asked WHERE n <= ?", ((added.lastrowid or 0) - ROUNDS_KEPT,))

    def is_of(self, record: KeyRecord | None, request_id: str) -> bool:
        """Whether it was asked with this key."""
        if record is None:
            return False
        query = "SELECT 1 FROM asked WHERE round = ? AND key = ? LIMIT 1"
        return self._file.execute(query, (request_id, record.id)).fetchone() is not None
