"""The durable book of batches: jobs, their lines, who was asked for each and why, and what was answered.

One SQLite file in the state folder. What is written together becomes durable together, before it is shown.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dicast.base.errors import AdapterError

FOLDER = "batches"
BOOK_FILE = "book.sqlite"
BUSY_S = 10.0
"""A second writer, such as `dicast batch` beside a gateway, writes for milliseconds; slow disks longer."""
NOTE_S = 0.05
"""How long what nobody waits for may wait for an answer to be written with: a sync of the disk saved."""
LINES_A_PAGE = 256
"""Lines fetched at a time: more than are asked at once."""
OPEN_STATES = ("validating", "in_progress", "finalizing", "cancelling")
"""States of jobs that somebody has to go on with."""
Statement = tuple[str, tuple[Any, ...]]

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS job (id TEXT PRIMARY KEY, owner TEXT, state TEXT, made_unix_s INTEGER, "
    "total INTEGER DEFAULT 0, done INTEGER DEFAULT 0, failed INTEGER DEFAULT 0, document BLOB)",
    # `ok` is NULL until the line is answered; `place` and `size` are where it stands in the input.
    "CREATE TABLE IF NOT EXISTS line (job TEXT, number INTEGER, place INTEGER, size INTEGER, "
    "ok INTEGER, result BLOB, PRIMARY KEY (job, number))",
    "CREATE TABLE IF NOT EXISTS lease (job TEXT, number INTEGER, attempt INTEGER, began_unix_ms INTEGER, "
    "request TEXT DEFAULT '', why BLOB, ended TEXT DEFAULT '', PRIMARY KEY (job, number, attempt))",
    "CREATE TABLE IF NOT EXISTS file (id TEXT PRIMARY KEY, owner TEXT, name TEXT, purpose TEXT, "
    "size INTEGER, made_unix_s INTEGER)",
)


class Line(NamedTuple):
    """One line of a job's input: its number from 0, and where it stands."""

    number: int
    place: int
    size: int


class Lease(NamedTuple):
    """Who was asked for a line, and why; `request` is empty until a round was opened."""

    attempt: int
    request: str
    why: bytes
    ended: str


class Counts(NamedTuple):
    """How far a job is."""

    total: int
    done: int
    failed: int

    @property
    def left(self) -> int:
        """Lines that are not answered yet."""
        return self.total - self.done - self.failed


