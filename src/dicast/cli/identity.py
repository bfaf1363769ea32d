"""`dicast identity`: the node's key."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from dicast.base.errors import ConfigurationError
from dicast.base.nip19 import encode_npub
from dicast.cli.common import DEFAULTS, Common, OrStandardInput
from dicast.cli.output import note, print_result
from dicast.daemon import key_files
from dicast.daemon.instance_lock import InstanceLock

app = App(
    name="identity",
    help="The node's key. With a password it is stored as an ncryptsec (NIP-49), without one as an nsec "
    "that only you can read (mode 0600).",
    help_format="plaintext",
)
Flag = Annotated[bool, Parameter(negative="")]


@app.command
def new(*, force: Flag = False, common: Common = DEFAULTS) -> None:
    """Make a new key and store it.

    Parameters
    ----------
    force
        Replace a stored key; the old one is kept as a backup.
    """
    lock = InstanceLock(common.paths())
    try:
        backup = key_files.create_identity(common.paths(), common.password(), force=force)
    finally:
        lock.release()
    _say_backup(backup)
    _print_identity(common)


@app.command
def show(*, common: Common = DEFAULTS) -> None:
    """Print the public key."""
    _print_identity(common)


@app.command(name="import")
def import_(
    source: OrStandardInput,
    /,
    *,
    key_password_file: Path | None = None,
    force: Flag = False,
    common: Common = DEFAULTS,
) -> None:
    """Store a key that you have.

    Parameters
    ----------
    source
        A file with one line: nsec1…, ncryptsec1… or 64 hex digits; - reads standard input.
    key_password_file
        A file with the password of the ncryptsec1… that is read.
    force
        Replace a stored key; the old one is kept as a backup.
    """
    lock = InstanceLock(common.paths())
    try:
        backup = key_files.import_identity(
            common.paths(),
            _read_source(source),
            key_files.read_password(key_password_file),
            common.password(),
            force=force,
        )
    finally:
        lock.release()
    _say_backup(backup)
    _print_identity(common)


@app.command
def export(
    *, export_password_file: Path | None = None, plain: Flag = False, common: Common = DEFAULTS
) -> None:
    """Print the secret key, encrypted by a password.

    Parameters
    ----------
    export_password_file
        A file with the password that protects the printed ncryptsec1….
    plain
        Print the secret itself (nsec1…). Whoever reads it is you.
    """
    password = key_files.read_password(export_password_file)
    if password is None and not plain:
        raise ConfigurationError(
            "export_unprotected",
            "The exported key would be readable by anybody.",
            "Name --export-password-file FILE, or say --plain.",
        )
    text = key_files.export_text(common.paths(), common.password(), password)
    print_result({"key": text}, text, common.json)


@app.command
def password(
    *, new_password_file: Path | None = None, remove: Flag = False, common: Common = DEFAULTS
) -> None:
    """Change the password of the stored key.

    Parameters
    ----------
    new_password_file
        A file whose first line is the new password.
    remove
        Store the key without a password (mode 0600).
    """
    changed = key_files.read_password(new_password_file)
    if (changed is None) != remove:
        raise ConfigurationError(
            "password_unclear",
            "Say which password is wanted.",
            "Name --new-password-file FILE, or say --remove.",
        )
    key_files.change_password(common.paths(), common.password(), changed)
    note("The password was removed." if remove else "The password was changed.")


def _print_identity(common: Common) -> None:
    identity = key_files.load_identity(common.paths(), common.password())
    value = {
        "node_id": identity.node_id,
        "npub": encode_npub(identity.node_id),
        "encrypted": key_files.is_encrypted(common.paths()),
        "file": str(common.paths().key),
    }
    protection = "ncryptsec, needs its password" if value["encrypted"] else "nsec, readable by you only"
    text = f"npub     {value['npub']}\nnode id  {value['node_id']}\nstored   {value['file']} ({protection})"
    print_result(value, text, common.json)


def _say_backup(backup: Path | None) -> None:
    if backup is not None:
        note(f"The old identity is kept in {backup}.")


def _read_source(source: str) -> str:
    if source == "-":
        return sys.stdin.read(key_files.KEY_FILE_BYTES_MAX)
    try:
        with Path(source).open("rb") as file:
            return file.read(key_files.KEY_FILE_BYTES_MAX).decode("ascii", "replace")
    except OSError as error:
        hint = (
            "A key itself is never an argument: other users could read it."
            if source.startswith("nsec")
            else ""
        )
        raise ConfigurationError(
            "identity_unreadable", f"The key file cannot be read: {error.strerror}.", hint
        ) from error
