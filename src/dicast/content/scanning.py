"""From a file to its manifest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from dicast.base.errors import AdapterError
from dicast.base.merkle import chunk_bytes, chunk_hash
from dicast.content.manifest import Manifest, make_manifest

Progress = Callable[[int, int], None]
"""(bytes that are here and right, bytes in all)"""


def scan(path: Path) -> Manifest:
    """The manifest of a file, in constant memory."""
    with path.open("rb") as file:
        return copy_and_hash(file, None, os.fstat(file.fileno()).st_size, silent)


def copy_and_hash(source: BinaryIO, target: BinaryIO | None, size: int, progress: Progress) -> Manifest:
    """Copy and hash at once. Raises AdapterError where the file changes meanwhile."""
    whole, layer, done = hashlib.sha256(), list[bytes](), 0
    while data := source.read(chunk_bytes(size)):
        done += len(data)
        if done > size:
            break
        whole.update(data)
        layer.append(chunk_hash(data, size))
        if target is not None:
            target.write(data)
        progress(done, size)
    if done != size:
        raise AdapterError("blob_unreadable", "The file changed while it was read.", "Try again.")
    return make_manifest(whole.hexdigest(), size, layer)


def silent(done: int, size: int) -> None:
    """Progress that nobody watches."""
    del done, size
