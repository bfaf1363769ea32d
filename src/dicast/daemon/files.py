"""Writing a file whole or not at all."""

from __future__ import annotations

import secrets
from pathlib import Path

from dicast.base.errors import AdapterError


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