class Book:
    """The book of one state folder. Reads are short; writes happen in a thread, many in one commit."""

    def __init__(self, state_dir: Path) -> None:
        self.folder = state_dir / FOLDER
        path = self.folder / BOOK_FILE
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._writer = _opened(path)
            for statement in _SCHEMA:
                self._writer.execute(statement)
            self._reader = _opened(path)
            path.chmod(0o600)
        except (OSError, sqlite3.Error) as error:
            raise AdapterError(
                "batches_unusable", f"{path} cannot be used: {error}.", "Is the disk full, or not yours?"
            ) from error
        self._waiting: list[tuple[tuple[Statement, ...], asyncio.Future[None] | None]] = []
        self._writing: asyncio.Task[None] | None = None
        self._later: asyncio.TimerHandle | None = None

    async def close(self) -> None:
        """Write what waits and give the file back."""
        while self._waiting or self._is_writing():
            self._begin()
            if self._writing is not None:
                await asyncio.wait({self._writing})
        self.shut()

    def shut(self) -> None:
        """Give the file back where nothing waits to be written."""
        self._writer.close()
        self._reader.close()

    async def write(self, *statements: Statement) -> None:
        """Durable when this returns: all of them or none. Raises AdapterError."""
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((statements, written))
        self._begin()
        await asyncio.shield(written)

    def note(self, *statements: Statement) -> None:
        """Durable soon, mostly with the next answer; a crash may lose it."""
        self._waiting.append((statements, None))
        self._begin_later()

    def _is_writing(self) -> bool:
        return self._writing is not None and not self._writing.done()

    def _begin(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if not self._is_writing():
            self._writing = asyncio.get_running_loop().create_task(self._write_all())

    def _begin_later(self) -> None:
        if self._later is None and not self._is_writing():
            self._later = asyncio.get_running_loop().call_later(NOTE_S, self._begin)

    async def _write_all(self) -> None:
        """A group a commit, until nobody waits for one."""
        is_wanted = True
        while is_wanted:
            group, self._waiting = self._waiting, []
            statements = [one for several, _ in group for one in several]
            error = await asyncio.to_thread(self._commit, statements)
            for _, written in group:
                if written is not None and not written.done():
                    _settle(written, error)
            is_wanted = any(written is not None for _, written in self._waiting)
        self._writing = None
        if self._waiting:
            self._begin_later()

    def _commit(self, statements: list[Statement]) -> AdapterError | None:
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            for statement, values in statements:
                self._writer.execute(statement, values)
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            return AdapterError(
                "batches_unwritable", f"Results cannot be kept: {error}.", "Is the disk full?"
            )
        return None

    # Jobs

    def job(self, job_id: str) -> tuple[str, str, bytes] | None:
        """State, owner and document of a job."""
        query = "SELECT state, owner, document FROM job WHERE id = ?"
        return self._reader.execute(query, (job_id,)).fetchone()

    def jobs(self, owner: str | None, after: str, most: int) -> list[str]:
        """Ids, newest first; of an owner or, with None, of all but command lines; after one of them."""
        query = (
            "SELECT id FROM job WHERE (owner = ? OR ? IS NULL) AND id LIKE 'batch_%' AND "
            "(? = '' OR rowid < (SELECT rowid FROM job WHERE id = ?)) ORDER BY rowid DESC LIMIT ?"
        )
        return [row[0] for row in self._reader.execute(query, (owner, owner, after, after, most))]

    def open_jobs(self) -> list[str]:
        """Ids of jobs that somebody has to go on with, oldest first."""
        query = "SELECT id FROM job WHERE state IN (?, ?, ?, ?) AND id LIKE 'batch_%' ORDER BY rowid"
        return [row[0] for row in self._reader.execute(query, OPEN_STATES)]

    def counts(self, job_id: str) -> Counts:
        """How far a job is."""
        query = "SELECT total, done, failed FROM job WHERE id = ?"
        return Counts(*(self._reader.execute(query, (job_id,)).fetchone() or (0, 0, 0)))

    # Lines

    def unanswered(self, job_id: str, after: int) -> list[Line]:
        """The next lines without an answer, in order."""
        query = (
            "SELECT number, place, size FROM line WHERE job = ? AND number > ? AND ok IS NULL "
            "ORDER BY number LIMIT ?"
        )
        return [Line(*row) for row in self._reader.execute(query, (job_id, after, LINES_A_PAGE))]

    def results(self, job_id: str, ok: bool | None = None) -> Iterator[tuple[int, bytes]]:
        """Numbers and results of answered lines, in order; only the good or the bad ones if told."""
        after = -1
        query = (
            "SELECT number, result FROM line WHERE job = ? AND number > ? AND ok IS NOT NULL "
            "AND (? IS NULL OR ok = ?) ORDER BY number LIMIT ?"
        )
        while page := self._reader.execute(query, (job_id, after, ok, ok, LINES_A_PAGE)).fetchall():
            yield from page
            after = page[-1][0]

    def leases(self, job_id: str, number: int) -> list[Lease]:
        """Who was asked for a line, in order."""
        query = "SELECT attempt, request, why, ended FROM lease WHERE job = ? AND number = ? ORDER BY attempt"
        return [Lease(*row) for row in self._reader.execute(query, (job_id, number))]

    def file(self, file_id: str) -> tuple[str, str, str, int, int] | None:
        """Owner, name, purpose, size and time of a file."""
        query = "SELECT owner, name, purpose, size, made_unix_s FROM file WHERE id = ?"
        return self._reader.execute(query, (file_id,)).fetchone()

    def files(self, owner: str | None, purpose: str, after: str, most: int) -> list[str]:
        """Ids of files, newest first."""
        query = (
            "SELECT id FROM file WHERE (owner = ? OR ? IS NULL) AND (? = '' OR purpose = ?) AND "
            "(? = '' OR rowid < (SELECT rowid FROM file WHERE id = ?)) ORDER BY rowid DESC LIMIT ?"
        )
        values = (owner, owner, purpose, purpose, after, after, most)
        return [row[0] for row in self._reader.execute(query, values)]

    def file_bytes(self, owner: str | None = None) -> int:
        """What files take, of one owner or of all."""
        query = "SELECT coalesce(sum(size), 0) FROM file WHERE ? IS NULL OR owner = ?"
        return self._reader.execute(query, (owner, owner)).fetchone()[0]


def new_job(job_id: str, owner: str, state: str, made_unix_s: int, document: msgspec.Struct) -> Statement:
    """A job without lines."""
    return (
        "INSERT INTO job (id, owner, state, made_unix_s, document) VALUES (?, ?, ?, ?, ?)",
        (job_id, owner, state, made_unix_s, msgspec.json.encode(document)),
    )


def change_job(job_id: str, state: str, document: msgspec.Struct) -> Statement:
    """A job's new state, and what is told of it."""
    return (
        "UPDATE job SET state = ?, document = ? WHERE id = ?",
        (state, msgspec.json.encode(document), job_id),
    )


def put_lines(job_id: str, lines: Iterable[Line]) -> list[Statement]:
    """The lines of a job; those that are there already stay as they are."""
    put = "INSERT OR IGNORE INTO line (job, number, place, size) VALUES (?, ?, ?, ?)"
    statements: list[Statement] = [(put, (job_id, *line)) for line in lines]
    count = "UPDATE job SET total = (SELECT count(*) FROM line WHERE job = ?) WHERE id = ?"
    return [*statements, (count, (job_id, job_id))]


def answer_line(job_id: str, number: int, ok: bool, result: bytes) -> tuple[Statement, ...]:
    """A line's one answer: a second one changes nothing."""
    count = (
        "UPDATE job SET done = done + ?, failed = failed + ? WHERE id = ? AND "
        "(SELECT ok FROM line WHERE job = ? AND number = ?) IS NULL"
    )
    keep = "UPDATE line SET ok = ?, result = ? WHERE job = ? AND number = ? AND ok IS NULL"
    return (
        (count, (int(ok), int(not ok), job_id, job_id, number)),
        (keep, (int(ok), result, job_id, number)),
    )


def begin_lease(job_id: str, number: int, attempt: int, why: bytes, now_unix_ms: int) -> Statement:
    """Somebody is asked for a line."""
    put = "INSERT OR REPLACE INTO lease (job, number, attempt, began_unix_ms, why) VALUES (?, ?, ?, ?, ?)"
    return put, (job_id, number, attempt, now_unix_ms, why)


def name_request(job_id: str, number: int, attempt: int, request_id: str) -> Statement:
    """The round that a lease opened."""
    put = "UPDATE lease SET request = ? WHERE job = ? AND number = ? AND attempt = ?"
    return put, (request_id, job_id, number, attempt)


def end_lease(job_id: str, number: int, attempt: int, ended: str) -> Statement:
    """How a lease ended."""
    put = "UPDATE lease SET ended = ? WHERE job = ? AND number = ? AND attempt = ?"
    return put, (ended, job_id, number, attempt)


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _settle(written: asyncio.Future[None], error: AdapterError | None) -> None:
    if error is None:
        written.set_result(None)
    else:
        written.set_exception(error)
