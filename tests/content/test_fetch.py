"""Blobs from liars, stallers and the honest: what is wrong is refused at once, and what came is kept."""

from __future__ import annotations

import asyncio
import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

import pytest

from dicast.base.errors import AdapterError
from dicast.content.fetch import Fetched, Fetcher
from dicast.content.manifest import Manifest, magnet_of, parse_magnet
from dicast.content.scanning import silent
from dicast.content.sources import HttpSource
from dicast.content.store import BlobStore

pytestmark = pytest.mark.anyio
Describe = Callable[[bytes], Manifest]


async def fetch(
    store: BlobStore, manifest: Manifest, *urls: str, bound: bool = True, progress=silent
) -> Fetched:
    sources = [HttpSource(url, seconds=3) for url in urls]
    fetcher = Fetcher(store, manifest.sha256, (lambda found: found == manifest) if bound else None)
    return await fetcher.fetch(sources, progress)


async def test_several_sources_share_the_work(
    store: BlobStore, content: bytes, describe: Describe, make_mirror
) -> None:
    manifest, mirrors, seen = describe(content), [make_mirror(), make_mirror()], list[int]()
    urls = [mirror.serve(content, manifest) for mirror in mirrors]
    fetched = await fetch(store, manifest, *urls, progress=lambda done, _: seen.append(done))
    assert fetched.path.read_bytes() == content
    assert sum(fetched.bytes_from.values()) == len(content)
    assert (seen[0], seen[-1], seen) == (0, len(content), sorted(seen))
    assert fetched.penalties == ()
    assert [blob.is_whole for blob in store.blobs()] == [True]


async def test_the_first_wrong_chunk_is_refused_and_its_source_not_asked_again(
    store: BlobStore, content: bytes, describe: Describe, make_mirror
) -> None:
    manifest, liar, honest = describe(content), make_mirror(), make_mirror()
    liar.wrong_from = 0
    urls = [liar.serve(content, manifest), honest.serve(content)]
    fetched = await fetch(store, manifest, *urls)
    assert fetched.path.read_bytes() == content
    [penalty] = fetched.penalties
    assert (penalty.source, penalty.lied, penalty.reason.startswith("wrong bytes in chunk")) == (
        *(urls[0], True),
        True,
    )
    assert len([path for path, _ in liar.asked if path == "/blob"]) <= HttpSource.parallel
    assert urls[0] not in fetched.bytes_from


@pytest.mark.parametrize("how", ["more", "less", "range", "size", "refuses"])
async def test_sources_that_lie_about_length_or_break_off(
    how: str, store: BlobStore, content: bytes, describe: Describe, make_mirror
) -> None:
    manifest, bad, good = describe(content), make_mirror(), make_mirror()
    if how == "more":
        bad.extra = b"and more"
    elif how == "less":
        bad.breaks_after = 1000
    elif how == "range":
        bad.content_range = f"bytes 0-0/{len(content)}"
    elif how == "refuses":
        bad.status = 403
    bad.serve(content + b"longer" if how == "size" else content, manifest)
    fetched = await fetch(store, manifest, bad.url + "/blob", good.serve(content))
    assert fetched.path.read_bytes() == content
    assert fetched.bytes_from == {good.url + "/blob": len(content)}
    with pytest.raises(AdapterError) as caught:
        await fetch(BlobStore(store.folder / "other"), manifest, bad.url + "/blob")
    assert (caught.value.code, bad.url in caught.value.message) == ("blob_failed", True)


async def test_a_source_that_stalls_holds_up_nobody(
    store: BlobStore, content: bytes, describe: Describe, make_mirror
) -> None:
    manifest, stalled, good = describe(content), make_mirror(), make_mirror()
    stalled.hold.clear()
    loop = asyncio.get_running_loop()
    began = loop.time()
    fetched = await fetch(store, manifest, stalled.serve(content, manifest), good.serve(content, manifest))
    assert fetched.path.read_bytes() == content
    assert loop.time() - began < 3


async def test_a_server_without_ranges_is_read_in_order(
    store: BlobStore, content: bytes, describe: Describe, make_mirror
) -> None:
    manifest, plain = describe(content), make_mirror()
    plain.ranges = False
    fetched = await fetch(store, manifest, plain.serve(content, manifest))
    assert fetched.path.read_bytes() == content
    assert len(plain.asked) <= 2 * HttpSource.parallel + 2


async def test_a_plain_file_without_manifest_is_believed_when_it_is_whole(
    store: BlobStore, content: bytes, describe: Describe, make_mirror
) -> None:
    manifest, liar, honest = describe(content), make_mirror(), make_mirror()
    liar.wrong_from = len(content) - 1
    urls = [liar.serve(content), honest.serve(content)]
    fetched = await fetch(store, manifest, *urls, bound=False)
    assert (fetched.path.read_bytes(), fetched.manifest) == (content, manifest)
    assert [(one.source, one.lied) for one in fetched.penalties] == [(urls[0], True)]


async def test_a_manifest_of_something_else_costs_its_source(
    store: BlobStore, content: bytes, describe: Describe, make_mirror
) -> None:
    """Where only the hash is known, a lying manifest is found out at the end; where the root is, at once."""
    manifest, liar, honest = describe(content), make_mirror(), make_mirror()
    other = content[::-1]
    false = Manifest(manifest.sha256, len(other), describe(other).root, describe(other).layer)
    urls = [liar.serve(other, false), honest.serve(content, manifest)]
    for number, bound in enumerate((True, False)):
        liar.asked.clear()
        fetched = await fetch(BlobStore(store.folder / str(number)), manifest, *urls, bound=bound)
        assert fetched.path.read_bytes() == content
        assert [one.source for one in fetched.penalties] == [urls[0]]
        assert fetched.penalties[0].lied
        assert not bound or [path for path, _ in liar.asked] == ["/blob.manifest"]


