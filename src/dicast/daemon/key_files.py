"""The identity on disk: a key (`ncryptsec` with a password, else `nsec`) and the node secret beside it."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

from dicast.base.crypto import KeyPair
from dicast.base.errors import ConfigurationError, DicastError
from dicast.base.nip19 import decode_nsec, encode_nsec
from dicast.base.nip49 import decrypt_secret, encrypt_secret
from dicast.daemon.files import first_line
from dicast.daemon.paths import Paths
from dicast.protocol.settings import Identity

KEY_FILE_BYTES_MAX = 4096
"""An `ncryptsec` is 162 characters; more is another file."""
PASSWORD_BYTES_MAX = 4096
"""A password is a line; a larger file is a mistake."""
LOG_N = 16
"""NIP-49's scrypt cost: 64 MiB and about a tenth of a second, once a start."""
ENCRYPTED, PLAIN = "ncryptsec1", "nsec1"


def read_password(path: Path | None) -> str | None:
    """The first line of a password file; None when no file is named. Empty is refused."""
    if path is None:
        return None
    try:
        line = first_line(path, PASSWORD_BYTES_MAX)
    except OSError as error:
        raise ConfigurationError(
            "password_file_unreadable",
            f"password_file: {path} cannot be read: {error.strerror}.",
            "Name a file that holds the password in its first line.",
        ) from error
    if not line:
        raise ConfigurationError(
            "password_empty",
            f"password_file: {path} holds no password in its first line.",
            "Write one there, or leave --password-file out to keep the key unencrypted (mode 0600).",
        )
    return line


def identity_exists(paths: Paths) -> bool:
    """Whether a key is stored."""
    return paths.key.exists()


def is_encrypted(paths: Paths) -> bool:
    """Whether the stored key needs a password."""
    return _read_key_text(paths).startswith(ENCRYPTED)


def load_identity(paths: Paths, password: str | None) -> Identity:
    """The stored identity. Raises ConfigurationError: missing, needs a password, wrong password, damaged."""
    key = KeyPair(_secret_of(_read_key_text(paths), password, paths.key))
    return Identity(key, _read_node_secret(paths))


def load_or_create(paths: Paths, password: str | None) -> Identity:
    """The stored identity, or a new one where none is stored."""
    if not identity_exists(paths):
        create_identity(paths, password)
    return load_identity(paths, password)


def create_identity(paths: Paths, password: str | None, *, force: bool = False) -> Path | None:
    """A new key and node secret; an old one needs `force` and is kept: the backup's path is returned."""
    secret = secrets.token_bytes(32)
    while not _is_valid(secret):
        secret = secrets.token_bytes(32)
    return import_identity(paths, encode_nsec(secret), None, password, force=force)


def import_identity(
    paths: Paths, text: str, text_password: str | None, password: str | None, *, force: bool = False
) -> Path | None:
    """Store the key in `text` (`nsec1…`, `ncryptsec1…`, 64 hex digits); returns the old one's backup."""
    if identity_exists(paths) and not force:
        raise ConfigurationError(
            "identity_exists",
            f"An identity is stored in {paths.key} already.",
            "Use --force to replace it; the old one is kept as a backup.",
        )
    stored = _key_text(_secret_of(text.strip(), text_password, None), password)
    paths.prepare()
    backup = _back_up(paths)
    _write_private(paths.node_secret, secrets.token_hex(32) + "\n")
    _write_private(paths.key, stored + "\n")
    return backup


def change_password(paths: Paths, old: str | None, new: str | None) -> None:
    """Store the same key under another password; None stores it unencrypted."""
    secret = _secret_of(_read_key_text(paths), old, paths.key)
    _write_private(paths.key, _key_text(secret, new) + "\n")


def export_text(paths: Paths, password: str | None, export_password: str | None) -> str:
    """The key as `ncryptsec1…` under `export_password`, or as `nsec1…`."""
    return _key_text(_secret_of(_read_key_text(paths), password, paths.key), export_password)


def forget_identity(paths: Paths) -> Path | None:
    """Put the identity aside; returns the backup's path."""
    return _back_up(paths)


def _key_text(secret: bytes, password: str | None) -> str:
    if password is None:
        return encode_nsec(secret)
    if not password:
        raise ConfigurationError(
            "password_empty", "An empty password protects nothing.", "Name a file with a password in it."
        )
    return encrypt_secret(
        secret, password, salt=secrets.token_bytes(16), nonce=secrets.token_bytes(24), log_n=LOG_N
    )


def _read_key_text(paths: Paths) -> str:
    try:
        with paths.key.open("rb") as file:
            content = file.read(KEY_FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise ConfigurationError(
            "identity_missing", f"No identity is stored in {paths.state_dir}.", "Run `dicast identity new`."
        ) from None
    except OSError as error:
        raise ConfigurationError(
            "identity_unreadable", f"{paths.key} cannot be read: {error.strerror}.", ""
        ) from error
    return content[:KEY_FILE_BYTES_MAX].decode("ascii", "replace").strip()


def _secret_of(text: str, password: str | None, place: Path | None) -> bytes:
    if text.startswith(ENCRYPTED):
        return _decrypted(text, password)
    try:
        secret = decode_nsec(text) if text.startswith(PLAIN) else bytes.fromhex(text)
    except (DicastError, ValueError):
        secret = b""
    if not _is_valid(secret):
        where = f"{place}" if place else "What was given"
        raise ConfigurationError(
            "identity_damaged",
            f"{where} is no secret key.",
            "A key reads nsec1…, ncryptsec1… or 64 hex digits.",
        )
    return secret


def _decrypted(text: str, password: str | None) -> bytes:
    if password is None:
        raise ConfigurationError(
            "password_needed",
            "The identity is protected by a password.",
            "Name a file that holds it: --password-file FILE or DICAST_PASSWORD_FILE.",
        )
    try:
        return decrypt_secret(text, password)
    except DicastError:
        raise ConfigurationError(
            "password_wrong",
            "The password does not open the identity (or the key file is damaged).",
            "Check the file named by --password-file or DICAST_PASSWORD_FILE.",
        ) from None


def _is_valid(secret: bytes) -> bool:
    try:
        KeyPair(secret)
    except DicastError:
        return False
    return True


def _read_node_secret(paths: Paths) -> bytes:
    try:
        secret = bytes.fromhex(paths.node_secret.read_text("ascii").strip())
    except (OSError, ValueError):
        secret = b""
    if len(secret) != 32:
        raise ConfigurationError(
            "node_secret_damaged",
            f"{paths.node_secret} is missing or damaged; without it open rounds cannot be finished.",
            "Restore a copy, or store the key again: dicast identity import FILE --force.",
        )
    return secret


def _back_up(paths: Paths) -> Path | None:
    if not paths.key.exists():
        return None
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    target = paths.key.with_name(f"identity.{stamp}.{secrets.token_hex(3)}.bak")
    if paths.node_secret.exists():
        paths.node_secret.replace(target.with_name(f"node-secret.{target.name.split('.', 1)[1]}"))
    paths.key.replace(target)
    return target


def _write_private(path: Path, text: str) -> None:
    """Replace a file at once, readable by its owner only, on the disk before this returns."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
