"""The store's schema as numbered steps: a step once released is never edited, a change is a new step."""

from __future__ import annotations

import sqlite3
from importlib import metadata

import msgspec

from dicast.base.errors import AdapterError

APPLICATION_ID = 0x44696361  # "Dica": tells our file from any other SQLite file


class Migration(msgspec.Struct, frozen=True):
    """One step of the schema: applied whole in one transaction, recorded by number and name."""

    number: int
    name: str
    statements: tuple[str, ...]


# Values may be large (a certificate), so the table keeps its row ids: SQLite's WITHOUT ROWID form is for
# small rows. `migration` must keep its shape for ever: an older program reads it to say who is newer.
MIGRATIONS = (
    Migration(
        number=1,
        name="records",
        statements=(
            "CREATE TABLE migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL, program TEXT NOT NULL)",
            "CREATE TABLE record (place TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, "
            "PRIMARY KEY (place, key))",
        ),
    ),
)


def migrate(
    connection: sqlite3.Connection, path: str, migrations: tuple[Migration, ...] = MIGRATIONS
) -> None:
    """Bring a store to the newest schema, a step a transaction; refuse a newer one, or a foreign file."""
    version = _number(connection, "PRAGMA user_version")
    _check_ours(connection, path, version)
    newest = migrations[-1].number
    if version > newest:
        raise _too_new(connection, path, version, newest)
    for migration in migrations:
        if migration.number > version:
            _take_step(connection, migration)


def program_name() -> str:
    """This program by name and version, as it is recorded beside each step."""
    try:
        return f"dicast {metadata.version('dicast')}"
    except metadata.PackageNotFoundError:
        return "dicast (not installed)"


def _take_step(connection: sqlite3.Connection, migration: Migration) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in migration.statements:
            connection.execute(statement)
        connection.execute(
            "INSERT INTO migration VALUES (?, ?, ?)", (migration.number, migration.name, program_name())
        )
        connection.execute(f"PRAGMA user_version = {migration.number}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _check_ours(connection: sqlite3.Connection, path: str, version: int) -> None:
    application = _number(connection, "PRAGMA application_id")
    tables = _number(connection, "SELECT count(*) FROM sqlite_schema")
    is_fresh = version == 0 and application == 0 and tables == 0
    if not is_fresh and application != APPLICATION_ID:
        raise AdapterError(
            "store_damaged",
            f"{path} is an SQLite file, but not a Dicast store.",
            "Move it away, or name another state folder.",
        )


def _too_new(connection: sqlite3.Connection, path: str, version: int, newest: int) -> AdapterError:
    try:
        row = connection.execute(
            "SELECT name, program FROM migration WHERE number = ?", (version,)
        ).fetchone()
    except sqlite3.OperationalError:
        row = None
    name, program = row or ("unnamed", "a newer program")
    return AdapterError(
        "store_too_new",
        f"{path} was brought to store version {version} ({name}) by {program}; "
        f"this is {program_name()}, which knows versions up to {newest}.",
        f"Upgrade to {program} or newer, or name another state folder.",
    )


def _number(connection: sqlite3.Connection, query: str) -> int:
    return int(connection.execute(query).fetchone()[0])
