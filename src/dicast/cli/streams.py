"""Standard streams that are closed, full or no longer read: no traceback, and an exit code that says so."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress

FAILED = 1
"""`Exit.FAILED`, without importing it: `--version` stays quick."""


def open_missing() -> None:
    """Python sets a stream to None that its caller had closed; then the next file would take its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 (for the whole run)


def is_about_output(error: OSError) -> bool:
    """Whether this is a write to a stream, not a file: nobody reads it, or its disk is full."""
    return error.filename is None and error.errno in (errno.EPIPE, errno.ENOSPC, errno.EIO)


def give_up_output(error: OSError) -> int:
    """Let what is still buffered go nowhere; the exit code. A reader that left needs no explanation."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno != errno.EPIPE:
        with suppress(OSError, ValueError):
            sys.stderr.write(f"error: standard output cannot be written: {error.strerror} [output_failed]\n")
    return FAILED
