"""Blobs on disk, each a file named by its SHA-256 beside its manifest; any web server can serve the folder.

Nothing is believed because it was written once: what is left of a broken download is hashed again, so that a
crash at any moment costs time only.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from dicast.base.errors import AdapterError
from dicast.base.merkle import BLOB_BYTES_MAX
from dicast.content.disk import disk_error
from dicast.content.manifest import Manifest, ManifestError, decode_manifest
from dicast.content.partial import Partial
from dicast.content.scanning import Progress, copy_and_hash, scan, silent

QUOTA_BYTES = 20 << 30  # three models of the size that home machines run
ABANDONED_SECONDS = 14 * 24 * 3600  # a download that nobody went on with for so long is thrown away by `gc`
BLOBS_MAX = 65_536  # files of one folder; more is not what this store is for
MANIFEST, PIN, PART, TORRENT = ".manifest", ".pin", ".part", ".torrent"
FOR_A_ROUND = b"round"
"""In a pin: an open round needs the blob, not a person."""

_BLOB = re.compile(r"[0-9a-f]{64}", re.ASCII)
_LEFT_OVER = re.compile(r"\.add-[0-9a-f]+", re.ASCII)


class Blob(msgspec.Struct, frozen=True):
    """A blob that is here, or half here: its bytes on disk, when it was last used (Unix seconds)."""

    sha256: str
    size: int
    used_at: int
    is_pinned: bool = False
    is_whole: bool = True


class BlobStore:
    """One folder. Several processes may use it at once."""

    def __init__(
        self, folder: Path, quota_bytes: int = QUOTA_BYTES, clock: Callable[[], float] = time.time
    ) -> None:
        self.folder = folder
        self.quota_bytes = quota_bytes
        self._clock = clock

    def add(self, file: Path, *, pin: bool = True, progress: Progress | None = None) -> Manifest:
        """Copy a file into the store; returns once it is on disk for good. Raises AdapterError."""
        with _disk_errors():
            if not file.is_file():
                reason = "is not a plain file" if file.exists() else "is not there"
                raise AdapterError("blob_unreadable", f"{file} {reason}.", "Name a file that can be read.")
            size = file.stat().st_size
            self.make_room(size)
            temporary = self.folder / f".add-{secrets.token_hex(8)}"
            try:
                with file.open("rb") as source, temporary.open("xb") as target:
                    manifest = copy_and_hash(source, target, size, progress or silent)
                    _sync(target)
                return self._accept(temporary, manifest, pin=pin)
            finally:
                temporary.unlink(missing_ok=True)

    def hold(self, sha256: str, data: bytes) -> Path:
        """Keep bytes of this SHA-256 for a round, until they are let go."""
        path = self.path(sha256)
        if path is None:
            with _disk_errors():
                self._prepare()
                loaded = self.folder / f".add-{secrets.token_hex(8)}"
                try:
                    loaded.write_bytes(data)
                    self.add(loaded, pin=False)
                finally:
                    loaded.unlink(missing_ok=True)
            path = self.folder / sha256
        self.claim(sha256)
        return path

    def claim(self, sha256: str) -> None:
        """A round needs a blob that is here: it stays whatever the quota. A person's pin is left alone."""
        mark = self.folder / f"{sha256}{PIN}"
        with _disk_errors():
            if not mark.exists():
                mark.write_bytes(FOR_A_ROUND)

    def let_go(self, sha256: str) -> None:
        """No round needs it any more: it goes when room is needed; what there is of a download goes now."""
        with _disk_errors():
            mark = self.folder / f"{sha256}{PIN}"
            if mark.exists() and mark.read_bytes() == FOR_A_ROUND:
                mark.unlink(missing_ok=True)
            if not (self.folder / sha256).exists():
                self.remove(sha256)

    def let_all_go(self) -> None:
        """A node starts: what rounds needed before, they say again."""
        for blob in self.blobs():
            if blob.is_pinned:
                self.let_go(blob.sha256)

    def path(self, sha256: str) -> Path | None:
        """Where a whole blob lies, None when it is not here. Counts as a use of it."""
        if _BLOB.fullmatch(sha256) is None:
            return None
        path = self.folder / sha256
        with _disk_errors():
            if not path.is_file():
                return None
            self._touch(path)
        return path

    def manifest(self, sha256: str) -> Manifest | None:
        """The manifest of a whole blob; made again when its file was lost or damaged."""
        path = self.path(sha256)
        if path is None:
            return None
        with _disk_errors():
            beside = path.with_name(sha256 + MANIFEST)
            try:
                return decode_manifest(beside.read_bytes())
            except (ManifestError, FileNotFoundError):
                manifest = scan(path)
                _write(beside, manifest.encode())
        return manifest

    def partial(self, sha256: str) -> Partial:
        """A download to begin or to go on with; one process at a time. Raises AdapterError `blob_busy`."""
        with _disk_errors():
            self._prepare()
            return Partial(self.folder / f"{sha256}{PART}")

    def adopt(self, partial: Partial, file: Path, manifest: Manifest) -> Path:
        """Put a file that was loaded elsewhere, and was checked, in its place for good."""
        with _disk_errors():
            with file.open("rb") as loaded:
                os.fsync(loaded.fileno())
            self._accept(file, manifest, pin=False)
            partial.discard()
        return self.folder / manifest.sha256

    def finish(self, partial: Partial, manifest: Manifest, *, pin: bool = False) -> Path:
        """Put a download that is complete, and was checked, in its place for good."""
        with _disk_errors():
            partial.sync()
            self._accept(partial.path, manifest, pin=pin)
            partial.discard()
        return self.folder / manifest.sha256

    def blobs(self) -> list[Blob]:
        """Everything here, least recently used first."""
        with _disk_errors():
            found = [blob for name in self._names() if (blob := self._blob(name)) is not None]
        return sorted(found, key=lambda blob: (blob.used_at, blob.sha256))

    def pin(self, sha256: str, *, pinned: bool) -> bool:
        """Keep a blob whatever the quota, or no longer; whether it is here."""
        path = self.path(sha256)
        with _disk_errors():
            mark = self.folder / f"{sha256}{PIN}"
            if path is not None and pinned:
                mark.write_bytes(b"")  # a person's, even where a round had pinned it before
            elif path is not None:
                mark.unlink(missing_ok=True)
        return path is not None

    def remove(self, sha256: str) -> bool:
        """Forget a blob and what there is of a download; whether there was one."""
        if _BLOB.fullmatch(sha256) is None:
            return False
        with _disk_errors():
            there = (self.folder / sha256).exists() or (self.folder / f"{sha256}{PART}").exists()
            for end in ("", MANIFEST, PIN, PART, PART + MANIFEST):
                (self.folder / f"{sha256}{end}").unlink(missing_ok=True)
            shutil.rmtree(self.folder / f"{sha256}{TORRENT}", ignore_errors=True)
        return there

    def make_room(self, size: int) -> list[Blob]:
        """Evict the least recently used until `size` more bytes fit. Raises AdapterError `blob_quota`."""
        blobs = self.blobs()
        used = sum(blob.size for blob in blobs)
        kept = sum(blob.size for blob in blobs if blob.is_pinned or not blob.is_whole)
        if kept + size > self.quota_bytes or size > BLOB_BYTES_MAX or len(blobs) >= BLOBS_MAX:
            raise AdapterError(
                "blob_quota",
                f"{size:,} bytes do not fit: the quota is {self.quota_bytes:,}, of which {kept:,} are pinned "
                "or on their way.",
                "Remove a pinned blob with `dicast blob rm HASH`, or raise content.quota_bytes.",
            )
        with _disk_errors():
            self._prepare()
        evicted: list[Blob] = []
        for blob in blobs:
            if used + size <= self.quota_bytes:
                break
            if blob.is_whole and not blob.is_pinned:
                self.remove(blob.sha256)
                evicted.append(blob)
                used -= blob.size
        return evicted

    def collect(self) -> list[Blob]:
        """Evict what is over the quota, and throw away what nobody went on with; returns what went."""
        evicted: list[Blob] = []
        if self.folder.is_dir():
            oldest = self._clock() - ABANDONED_SECONDS
            gone = [blob for blob in self.blobs() if not blob.is_whole and blob.used_at < oldest]
            evicted += [blob for blob in gone if self.remove(blob.sha256)]
            with _disk_errors():
                self._sweep(oldest)
            blobs = self.blobs()
            used = sum(blob.size for blob in blobs)
            for blob in blobs:
                if used > self.quota_bytes and blob.is_whole and not blob.is_pinned:
                    self.remove(blob.sha256)
                    evicted.append(blob)
                    used -= blob.size
        return evicted

    def _accept(self, file: Path, manifest: Manifest, *, pin: bool) -> Manifest:
        """The one place where a blob becomes one: its manifest first, then its name, then the folder."""
        path = self.folder / manifest.sha256
        _write(path.with_name(manifest.sha256 + MANIFEST), manifest.encode())
        if pin:
            path.with_name(manifest.sha256 + PIN).write_bytes(b"")
        file.replace(path)
        self._touch(path)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return manifest

    def _names(self) -> Iterator[str]:
        if self.folder.is_dir():
            for name in sorted(os.listdir(self.folder)):
                if _BLOB.fullmatch(name.removesuffix(PART)) is not None:
                    yield name

    def _blob(self, name: str) -> Blob | None:
        try:
            state = (self.folder / name).stat()
        except FileNotFoundError:  # another process removed it
            return None
        is_pinned = (self.folder / f"{name}{PIN}").exists()
        if not name.endswith(PART):
            return Blob(name, state.st_size, int(state.st_mtime), is_pinned)
        sha256 = name.removesuffix(PART)
        beside = (self.folder / f"{sha256}{TORRENT}").glob("*")  # what libtorrent has of it so far
        blocks = state.st_blocks + sum(file.stat().st_blocks for file in beside)
        return Blob(sha256, blocks * 512, int(state.st_mtime), is_pinned, is_whole=False)

    def _sweep(self, oldest: float) -> None:
        """Remove what a process left that was killed while it added or loaded."""
        for name in os.listdir(self.folder):
            path = self.folder / name
            of = name.removesuffix(MANIFEST).removesuffix(PIN)
            is_orphan = of != name and not (self.folder / of).exists()
            # A manifest and a pin come before their blob: a young orphan is one that is being made.
            with suppress(FileNotFoundError):
                if (is_orphan or _LEFT_OVER.fullmatch(name)) and path.stat().st_mtime < oldest:
                    path.unlink()

    def _touch(self, path: Path) -> None:
        now = self._clock()
        os.utime(path, (now, now))

    def _prepare(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _write(path: Path, content: bytes) -> None:
    """A small file whole or not at all, durable."""
    temporary = path.with_name(f".add-{secrets.token_hex(8)}")
    with temporary.open("xb") as file:
        file.write(content)
        _sync(file)
    temporary.replace(path)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def _disk_errors() -> Generator[None, None, None]:
    try:
        yield
    except OSError as error:
        raise disk_error(error) from error
