"""What every key spent today, in one place for all dialects, durable; and the limits that keys have."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple

from dicast.base.errors import AdapterError
from dicast.gateway.asked_rounds import AskedRounds
from dicast.gateway.errors import GatewayError
from dicast.gateway.keys import KeyRecord

DAY_S = 86_400
NOBODY = "-"
"""Stands for whoever asks on this machine without a key."""
DAYS_KEPT = 400
"""A year and a month to compare with."""
USAGE_FILE = "gateway-usage.sqlite"
BUSY_S = 2.0
"""Another gateway on the same folder writes for microseconds."""

SPENDER: ContextVar[KeyRecord | None] = ContextVar("dicast_spender", default=None)
"""The key behind the request at hand: set by the guard, read where questions are asked."""


class Spent(NamedTuple):
    """What one key spent on one day (UTC)."""

    day: str
    key: str
    name: str
    rounds: int
    tokens: int


class Bill:
    """One question: what it took so far."""

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds
        self.tokens = 0

    def pay(self, rounds: int, tokens: int) -> None:
        """What the question really took."""
        self.rounds, self.tokens = rounds, tokens


class Ledger:
    """Counts by key and day, in a file of the state folder; without a folder in memory."""

    def __init__(self, state_dir: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._open: dict[str, tuple[int, int]] = {}
        """Rounds and tokens that the open questions of a key may take: they count, unwritten."""
        self._today = (0, "")
        path = ":memory:" if state_dir is None else str(state_dir / USAGE_FILE)
        try:
            if state_dir is not None:  # first, as SQLite gives the files beside it the mode of this one
                Path(path).touch(mode=0o600)
                Path(path).chmod(0o600)
            self._file = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            self._prepare()
            self.rounds = AskedRounds(self._file)
        except (sqlite3.Error, OSError) as error:
            raise AdapterError(
                "usage_unusable", f"{path} cannot be used: {error}.", "Move it away; a new one is made."
            ) from error

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def check(self, record: KeyRecord | None, rounds: int = 1) -> None:
        """Raise GatewayError `spend_limit` when the key has nothing left today for so many more rounds."""
        if record is None or (record.tokens_per_day is None and record.rounds_per_day is None):
            return
        spent, tokens = self.today(record.id)
        open_rounds, open_tokens = self._open.get(record.id, (0, 0))
        if rounds and record.rounds_per_day is not None and spent + open_rounds >= record.rounds_per_day:
            raise self._refusal(f"{record.rounds_per_day} rounds")
        if record.tokens_per_day is not None and tokens + open_tokens >= record.tokens_per_day:
            raise self._refusal(f"{record.tokens_per_day} tokens")

    @contextmanager
    def spending(self, record: KeyRecord | None, max_tokens: int, rounds: int = 1) -> Generator[Bill]:
        """One question of a key. While it is open all that it may take counts as spent; then what it took is
        written, before anybody is told its answer. What asks no other node opens no round."""
        self.check(record, rounds)
        bill = Bill(rounds)
        key = NOBODY if record is None else record.id
        self._promise(key, rounds, max_tokens)
        try:
            yield bill
        finally:
            self._promise(key, -rounds, -max_tokens)
            self._add(record, bill.rounds, bill.tokens)

    def today(self, key: str) -> tuple[int, int]:
        """Rounds and tokens of a key since 00:00 UTC."""
        query = "SELECT rounds, tokens FROM usage WHERE day = ? AND key = ?"
        row = self._file.execute(query, (self._day(), key)).fetchone()
        return (0, 0) if row is None else (row[0], row[1])

    def today_of_all(self) -> dict[str, tuple[int, int]]:
        """Rounds and tokens of every key that spent something since 00:00 UTC."""
        rows = self._file.execute("SELECT key, rounds, tokens FROM usage WHERE day = ?", (self._day(),))
        return {key: (rounds, tokens) for key, rounds, tokens in rows}

    def spent(self, days: int, key: str = "") -> Iterator[Spent]:
        """What was spent in so many days, newest first; by one key, or by all."""
        first = self._day(-days + 1)
        query = (
            "SELECT day, key, name, rounds, tokens FROM usage WHERE day >= ? AND (? = '' OR key = ?) "
            "ORDER BY day DESC, key"
        )
        return map(Spent._make, self._file.execute(query, (first, key, key)))

    def reset_unix_s(self) -> int:
        """When the day is over."""
        return (int(self._clock()) // DAY_S + 1) * DAY_S

    def _prepare(self) -> None:
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("PRAGMA synchronous = NORMAL")
        self._file.execute(
            "CREATE TABLE IF NOT EXISTS usage (day TEXT, key TEXT, name TEXT, rounds INTEGER, "
            "tokens INTEGER, PRIMARY KEY (day, key)) WITHOUT ROWID"
        )
        self._file.execute("DELETE FROM usage WHERE day < ?", (self._day(-DAYS_KEPT),))

    def _promise(self, key: str, rounds: int, tokens: int) -> None:
        before = self._open.pop(key, (0, 0))
        after = (before[0] + rounds, before[1] + tokens)
        if after != (0, 0):
            self._open[key] = after

    def _add(self, record: KeyRecord | None, rounds: int, tokens: int) -> None:
        key, name = (NOBODY, "") if record is None else (record.id, record.name)
        self._file.execute(
            "INSERT INTO usage VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET name = excluded.name, "
            "rounds = rounds + excluded.rounds, tokens = tokens + excluded.tokens",
            (self._day(), key, name, rounds, tokens),
        )

    def _day(self, offset: int = 0) -> str:
        number = int(self._clock()) // DAY_S + offset
        if self._today[0] != number:  # spelling it takes as long as writing it down
            self._today = number, time.strftime("%Y-%m-%d", time.gmtime(number * DAY_S))
        return self._today[1]

    def _refusal(self, limit: str) -> GatewayError:
        reset = self.reset_unix_s()
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(reset))
        error = GatewayError(
            "spend_limit",
            f"This key may spend {limit} a day, and has. It may ask again from {when}.",
            told={"reset_unix_s": reset},
        )
        error.retry_after_s = max(1, reset - int(self._clock()))
        return error
