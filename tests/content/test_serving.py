"""Blobs between nodes: asked for where the mesh listens, by those who know the topic."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.content.fetch import Fetcher
from dicast.content.manifest import Manifest
from dicast.content.scanning import silent
from dicast.content.serving import PART_BYTES_MAX, BlobPages
from dicast.content.sources import mesh_source
from dicast.content.store import BlobStore
from dicast.daemon import builtin_content
from dicast.daemon.config_schema import Settings
from dicast.daemon.paths import Paths
from dicast.protocol.network import topic_of
from dicast.transports.websocket import MeshSettings, WebSocketTransport
from waiting import until

pytestmark = pytest.mark.anyio
TOPIC = "ab" * 32


@pytest.fixture
async def serving(store: BlobStore) -> AsyncIterator[WebSocketTransport]:
    pages = BlobPages(store)
    node = WebSocketTransport(MeshSettings(("127.0.0.1", 0)), "websocket", pages.answer)
    await node.start(TOPIC, lambda wire: None)
    await until(lambda: node.address)
    yield node
    await node.stop()


def added(store: BlobStore, folder: Path, content: bytes) -> Manifest:
    (folder / "file").write_bytes(content)
    return store.add(folder / "file")


@pytest.mark.parametrize("chunks", [0, 1, 40])
async def test_a_node_gives_its_blobs_to_another(
    chunks: int, serving: WebSocketTransport, store: BlobStore, tmp_path: Path, content: bytes
) -> None:
    manifest = added(store, tmp_path, content[:65_536] * chunks)
    mine = BlobStore(tmp_path / "mine")
    source = mesh_source(serving.address, TOPIC, manifest.sha256)
    fetched = await Fetcher(mine, manifest.sha256).fetch([source], silent)
    assert fetched.path.read_bytes() == content[:65_536] * chunks
    assert fetched.manifest == manifest


async def test_the_nodes_that_a_person_or_a_ticket_named_are_asked(
    store: BlobStore, tmp_path: Path, content: bytes
) -> None:
    node = WebSocketTransport(MeshSettings(("127.0.0.1", 0)), "websocket", BlobPages(store).answer)
    await node.start(topic_of("main"), lambda wire: None)
    await until(lambda: node.address)
    manifest = added(store, tmp_path, content)
    settings = Settings(peers=(f"websocket={node.address}",))
    asked = builtin_content.wanted(manifest.sha256, ())
    fetched = await builtin_content.fetch(settings, Paths(tmp_path / "asks"), asked, silent, False)
    assert fetched.path.read_bytes() == content
    await node.stop()


async def test_who_asks_for_what(
    serving: WebSocketTransport, store: BlobStore, tmp_path: Path, content: bytes
) -> None:
    sha256 = added(store, tmp_path, content).sha256
    base = serving.address.replace("ws://", "http://")

    async def status(path: str, **headers: str) -> int:
        async with httpx.AsyncClient(headers=headers) as client:
            return (await client.get(base + path)).status_code

    assert await status(f"/{TOPIC}/blob/{sha256}") == 206
    assert await status(f"/{TOPIC}/blob/{sha256}.manifest") == 200
    assert await status(f"/{TOPIC}/blob/{'00' * 32}") == 404
    assert await status(f"/{'cd' * 32}/blob/{sha256}") == 404
    assert await status(f"/{TOPIC}/blob/../identity") == 404
    assert await status(f"/{TOPIC}/blob/{sha256}", Range="bytes=9999999-") == 416
    assert await status(f"/{TOPIC}/blob/{sha256}", Range="bytes=5-4") == 416


@given(st.text(max_size=200), st.text(max_size=60))
async def test_whatever_is_asked_nothing_is_raised_and_little_is_sent(
    tmp_path_factory: pytest.TempPathFactory, place: str, asked_range: str
) -> None:
    store = BlobStore(tmp_path_factory.getbasetemp() / "served")
    content = bytes(PART_BYTES_MAX + 10)
    manifest = added(store, tmp_path_factory.getbasetemp(), content)
    pages = BlobPages(store)
    await pages.answer(place, asked_range)
    for some in (asked_range, f"bytes={asked_range}", "bytes=0-"):
        page = await pages.answer(f"/blob/{manifest.sha256}", some)
        assert page is not None
        assert len(page[2]) <= PART_BYTES_MAX
