"""Writes batches for ever and says each number on stdout once `apply` has returned; killed by its parent.

Batch n writes the keys n/0, n/1, n/2 with the value n, deletes what batch n - 40 wrote, and replaces `last`.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from dicast.protocol.outputs import Delete, Put, Write
from dicast.stores.sqlite import SqliteStore

KEPT_BATCHES = 40


def main() -> None:
    store = SqliteStore(Path(sys.argv[1]))
    last = store.get("state", "last")
    for number in itertools.count(0 if last is None else int(last) + 1):
        value = b"%d" % number
        writes: list[Write] = [
            Put("batch", f"{number:08}/{part}", value * (1 + 997 * part)) for part in range(3)
        ]
        writes += [Delete("batch", f"{number - KEPT_BATCHES:08}/{part}") for part in range(3)]
        store.apply([*writes, Put("state", "last", value)])
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


main()
