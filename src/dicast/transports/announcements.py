"""The announcements that came over one link, kept for those who come later."""

from __future__ import annotations

from collections.abc import Iterable

ANNOUNCEMENTS_MAX = 1024  # kept for newcomers of one link: as many peers as a node keeps
ANNOUNCEMENT_BYTES_MAX = 256 * 1024  # of one link; an announcement has about 1 kB


class Announcements:
    """The latest of each author, bounded. A forged one shadows none that came over another link."""

    def __init__(self) -> None:
        self._frames: dict[str, bytes] = {}
        self._bytes = 0

    def remember(self, author: str, frame: bytes) -> None:
        """Keep it in place of the author's last; the one heard longest ago makes room."""
        old = self._frames.pop(author, b"")
        self._bytes += len(frame) - len(old)
        self._frames[author] = frame
        while len(self._frames) > ANNOUNCEMENTS_MAX or self._bytes > ANNOUNCEMENT_BYTES_MAX:
            oldest = next(iter(self._frames))
            self._bytes -= len(self._frames.pop(oldest))

    def all(self) -> Iterable[bytes]:
        """What is remembered."""
        return self._frames.values()

    def clear(self) -> None:
        """Forget everything."""
        self._frames.clear()
        self._bytes = 0
