"""How far a batch is: a bar in a terminal, a line now and then elsewhere; never backwards."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from dicast.batch.book import Counts
from dicast.cli.output import note

LINE_EVERY_S = 10.0
"""In a log file: often enough to see that it lives."""


@contextmanager
def view(counts: Counts) -> Generator[Callable[[bool], None]]:
    """Call what this gives with every answered line: whether it has an answer."""
    if sys.stderr.isatty():
        with _bar(counts) as moved:
            yield moved
        return
    yield _Lines(counts).moved


class _Lines:
    def __init__(self, counts: Counts) -> None:
        self._total = counts.total
        self._done = counts.done
        self._failed = counts.failed
        self._began = self._told = time.monotonic()
        self._fresh = 0

    def moved(self, ok: bool) -> None:
        """A line was answered."""
        self._done += ok
        self._failed += not ok
        self._fresh += 1
        now = time.monotonic()
        finished = self._done + self._failed
        if now - self._told < LINE_EVERY_S and finished < self._total:
            return
        self._told = now
        rate = self._fresh / max(0.001, now - self._began)
        note(f"{finished} of {self._total} lines, {self._failed} without an answer, {rate:.1f} a second")


@contextmanager
def _bar(counts: Counts) -> Generator[Callable[[bool], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    failed = counts.failed
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(_words(failed), total=counts.total, completed=counts.done + failed)

        def moved(ok: bool) -> None:
            nonlocal failed
            failed += not ok
            progress.update(task, advance=1, description=_words(failed))

        yield moved


def _words(failed: int) -> str:
    return "" if not failed else f"{failed} without an answer"
