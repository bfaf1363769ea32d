"""What happened, as one digest (always) and as lines to read (when wanted)."""

from __future__ import annotations

import hashlib

FLUSH_PIECES = 512
"""Pieces gathered before they are hashed: one call for many is what keeps the digest cheap."""


class Trace:
    """Hashes every piece of history; keeps readable lines only when asked."""

    def __init__(self, *, keep_lines: bool = False) -> None:
        self.lines: list[str] = []
        self._keep_lines = keep_lines
        self._hash = hashlib.sha256()
        self._pieces: list[bytes] = []

    def record(self, piece: bytes) -> None:
        """Add one piece of history to the digest."""
        self._pieces.append(piece)
        if len(self._pieces) >= FLUSH_PIECES:
            self._flush()

    def line(self, at_ms: int, text: str) -> None:
        """Tell people about a moment."""
        if self._keep_lines:
            self.lines.append(f"{at_ms / 1000:9.3f} {text}")

    @property
    def keeps_lines(self) -> bool:
        """Whether somebody will read the lines: making them costs time."""
        return self._keep_lines

    def digest(self) -> str:
        """SHA-256 of the history so far, hex."""
        self._flush()
        return self._hash.copy().hexdigest()

    def _flush(self) -> None:
        self._hash.update(b"\n".join(self._pieces) + b"\n" if self._pieces else b"")
        self._pieces.clear()
