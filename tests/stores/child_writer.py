"""Forks a writer for each line on stdin (the store's path), waits for its death, says `dead`, and so on.

The writer says `writer PID`, then each batch's number once `apply` has returned. Batch n writes the keys n/0,
n/1 and n/2, deletes what batch n - 40 wrote, and replaces `last`. Forking saves an import a death.
"""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

from dicast.protocol.outputs import Delete, Put, Write
from dicast.stores.sqlite import SqliteStore

KEPT_BATCHES = 40


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def write_for_ever(path: Path) -> None:
    say(f"writer {os.getpid()}")
    store = SqliteStore(path)
    last = store.get("state", "last")
    for number in itertools.count(0 if last is None else int(last) + 1):
        value = b"%d" % number
        writes: list[Write] = [
            Put("batch", f"{number:08}/{part}", value * (1 + 997 * part)) for part in range(3)
        ]
        writes += [Delete("batch", f"{number - KEPT_BATCHES:08}/{part}") for part in range(3)]
        store.apply([*writes, Put("state", "last", value)])
        say(str(number))


for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        write_for_ever(Path(line.strip()))
    os.waitpid(pid, 0)
    say("dead")
