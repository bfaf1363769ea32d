"""`dicast reset`: delete stored rounds and certificates; the key stays unless it is named."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from dicast.base.errors import AdapterError, ConfigurationError
from dicast.cli.common import DEFAULTS, Common
from dicast.cli.output import note, print_result
from dicast.daemon.instance_lock import InstanceLock
from dicast.daemon.key_files import forget_identity
from dicast.daemon.paths import Paths
from dicast.daemon.store_reset import SAID_ONCE, forget_rounds, remove_store, store_files

Flag = Annotated[bool, Parameter(negative="")]


def reset(*, yes: Flag = False, identity: Flag = False, common: Common = DEFAULTS) -> None:
    """Delete this node's stored rounds, certificates and what it knows of others.

    What it committed to and signed is kept while the key is: it must not say it a second time.

    Parameters
    ----------
    yes
        Do not ask.
    identity
        Also put the key aside (a backup is kept).
    """
    paths = common.paths()
    doomed = store_files(paths.store)
    if not paths.state_dir.exists() or not (doomed or identity):
        print_result({"removed": []}, f"Nothing is stored in {paths.state_dir}.", common.json)
        return
    lock = InstanceLock(paths)
    try:
        if not yes:
            _confirm(f"Delete all stored rounds and certificates in {paths.state_dir}?")
        if identity:
            remove_store(paths.store)
        elif doomed:
            _forget_rounds(paths)
        backup = forget_identity(paths) if identity else None
    finally:
        lock.release()
    if backup is not None:
        note(f"The old identity is kept in {backup}.")
    kept = [] if identity else [table.value for table in SAID_ONCE]
    value = {
        "removed": [str(path) for path in doomed],
        "kept": kept,
        "backup": str(backup) if backup else None,
    }
    text = "Deleted." if identity else "Deleted. What this node committed to and signed is kept."
    print_result(value, text, common.json)


def _forget_rounds(paths: Paths) -> None:
    try:
        forget_rounds(paths.store)
    except AdapterError as error:
        if error.code != "store_damaged":
            raise
        raise AdapterError(
            "store_damaged",
            f"{error.message} Nothing was deleted: what this node committed to cannot be read.",
            "Start anew under another key with `dicast reset --identity`; or move the file away and wait "
            "an hour, the longest round, before `dicast up`.",
        ) from error


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "not_confirmed", "Nothing was deleted: nobody can be asked here.", "Say --yes."
        )
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ConfigurationError("not_confirmed", "Nothing was deleted.", "")
