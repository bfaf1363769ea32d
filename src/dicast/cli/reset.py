"""`dicast reset`: delete stored rounds and certificates; the key stays unless it is named."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dicast.base.errors import ConfigurationError
from dicast.cli.common import DEFAULTS, Common
from dicast.cli.output import note, print_result
from dicast.daemon.instance_lock import InstanceLock
from dicast.daemon.key_files import forget_identity
from dicast.daemon.paths import Paths

Flag = Annotated[bool, Parameter(negative="")]


def reset(*, yes: Flag = False, identity: Flag = False, common: Common = DEFAULTS) -> None:
    """Delete this node's stored rounds, certificates and what it knows of others.

    Parameters
    ----------
    yes
        Do not ask.
    identity
        Also put the key aside (a backup is kept).
    """
    paths = common.paths()
    doomed = _store_files(paths)
    if not paths.state_dir.exists() or not (doomed or identity):
        print_result({"removed": []}, f"Nothing is stored in {paths.state_dir}.", common.json)
        return
    lock = InstanceLock(paths)
    try:
        if not yes:
            _confirm(f"Delete all stored rounds and certificates in {paths.state_dir}?")
        for path in doomed:
            path.unlink(missing_ok=True)
        backup = forget_identity(paths) if identity else None
    finally:
        lock.release()
    if backup is not None:
        note(f"The old identity is kept in {backup}.")
    removed = [str(path) for path in doomed]
    print_result({"removed": removed, "backup": str(backup) if backup else None}, "Deleted.", common.json)


def _store_files(paths: Paths) -> list[Path]:
    names = (paths.store.name, f"{paths.store.name}-wal", f"{paths.store.name}-shm")
    return [path for path in (paths.state_dir / name for name in names) if path.exists()]


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "not_confirmed", "Nothing was deleted: nobody can be asked here.", "Say --yes."
        )
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ConfigurationError("not_confirmed", "Nothing was deleted.", "")
