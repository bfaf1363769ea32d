"""One running node a state folder: a lock that the system lets go when the process dies."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

from dicast.base.errors import ConfigurationError
from dicast.daemon.paths import Paths


class InstanceLock:
    """Held from construction until `release` or the end of the process."""

    def __init__(self, paths: Paths) -> None:
        paths.prepare()
        self._descriptor = os.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            who = f"process {holder}" if holder.isdigit() else "another process"
            raise ConfigurationError(
                "already_running",
                f"state_dir: {paths.state_dir} is in use by {who}.",
                "One key runs once. Stop that node, or give this one a folder of its own: --state-dir DIR.",
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another node have the folder; harmless when repeated."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
            os.close(descriptor)