async def test_what_was_loaded_stays_when_it_is_interrupted(
    store: BlobStore, content: bytes, describe: Describe, make_mirror
) -> None:
    manifest, mirror = describe(content), make_mirror()
    url = mirror.serve(content, manifest)
    loop, half = asyncio.get_running_loop(), asyncio.Event()

    def progress(done: int, size: int) -> None:
        if done > size // 2:
            half.set()
            mirror.hold.clear()

    loading = loop.create_task(fetch(store, manifest, url, progress=progress))
    await half.wait()
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    mirror.hold.set()
    seen: list[int] = []
    fetched = await fetch(store, manifest, url, progress=lambda done, _: seen.append(done))
    assert fetched.path.read_bytes() == content
    assert seen[0] > len(content) // 2
    assert sum(fetched.bytes_from.values()) == len(content) - seen[0]


LOADING = """
import asyncio, sys
from pathlib import Path
from dicast.content.fetch import Fetcher
from dicast.content.sources import HttpSource
from dicast.content.store import BlobStore
def progress(done, size):
    print(done, flush=True)
fetcher = Fetcher(BlobStore(Path(sys.argv[1])), sys.argv[2])
asyncio.run(fetcher.fetch([HttpSource(sys.argv[3])], progress))
"""


@pytest.mark.parametrize("with_manifest", [True, False])
async def test_after_a_kill_it_goes_on(
    with_manifest: bool, store: BlobStore, content: bytes, describe: Describe, make_mirror
) -> None:
    content = content * 8
    manifest, mirror = describe(content), make_mirror()
    url = mirror.serve(content, manifest if with_manifest else None)
    command = [sys.executable, "-c", LOADING, str(store.folder), manifest.sha256, url]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    reached = 0
    while reached <= len(content) // 2:
        reached = int(await process.stdout.readline())
    process.kill()
    await process.communicate()
    seen: list[int] = []
    fetched = await fetch(store, manifest, url, bound=False, progress=lambda done, _: seen.append(done))
    assert hashlib.sha256(fetched.path.read_bytes()).hexdigest() == manifest.sha256
    assert seen[0] >= reached


async def test_a_blob_that_does_not_fit_is_refused_before_it_is_loaded(
    store: BlobStore, content: bytes, describe: Describe, make_mirror
) -> None:
    manifest, mirror = describe(content), make_mirror()
    small = BlobStore(store.folder, quota_bytes=len(content) - 1)
    for with_manifest in (manifest, None):
        mirror.asked.clear()
        mirror.files.clear()
        with pytest.raises(AdapterError) as caught:
            await fetch(small, manifest, mirror.serve(content, with_manifest), bound=False)
        assert caught.value.code == "blob_quota"
    assert [blob.size for blob in small.blobs()] == [0]


async def test_an_empty_blob(store: BlobStore, describe: Describe, make_mirror) -> None:
    manifest = describe(b"")
    fetched = await fetch(store, manifest, make_mirror().serve(b"", manifest))
    assert fetched.path.read_bytes() == b""


async def test_a_magnet_link_binds_the_manifest(
    store: BlobStore, content: bytes, describe: Describe, make_mirror
) -> None:
    manifest, mirror = describe(content), make_mirror()
    other = describe(content[::-1])
    false = Manifest(manifest.sha256, other.size, other.root, other.layer)
    infohash = parse_magnet(magnet_of(manifest)).infohash
    with pytest.raises(AdapterError):
        fetcher = Fetcher(
            store, manifest.sha256, lambda one: parse_magnet(magnet_of(one)).infohash == infohash
        )
        await fetcher.fetch([HttpSource(mirror.serve(content[::-1], false))], silent)
    assert [path for path, _ in mirror.asked] == ["/blob.manifest"]


async def test_a_source_that_drips_is_left(
    store: BlobStore, content: bytes, describe: Describe, monkeypatch
) -> None:
    monkeypatch.setattr("dicast.content.fetch.CHUNK_SECONDS_MAX", 0.2)

    async def pour(writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            passed = asyncio.Event()
            asyncio.get_running_loop().call_later(0.05, passed.set)
            await passed.wait()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ends.append(asyncio.current_task())
        asked = await reader.readuntil(b"\r\n\r\n")
        start = int(found[1]) if (found := re.search(rb"bytes=(\d+)-", asked)) else 0
        if b".manifest" in asked:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            size = len(content)
            where = b"Content-Range: bytes %d-%d/%d\r\n" % (start, size - 1, size) if start else b""
            writer.write(
                b"HTTP/1.1 %d OK\r\n%bContent-Length: %d\r\n\r\n"
                % (206 if start else 200, where, size - start)
            )
            with suppress(ConnectionError):
                await pour(writer)
        writer.close()

    open_ends = list[asyncio.Task[None] | None]()
    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/blob"
    with pytest.raises(AdapterError, match="no chunk within"):
        await fetch(store, describe(content), url, bound=False)
    server.close()
    await asyncio.gather(*filter(None, open_ends))
    await server.wait_closed()
