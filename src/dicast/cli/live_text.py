"""A provisional text on a terminal: dim, word by word, until the verdict."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TextIO

from dicast.cli.output import printable
from dicast.client_channel import Event
from dicast.daemon.provisional import Piece, Provisional

DIM, PLAIN = "\x1b[2m", "\x1b[0m"


class LiveText:
    """Writes what is told before the verdict; nothing where no terminal shows it."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = sys.stderr if out is None else out
        self._provisional = Provisional()
        self._is_open = False
        self._was_shown = False

    def hear(self, event: Event) -> None:
        """One event of the ask."""
        piece = self._provisional.hear(event)
        if piece is not None and self._out.isatty():
            self._show(piece)

    def interrupt(self) -> None:
        """Something else goes to the terminal."""
        if self._is_open:
            self._is_open = False
            self._write(PLAIN + "\n")

    def _show(self, piece: Piece) -> None:
        if piece.restarted:
            self.interrupt()
            self._write(f"{DIM}another node answers; the text above is void{PLAIN}\n")
            self._was_shown = False
        if not self._is_open:
            self._is_open = True
            self._write(DIM + ("… " if self._was_shown else "provisional: "))
        self._was_shown = True
        self._write(printable(piece.text))

    def _write(self, text: str) -> None:
        with suppress(OSError):
            self._out.write(text)
            self._out.flush()
