"""Blobs by BitTorrent v2 between sessions of their own on loopback: whole, broken off, lied about."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dicast.base.errors import AdapterError
from dicast.content.manifest import Manifest, magnet_of
from dicast.content.scanning import silent
from dicast.content.store import BlobStore
from dicast.content.torrent import Asked, Seeder, fetch_torrent
from dicast.torrent_session import SessionSettings, TorrentSession
from waiting import WAIT_SECONDS_MAX

pytestmark = pytest.mark.anyio


class Seed:
    """A store that is seeded."""

    def __init__(self, folder: Path, settings: SessionSettings | None = None) -> None:
        self.store = BlobStore(folder)
        self.session = TorrentSession(settings or SessionSettings())
        self.seeder = Seeder(self.session, self.store)

    async def add(self, content: bytes) -> Manifest:
        file = self.store.folder.with_suffix(".file")
        file.write_bytes(content)
        manifest = self.store.add(file)
        await self.seeder.rescan()
        return manifest

    def link(self, manifest: Manifest) -> str:
        return magnet_of(manifest, [("127.0.0.1", self.session.port)])


@pytest.fixture
async def seed(tmp_path: Path) -> AsyncIterator[Seed]:
    seed = Seed(tmp_path / "seeded")
    await seed.seeder.start()
    yield seed
    await seed.seeder.stop()


async def fetch(store: BlobStore, link: str, sha256: str, *urls: str, progress=silent) -> Manifest:
    session = TorrentSession(SessionSettings())
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        return await fetch_torrent(session, store, Asked(sha256, link, urls), progress)


async def test_a_seed_is_found_in_the_hash_table(tmp_path: Path, store: BlobStore, content: bytes) -> None:
    first, announced = TorrentSession(SessionSettings()), asyncio.Event()
    first.on("dht_announce_alert", lambda alert: announced.set())
    await first.start()
    table = SessionSettings(bootstrap=(f"127.0.0.1:{first.port}",))
    seed = Seed(tmp_path / "seeded", table)
    await seed.seeder.start()
    manifest = await seed.add(content)
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        await seed.session.joined()
        while not announced.is_set():
            await seed.seeder.rescan()
    asked = Asked(manifest.sha256, magnet_of(manifest))
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        assert await fetch_torrent(TorrentSession(table), store, asked, silent) == manifest
    await seed.seeder.stop()
    await first.stop()


@pytest.mark.parametrize("chunks", [0.001, 1, 20.5])
async def test_a_blob_comes_from_a_seed_by_its_magnet_link(
    chunks: float, seed: Seed, store: BlobStore, content: bytes
) -> None:
    manifest = await seed.add((content * 3)[: int(chunks * 65_536)])
    seen: list[int] = []
    found = await fetch(
        store, seed.link(manifest), manifest.sha256, progress=lambda done, _: seen.append(done)
    )
    assert found == manifest == store.manifest(manifest.sha256)
    assert seen == sorted(seen)
    assert sorted(path.name for path in store.folder.iterdir()) == [
        manifest.sha256,
        f"{manifest.sha256}.manifest",
    ]


async def test_what_is_removed_is_seeded_no_longer(seed: Seed, content: bytes) -> None:
    first, second = await seed.add(content), await seed.add(content[1:])
    assert set(await seed.seeder.rescan()) == {first.sha256, second.sha256}
    seed.store.remove(first.sha256)
    assert await seed.seeder.rescan() == [second.sha256]


async def test_a_lying_web_seed_does_no_harm(
    seed: Seed, store: BlobStore, content: bytes, make_mirror
) -> None:
    manifest, liar = await seed.add(content), make_mirror()
    liar.wrong_from = 0
    assert await fetch(store, seed.link(manifest), manifest.sha256, liar.serve(content)) == manifest


async def test_a_link_of_another_file_is_found_out(seed: Seed, store: BlobStore, content: bytes) -> None:
    manifest = await seed.add(content)
    with pytest.raises(AdapterError) as caught:
        await fetch(store, seed.link(manifest), "ab" * 32)
    assert caught.value.code == "blob_failed"
    assert list(store.folder.glob("*.torrent")) == []


async def test_a_blob_that_does_not_fit_is_not_loaded(seed: Seed, store: BlobStore, content: bytes) -> None:
    manifest = await seed.add(content)
    small = BlobStore(store.folder, quota_bytes=1000)
    with pytest.raises(AdapterError) as caught:
        await fetch(small, seed.link(manifest), manifest.sha256)
    assert caught.value.code == "blob_quota"


LOADING = """
import asyncio, sys
from pathlib import Path
from dicast.content.store import BlobStore
from dicast.content.torrent import Asked, fetch_torrent
from dicast.torrent_session import SessionSettings, TorrentSession
def progress(done, size):
    print(done, flush=True)
asked = Asked(sys.argv[2], sys.argv[3])
asyncio.run(fetch_torrent(TorrentSession(SessionSettings()), BlobStore(Path(sys.argv[1])), asked, progress))
"""


async def test_after_a_kill_it_goes_on(seed: Seed, store: BlobStore, content: bytes) -> None:
    manifest = await seed.add(content * 32)
    seed.session.raw.apply_settings({"upload_rate_limit": 3_000_000, "rate_limit_ip_overhead": False})
    for handle in seed.session.raw.get_torrents():
        handle.set_upload_limit(3_000_000)
    seed.session.raw.set_peer_class_filter(no_local_class())
    command = [sys.executable, "-c", LOADING, str(store.folder), manifest.sha256, seed.link(manifest)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    resume = store.folder / f"{manifest.sha256}.torrent/resume"
    while noted(resume) < 20:
        assert int(await process.stdout.readline()) < manifest.size
    process.kill()
    await process.communicate()
    for handle in seed.session.raw.get_torrents():
        handle.set_upload_limit(-1)
    seen: list[int] = []
    found = await fetch(
        store, seed.link(manifest), manifest.sha256, progress=lambda done, _: seen.append(done)
    )
    assert found == manifest
    assert seen[0] >= 20 * manifest.chunk_bytes, seen


def noted(resume: Path) -> int:
    """How many chunks libtorrent has noted to be on the disk."""
    from dicast.torrent_session import lt

    return sum(lt.read_resume_data(resume.read_bytes()).have_pieces) if resume.exists() else 0


def no_local_class() -> object:
    """Rate limits hold for this machine, too."""
    from dicast.torrent_session import lt

    return lt.ip_filter()
