"""A `dicast` command that dies with the process that started it: `python -m dicast.cli.leash PID …`."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress

PR_SET_PDEATHSIG = 1
"""See `man prctl`: the kernel kills this process when its parent ends, however it ends."""


def main(arguments: list[str]) -> int:
    """Tie this process to its parent, then run the rest as a command line."""
    parent, *words = arguments
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # it ended before the leash was on
        return 1
    from dicast.cli.__main__ import main as run

    return run(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
