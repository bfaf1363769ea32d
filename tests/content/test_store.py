"""Blobs on disk: whole or not there, within the quota, and nothing that was acknowledged is lost."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dicast.base.errors import AdapterError
from dicast.content.disk import disk_error
from dicast.content.manifest import Manifest
from dicast.content.store import ABANDONED_SECONDS, Blob, BlobStore

ADDING = """
import os, signal, sys
from pathlib import Path
from dicast.content import store
store.BlobStore(Path(sys.argv[1])).add(Path(sys.argv[2]))
print("added", flush=True)
written = 0
def progress(done, size):
    if done > size // 2:
        os.kill(os.getpid(), signal.SIGKILL)
store.BlobStore(Path(sys.argv[1])).add(Path(sys.argv[3]), progress=progress)
"""


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_what_was_added_is_there_by_its_hash(
    store: BlobStore, tmp_path: Path, content: bytes, describe: Callable[[bytes], Manifest]
) -> None:
    seen: list[int] = []
    manifest = store.add(write(tmp_path / "file", content), progress=lambda done, _: seen.append(done))
    path = store.path(manifest.sha256)
    assert path is not None
    assert path.read_bytes() == content
    assert manifest == describe(content) == store.manifest(manifest.sha256)
    assert seen == sorted(seen)
    assert seen[-1] == len(content)
    [blob] = store.blobs()
    assert (blob.sha256, blob.size, blob.is_pinned, blob.is_whole) == (
        *(manifest.sha256, len(content)),
        *(True, True),
    )


def test_a_lost_or_damaged_manifest_is_made_again(store: BlobStore, tmp_path: Path, content: bytes) -> None:
    manifest = store.add(write(tmp_path / "file", content))
    beside = store.folder / f"{manifest.sha256}.manifest"
    for spoil in (beside.unlink, lambda: beside.write_bytes(b"{}")):
        spoil()
        assert store.manifest(manifest.sha256) == manifest


@pytest.mark.parametrize("name", ["", "..", "ab" * 31, "AB" * 32, "../" + "a" * 61, "ab" * 32 + "\n"])
def test_what_is_no_hash_is_not_there(store: BlobStore, name: str) -> None:
    assert (store.path(name), store.manifest(name), store.remove(name)) == (None, None, False)


def test_the_least_recently_used_goes_first_and_what_is_pinned_stays(tmp_path: Path) -> None:
    now = [1000.0]
    store = BlobStore(tmp_path / "blobs", quota_bytes=350, clock=lambda: now[0])
    hashes = []
    for number in range(3):
        now[0] += 1
        file = write(tmp_path / "file", bytes([number]) * 100)
        hashes.append(store.add(file, pin=number == 0).sha256)
    now[0] += 1
    assert store.path(hashes[1]) is not None
    now[0] += 1
    newest = store.add(write(tmp_path / "file", b"x" * 100), pin=False).sha256
    assert {blob.sha256 for blob in store.blobs()} == {hashes[0], hashes[1], newest}
    with pytest.raises(AdapterError) as caught:
        store.make_room(251)
    assert caught.value.code == "blob_quota"
    assert len(store.blobs()) == 3
    now[0] += 1
    assert store.pin(hashes[0], pinned=False)
    assert [blob.sha256 for blob in store.make_room(350)] == [hashes[1], newest, hashes[0]]


def test_what_nobody_went_on_with_is_collected(store: BlobStore, tmp_path: Path, content: bytes) -> None:
    now = [1e9]
    store = BlobStore(store.folder, clock=lambda: now[0])
    kept = store.add(write(tmp_path / "file", content))
    store.partial("ab" * 32).close()
    for name in (".add-00ff", f"{'cd' * 32}.pin", f"{kept.sha256}x.manifest"):
        write(store.folder / name, b"")
    for path in store.folder.iterdir():
        os.utime(path, (now[0], now[0]))
    now[0] += ABANDONED_SECONDS + 1
    assert store.collect() == [Blob("ab" * 32, 0, 10**9, is_whole=False)]
    assert sorted(path.name for path in store.folder.iterdir()) == sorted(
        f"{kept.sha256}{end}" for end in ("", ".manifest", ".pin")
    )


def test_one_process_at_a_time_loads_a_blob(store: BlobStore) -> None:
    first = store.partial("ab" * 32)
    with pytest.raises(AdapterError) as caught:
        store.partial("ab" * 32)
    assert caught.value.code == "blob_busy"
    first.close()
    store.partial("ab" * 32).close()


def test_only_right_chunks_are_kept_and_what_is_there_is_hashed_again(
    store: BlobStore, content: bytes, describe: Callable[[bytes], Manifest]
) -> None:
    manifest = describe(content)
    partial = store.partial(manifest.sha256)
    partial.begin(manifest)
    for index in (0, 7, 10):
        start, length = manifest.span(index)
        assert not partial.put(index, content[start : start + length - 1])
        assert not partial.put(index, bytes(length))
        assert partial.put(index, content[start : start + length])
    partial.close()
    assert not partial.put(1, content[65_536 : 2 * 65_536]) or partial.missing()
    with (store.folder / f"{manifest.sha256}.part").open("r+b") as file:
        file.seek(7 * 65_536 + 5)
        file.write(b"torn")
    again = store.partial(manifest.sha256)
    again.begin(manifest)
    assert (again.have, again.done_bytes()) == ({0, 10}, 65_536 + 7)
    again.close()


def test_a_kill_in_the_middle_loses_nothing_that_was_acknowledged(
    store: BlobStore, tmp_path: Path, content: bytes, describe: Callable[[bytes], Manifest]
) -> None:
    files = [write(tmp_path / "a", content), write(tmp_path / "b", content[::-1])]
    run = subprocess.run(
        [sys.executable, "-c", ADDING, store.folder, *files], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout) == (-signal.SIGKILL, "added\n"), run.stderr
    assert [blob.sha256 for blob in store.blobs()] == [describe(content).sha256]
    assert store.add(files[1]) == describe(content[::-1])


def test_a_folder_that_cannot_be_is_an_error_with_a_next_step(tmp_path: Path, content: bytes) -> None:
    write(tmp_path / "file", content)
    with pytest.raises(AdapterError) as caught:
        BlobStore(tmp_path / "file" / "x").add(tmp_path / "file")
    assert (caught.value.code, caught.value.next_step) == (
        "blob_disk",
        "Make content.folder a folder, or name another one.",
    )


@pytest.mark.parametrize(
    ("number", "help_"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EACCES, "writable for this user"),
        (errno.EROFS, "writable for this user"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EIO, "system's log"),
    ],
)
def test_each_refusal_of_the_disk_has_its_own_advice(number: int, help_: str) -> None:
    error = disk_error(OSError(number, os.strerror(number), "/srv/blobs"))
    assert error.message == f"/srv/blobs: {os.strerror(number)}."
    assert help_ in error.next_step


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    for file, reason in ((tmp_path / "nothing", "is not there"), (tmp_path, "is not a plain file")):
        with pytest.raises(AdapterError, match=reason) as caught:
            store.add(file)
        assert (caught.value.code, caught.value.next_step) == (
            "blob_unreadable",
            "Name a file that can be read.",
        )
