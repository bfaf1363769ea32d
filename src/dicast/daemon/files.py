"""Writing a file whole or not at all; reading the one line of a file that holds a secret."""

from __future__ import annotations

import secrets
from pathlib import Path

from dicast.base.errors import AdapterError, ConfigurationError


def write_file(path: Path, content: bytes) -> None:
    """Put `content` where `path` says, replacing what was there. Raises AdapterError."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise AdapterError(
            "file_unwritable", f"{path} cannot be written: {error.strerror}.", "Name another file."
        ) from error


def first_line(path: Path, bytes_max: int) -> str:
    """The first line of a file; empty when it is no text, or larger than `bytes_max`. Raises OSError."""
    with path.open("rb") as file:
        content = file.read(bytes_max + 1)
    try:
        line = content.decode().split("\n", 1)[0].rstrip("\r")
    except UnicodeDecodeError:
        return ""
    return line if len(content) <= bytes_max else ""


def check_writable(path: Path, key: str, *, make_folder: bool = False) -> None:
    """Raise ConfigurationError where `write_file` could not write, before its content was paid for."""
    hint = "Name a file in a folder of yours."
    try:
        if path.is_dir():
            raise ConfigurationError("file_unwritable", f"{key}: {path} is a folder.", hint)
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        probe = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        probe.touch(exist_ok=False)
        probe.unlink()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(
            "file_unwritable", f"{key}: {path} cannot be written: {reason}.", hint
        ) from error
