"""Blobs by BitTorrent v2: fetched by magnet link, with web servers as seeds beside peers, and seeded.

libtorrent checks every 16 KiB against the root that the link binds, and drops peers that send wrong ones.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from dicast.base.errors import AdapterError
from dicast.base.merkle import BLOB_BYTES_MAX
from dicast.content.manifest import Manifest, description_of
from dicast.content.scanning import Progress, scan
from dicast.content.store import PART, BlobStore
from dicast.torrent_session import Alert, TorrentSession, lt

LOOK_SECONDS = 0.25  # between looks at how far it is
SAVE_SECONDS = 2.0  # between notes of what is here; a kill costs what came since
IDLE_SECONDS_MAX = 120.0  # without a byte, and without anybody to get one from
SEEDS_MAX = 256  # blobs seeded at once: each is announced in the table every quarter of an hour
RESCAN_SECONDS = 15.0  # a blob that was added or removed is noticed
RESUME_BYTES_MAX = 64 << 20
ASK_AGAIN_SECONDS = 2.0  # the table, while nobody is known: libtorrent itself asks every quarter of an hour
RESUME = "resume"
NOTED = lt.save_resume_flags_t.save_info_dict | lt.save_resume_flags_t.flush_disk_cache
"""What is noted to be here is on the disk before the note is."""


class Asked(msgspec.Struct, frozen=True):
    """A blob by magnet link, and web servers that have the same file."""

    sha256: str
    link: str
    urls: tuple[str, ...] = ()


async def fetch_torrent(
    session: TorrentSession, store: BlobStore, asked: Asked, progress: Progress
) -> Manifest:
    """Load a blob by its magnet link, or go on with it. Raises AdapterError; what came is kept."""
    folder = store.folder / f"{asked.sha256}.torrent"
    partial = await asyncio.to_thread(store.partial, asked.sha256)
    try:
        folder.mkdir(exist_ok=True)
        await session.start()
        try:
            manifest = await _Download(session, store, asked, folder).run(progress)
        finally:
            await session.stop()
        await asyncio.to_thread(store.adopt, partial, folder / asked.sha256, manifest)
        shutil.rmtree(folder, ignore_errors=True)
        return manifest
    finally:
        partial.close()


class _Download:
    def __init__(self, session: TorrentSession, store: BlobStore, asked: Asked, folder: Path) -> None:
        self._session = session
        self._store = store
        self._asked = asked
        self._folder = folder
        self._failure = ""
        self._handle: Any = None
        self._part = store.folder / f"{asked.sha256}{PART}"

    async def run(self, progress: Progress) -> Manifest:
        self._session.on("save_resume_data_alert", self._save)
        self._session.on("torrent_error_alert", self._fail)
        self._session.on("file_error_alert", self._fail)
        try:
            self._handle = self._session.raw.add_torrent(self._parameters())
            for url in self._asked.urls:
                self._handle.add_url_seed(url)
            await self._until_done(progress)
        finally:
            self._session.off(self._save)
            self._session.off(self._fail)
            if self._handle is not None and self._session.raw is not None:
                await self._close()
        file = self._folder / self._asked.sha256
        manifest = await asyncio.to_thread(scan, file)
        if manifest.sha256 != self._asked.sha256:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise AdapterError(
                "blob_failed",
                f"The magnet link is of another file, {manifest.sha256[:16]}…; it was thrown away.",
                "Ask whoever gave it to you.",
            )
        return manifest

    def _parameters(self) -> Any:
        parameters = lt.parse_magnet_uri(self._asked.link)
        try:
            noted = (self._folder / RESUME).read_bytes()[:RESUME_BYTES_MAX]
            resumed = lt.read_resume_data(noted)
            if resumed.info_hashes.v2 == parameters.info_hashes.v2:
                resumed.peers = parameters.peers
                parameters = resumed
        except (OSError, RuntimeError):
            pass
        parameters.save_path = str(self._folder)
        parameters.renamed_files = {0: self._asked.sha256}
        flags = lt.torrent_flags
        parameters.flags = flags.update_subscribe
        return parameters

    async def _until_done(self, progress: Progress) -> None:
        is_checked, before = False, -1
        moved_at = saved_at = asked_at = time.monotonic()
        while True:
            if self._failure:
                raise AdapterError("blob_failed", self._failure, "Name another source with --from.")
            status = await asyncio.to_thread(self._handle.status)
            now = time.monotonic()
            if status.has_metadata and not is_checked:
                self._check(status)
                is_checked = True
            if is_checked and status.state in (lt.torrent_status.downloading, lt.torrent_status.seeding):
                progress(status.total_wanted_done, max(1, status.total_wanted))
            if is_checked and status.is_seeding:
                return
            if status.total_wanted_done != before:
                before, moved_at = status.total_wanted_done, now
            if not status.num_peers and now - asked_at > ASK_AGAIN_SECONDS:
                asked_at = now
                self._handle.force_dht_announce()
            if now - moved_at > IDLE_SECONDS_MAX:
                raise AdapterError(
                    "blob_failed",
                    f"Nobody had anything of it for {IDLE_SECONDS_MAX:.0f} s.",
                    "Try again later; what came is kept.",
                )
            if is_checked and now - saved_at > SAVE_SECONDS:
                saved_at = now
                self._handle.save_resume_data(NOTED)
            await asyncio.sleep(LOOK_SECONDS)

    def _check(self, status: Any) -> None:
        """What the description says must be one file that fits; before much of it came."""
        layout = self._handle.torrent_file().layout()
        size = int(layout.file_size(0))
        padding = lt.file_storage.flag_pad_file  # libtorrent fills the last piece with a file of its own
        files = [index for index in range(layout.num_files()) if not layout.file_flags(index) & padding]
        if files != [0] or size > BLOB_BYTES_MAX:
            raise AdapterError(
                "blob_failed", "The magnet link is not of one file.", "Add the file as a blob."
            )
        self._store.make_room(size - int(status.total_wanted_done))
        self._handle.rename_file(0, self._asked.sha256)

    async def _close(self) -> None:
        """Note what is here, and wait until it is written."""
        saved = asyncio.Event()

        def done(alert: Alert) -> None:
            del alert
            saved.set()

        for kind in ("save_resume_data_alert", "save_resume_data_failed_alert", "torrent_removed_alert"):
            self._session.on(kind, done)
        try:
            self._handle.pause()
            self._handle.save_resume_data(NOTED)
            async with asyncio.timeout(5):
                await saved.wait()
            saved.clear()
            self._session.raw.remove_torrent(self._handle)
            async with asyncio.timeout(5):
                await saved.wait()
        except TimeoutError:
            pass
        finally:
            self._session.off(done)

    def _save(self, alert: Alert) -> None:
        if alert.handle == self._handle:
            temporary = self._folder / f"{RESUME}.new"
            temporary.write_bytes(lt.write_resume_data_buf(alert.params))
            temporary.replace(self._folder / RESUME)
            os.utime(self._part)

    def _fail(self, alert: Alert) -> None:
        if alert.handle == self._handle:
            self._failure = str(alert.message())[:300]


class Seeder:
    """Gives the whole blobs of a store to whoever asks by magnet link, the latest used first."""

    def __init__(self, session: TorrentSession, store: BlobStore) -> None:
        self._session = session
        self._store = store
        self._handles: dict[str, Any] = {}
        self._announced_to = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; what is added or removed later is noticed."""
        await self._session.start()
        self._task = asyncio.create_task(self._run(), name="seeder")

    async def stop(self) -> None:
        """Give nothing more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._handles.clear()
            await self._session.stop()

    async def _run(self) -> None:
        while True:
            with suppress(AdapterError):  # a disk that fails is told of where a person asks for it
                await self.rescan()
            await asyncio.sleep(RESCAN_SECONDS)

    async def rescan(self) -> Sequence[str]:
        """Seed what is here now and nothing else; returns the hashes."""
        blobs = [one for one in await asyncio.to_thread(self._store.blobs) if one.is_whole and one.size]
        here = {blob.sha256 for blob in blobs[-SEEDS_MAX:]}
        for sha256 in [sha256 for sha256 in self._handles if sha256 not in here]:
            self._session.raw.remove_torrent(self._handles.pop(sha256))
        for sha256 in here - self._handles.keys():
            manifest = await asyncio.to_thread(self._store.manifest, sha256)
            if manifest is not None:
                self._handles[sha256] = self._session.raw.add_torrent(
                    seed_parameters(manifest, self._store.folder)
                )
        known = self._session.nodes()
        if known > 2 * self._announced_to:  # what was said before the table was there, nobody heard
            self._announced_to = known
            for handle in self._handles.values():
                handle.force_dht_announce()
        return sorted(self._handles)


def seed_parameters(manifest: Manifest, folder: Path) -> Any:
    """A torrent of a blob that lies in `folder`, whole: what is sent is hashed as it is read."""
    parameters = lt.load_torrent_buffer(torrent_of(manifest))
    parameters.save_path = str(folder)
    flags = lt.torrent_flags
    parameters.flags = flags.seed_mode | flags.upload_mode
    return parameters


def torrent_of(manifest: Manifest) -> bytes:
    """The torrent file (BEP 52): the description, and the layer where there is more than a chunk."""
    layers = b"d"
    if len(manifest.layer) > 1:
        joined = b"".join(manifest.layer)
        layers += b"32:" + bytes.fromhex(manifest.root) + b"%d:" % len(joined) + joined
    return b"d4:info" + description_of(manifest) + b"12:piece layers" + layers + b"ee"
