"""Parts of a benchmark in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

from psutil import Process


def say(word: str) -> None:
    """Tell whoever started this part."""
    print(word, flush=True)


@contextmanager
def part(*words: str) -> Generator[tuple[str, Process]]:
    """The benchmark itself, started with these words: what it says first, and the process."""
    with subprocess.Popen(
        [sys.executable, sys.argv[0], *words], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), Process(process.pid)
        finally:
            process.terminate()
            process.wait()
