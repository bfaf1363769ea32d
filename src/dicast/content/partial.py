"""A blob on its way: a sparse file, the hash of each chunk as far as known, and which chunks are here."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import threading
from pathlib import Path

from dicast.base.errors import AdapterError
from dicast.base.merkle import chunk_hash
from dicast.content.manifest import Manifest, ManifestError, decode_manifest
from dicast.content.scanning import scan

READ_BYTES = 1 << 20


class Partial:
    """Opened for one process. After a crash, `begin` hashes what lies there and keeps what is right."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.have: set[int] = set()
        self._manifest: Manifest | None = None
        self._closing = threading.Lock()
        self._file = path.open("a+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise AdapterError(
                "blob_busy", "Another process is loading this blob.", "Wait for it, or stop it."
            ) from error
        self._descriptor = os.open(path, os.O_RDWR)

    def known_manifest(self) -> Manifest | None:
        """The manifest that an earlier try went by."""
        try:
            return decode_manifest(self._beside().read_bytes())
        except (OSError, ManifestError):
            return None

    def begin(self, manifest: Manifest) -> None:
        """Go on by this manifest: every chunk that is here already is hashed, and kept if it is right."""
        self._manifest = manifest
        encoded = manifest.encode()
        if self.known_manifest() != manifest:
            os.ftruncate(self._descriptor, 0)
            self._beside().write_bytes(encoded)
        self.have = set()
        there = os.fstat(self._descriptor).st_size
        for index, expected in enumerate(manifest.layer):
            start, length = manifest.span(index)
            if start + length > there:
                break
            if self._may_hold(start, length) and self._is(index, expected):
                self.have.add(index)

    def put(self, index: int, data: bytes) -> bool:
        """Keep a chunk if it is the right one; whether it is."""
        manifest = self._manifest
        assert manifest is not None, "begin comes first"
        start, length = manifest.span(index)
        if len(data) != length or chunk_hash(data, manifest.size) != manifest.layer[index]:
            return False
        self._write(start, data)
        self.have.add(index)
        return True

    def append(self, data: bytes) -> None:
        """Keep bytes that nobody has said anything about."""
        self._write(self.length(), data)

    def length(self) -> int:
        """Up to where there is something."""
        return os.fstat(self._descriptor).st_size

    def forget(self) -> None:
        """Start over: what is here is of something else."""
        self._beside().unlink(missing_ok=True)
        os.ftruncate(self._descriptor, 0)
        self._manifest, self.have = None, set()

    def scanned(self) -> Manifest:
        """The manifest of what is here."""
        return scan(self.path)

    def missing(self) -> list[int]:
        """Which chunks are to come, in order."""
        assert self._manifest is not None, "begin comes first"
        return [index for index in range(len(self._manifest.layer)) if index not in self.have]

    def done_bytes(self) -> int:
        """How much is here and right."""
        assert self._manifest is not None, "begin comes first"
        return sum(self._manifest.span(index)[1] for index in self.have)

    def digest(self) -> str:
        """SHA-256 of all that is here, in order."""
        state, place = hashlib.sha256(), 0
        while piece := os.pread(self._descriptor, READ_BYTES, place):
            state.update(piece)
            place += len(piece)
        return state.hexdigest()

    def sync(self) -> None:
        """Wait until what was put is on the disk."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Leave it for later; harmless when repeated."""
        with self._closing:
            if not self._file.closed:
                os.close(self._descriptor)
                self._file.close()

    def discard(self) -> None:
        """Remove what belongs to it."""
        for path in (self.path, self._beside()):
            path.unlink(missing_ok=True)
        self.close()

    def _write(self, start: int, data: bytes) -> None:
        view = memoryview(data)
        with self._closing:  # a thread may come late: the number of the file may be another's by then
            while view and not self._file.closed:
                written = os.pwrite(self._descriptor, view, start)
                view, start = view[written:], start + written

    def _beside(self) -> Path:
        return self.path.with_name(self.path.name + ".manifest")

    def _may_hold(self, start: int, length: int) -> bool:
        """Whether anything was written there: what is a hole need not be hashed."""
        try:
            return os.lseek(self._descriptor, start, os.SEEK_DATA) < start + length
        except OSError as error:
            return error.errno != errno.ENXIO  # nothing but holes from there on; else it cannot tell

    def _is(self, index: int, expected: bytes) -> bool:
        assert self._manifest is not None
        start, length = self._manifest.span(index)
        data = os.pread(self._descriptor, length, start)
        return len(data) == length and chunk_hash(data, self._manifest.size) == expected
