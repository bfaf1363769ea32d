"""Open files: many systems give a program 256 or 1,024 of them until it asks for more."""

from __future__ import annotations

import resource
from contextlib import suppress

OPEN_FILES = 8_192
"""Every connection that a node or a gateway takes, twice over; a file that is not open costs nothing."""


def allow_open_files() -> int:
    """Ask for `OPEN_FILES`, or as many as the system lets this program have; how many it may have now."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if now != resource.RLIM_INFINITY and now < OPEN_FILES:
        wanted = OPEN_FILES if most == resource.RLIM_INFINITY else min(OPEN_FILES, most)
        with suppress(ValueError, OSError):  # macOS promises more than it gives
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
