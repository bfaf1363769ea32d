"""What this process holds in memory."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path


def resident_mb() -> int:
    """Resident memory in MB; where the system does not tell the present, the peak."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") // 1_000_000
    except (OSError, ValueError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak // (1_000_000 if sys.platform == "darwin" else 1_000)
