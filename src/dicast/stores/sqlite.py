"""The durable store: one SQLite file, one writer, a batch of writes a transaction."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import assert_never

from dicast.base.errors import AdapterError, LocalProtocolError
from dicast.protocol.outputs import Delete, Put, Write
from dicast.stores.migrations import migrate

STORE_BYTES_MAX = 1 << 30  # some ten thousand certificates; a node must not eat a disk by itself
PAGE_BYTES = 4096  # SQLite's default, said aloud because the limit is counted in pages
JOURNAL_BYTES_MAX = 4 << 20  # what the write-ahead log shrinks to after a burst
LOAD_ROWS_PER_PAGE = 64  # a table is read in pages, so that listing certificates costs no memory


class SqliteStore:
    """Records in `path`, held by this process alone until `close`. May be called from several threads."""

    def __init__(self, path: Path, *, bytes_max: int = STORE_BYTES_MAX) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        try:
            _create_private(path)
            self._connection = _connect(path)
            _configure(self._connection, bytes_max)
            migrate(self._connection, str(path))
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise _translated(error, path) from error
        except BaseException:
            self.close()
            raise

    def apply(self, writes: Sequence[Write]) -> None:
        """Make all of `writes` durable, or none; when this returns they are on the disk."""
        with self._lock:
            connection = self._open_connection()
            if not writes:
                return
            try:
                connection.execute("BEGIN IMMEDIATE")
                for write in writes:
                    _write(connection, write)
                connection.execute("COMMIT")
            except BaseException as error:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise _translated(error, self._path) from error
                raise

    def load(self, table: str) -> Iterator[tuple[str, bytes]]:
        """Every (key, value) of a table, in key order, read a page at a time as the caller goes on."""
        page = self._query("SELECT key, value FROM record WHERE place = ? ORDER BY key LIMIT ?", table)
        return self._pages(table, page)

    def get(self, table: str, key: str) -> bytes | None:
        """One value, or None."""
        with self._lock:
            connection = self._open_connection()
            try:
                row = connection.execute(
                    "SELECT value FROM record WHERE place = ? AND key = ?", (table, key)
                ).fetchone()
            except sqlite3.Error as error:
                raise _translated(error, self._path) from error
        return None if row is None else bytes(row[0])

    def close(self) -> None:
        """Release the file; harmless when repeated."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                with suppress(sqlite3.Error):  # what was acknowledged is in the log already
                    connection.close()

    def _pages(self, table: str, page: list[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
        while page:
            yield from page
            page = self._query(
                "SELECT key, value FROM record WHERE place = ? AND key > ? ORDER BY key LIMIT ?",
                table,
                page[-1][0],
            )

    def _query(self, query: str, *arguments: str) -> list[tuple[str, bytes]]:
        with self._lock:
            connection = self._open_connection()
            try:
                return connection.execute(query, (*arguments, LOAD_ROWS_PER_PAGE)).fetchall()
            except sqlite3.Error as error:
                raise _translated(error, self._path) from error

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise LocalProtocolError("store_closed", "The store was closed before this call.")
        return self._connection


def _write(connection: sqlite3.Connection, write: Write) -> None:
    match write:
        case Put(table=table, key=key, value=value):
            connection.execute(
                "INSERT INTO record VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
                (table, key, value),
            )
        case Delete(table=table, key=key):
            connection.execute("DELETE FROM record WHERE place = ? AND key = ?", (table, key))
        case _:
            assert_never(write)


def _create_private(path: Path) -> None:
    """An empty file that only its owner reads; SQLite's log beside it takes the same mode.

    An existing file is never opened here: closing any descriptor of it would drop SQLite's own locks.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)


def _configure(connection: sqlite3.Connection, bytes_max: int) -> None:
    """One process, write-ahead log, every commit on the disk before it returns."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # taken at the first write, kept until close
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES_MAX}")
    connection.execute(f"PRAGMA max_page_count = {max(1, bytes_max // PAGE_BYTES)}")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("COMMIT")


_FULL = (
    "store_full",
    "The disk is full, or the store has reached its limit: {path}.",
    "Free some space, or `dicast reset` old rounds; nothing acknowledged was lost.",
)
_READ_ONLY = (
    "store_read_only",
    "The store cannot be written: {path}.",
    "Make the file and its folder writable for this user, or name another state folder.",
)
_DAMAGED = (
    "store_damaged",
    "The store is damaged: {path}.",
    "Move it away and start again (the identity is kept apart from it), or restore a copy.",
)
_IN_USE = (
    "store_in_use",
    "Another process holds the store: {path}.",
    "Stop the other node, or start this one with another state folder.",
)
_FAILED = ("store_failed", "The store failed: {path}.", "Look at the disk and the system's log.")

_BY_SQLITE_CODE = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_TOOBIG: _FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_ERROR: _DAMAGED,  # a table that is not there: somebody else changed the file
    sqlite3.SQLITE_BUSY: _IN_USE,
    sqlite3.SQLITE_LOCKED: _IN_USE,
}
_BY_ERRNO = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _READ_ONLY,
    errno.EPERM: _READ_ONLY,
    errno.ENOTDIR: _READ_ONLY,
    errno.EEXIST: _READ_ONLY,
}


def _translated(error: OSError | sqlite3.Error, path: Path) -> AdapterError:
    if isinstance(error, OSError):
        code, message, next_step = _BY_ERRNO.get(error.errno or 0, _FAILED)
    else:
        primary = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte names the family
        code, message, next_step = _BY_SQLITE_CODE.get(primary, _FAILED)
    return AdapterError(code, f"{message.format(path=path)} ({error})", next_step)
