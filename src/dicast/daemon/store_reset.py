"""Emptying a store without forgetting what was said once: a node that forgot that would contradict itself."""

from __future__ import annotations

from pathlib import Path

from dicast.protocol.outputs import Put
from dicast.protocol.records import Table

SAID_ONCE = (Table.COMMITTED, Table.SIGNED, Table.COUNTER)
"""The rounds committed to and signed in, and the sequence of announcements: a second word is evidence."""


def forget_rounds(path: Path) -> None:
    """Put a new store in the place of the one at `path`, with nothing in it but what was said once.

    The caller holds the state folder's lock. Raises AdapterError; then the old store is there as it was.
    """
    from dicast.stores.sqlite import SqliteStore

    old = SqliteStore(path)
    try:
        kept = [Put(table.value, key, value) for table in SAID_ONCE for key, value in old.load(table.value)]
    finally:
        old.close()
    fresh = path.with_name(f"{path.name}.fresh")
    remove_store(fresh)
    new = SqliteStore(fresh)
    try:
        new.apply(kept)
    finally:
        new.close()
    fresh.replace(path)


def remove_store(path: Path) -> None:
    """Delete a store and what SQLite keeps beside it; harmless when nothing is there."""
    for file in store_files(path):
        file.unlink(missing_ok=True)


def store_files(path: Path) -> list[Path]:
    """The files of a store that are there."""
    return [
        file
        for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm")))
        if file.exists()
    ]
