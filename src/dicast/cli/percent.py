"""How far a long copy or download is, on standard error; it never goes back."""

from __future__ import annotations

import sys


class Percent:
    """A line that moves on a terminal, a line every tenth elsewhere."""

    def __init__(self) -> None:
        self._last = -1
        self._moves = sys.stderr.isatty()

    def show(self, done: int, size: int) -> None:
        """So much of so much is here. Less than before (a source turned out false) is not shown."""
        share = min(done, size) * 100 // max(1, size)
        if share <= self._last or (not self._moves and share % 10):
            return
        self._last = share
        sys.stderr.write(f"\r{share:3} % of {size / 1e6:,.1f} MB" if self._moves else f"{share} %\n")
        sys.stderr.flush()

    def end(self) -> None:
        """Nothing more comes."""
        if self._moves and self._last >= 0:
            sys.stderr.write("\n")
