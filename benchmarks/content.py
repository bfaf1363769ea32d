"""64 MB to two peers at once: by web server, from a node of the mesh, by BitTorrent v2.

Run `python benchmarks/content.py`. Sources are processes of their own, both peers run in this one. The
baseline is the obvious client in the same run: `httpx` from Python's web server into a file, and its SHA-256;
"× plain" is against it, more is slower. Every other row checks each chunk and flushes to the disk.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

from dicast.content.fetch import Fetcher
from dicast.content.manifest import Manifest, magnet_of
from dicast.content.scanning import silent
from dicast.content.sources import HttpSource, mesh_source
from dicast.content.store import BlobStore
from dicast.content.torrent import Asked, fetch_torrent
from dicast.torrent_session import SessionSettings, TorrentSession

TOPIC = "ab" * 32
PEERS = 2
RATIO_MAX = 8.0  # checking, flushing, a connection for every half megabyte of the mesh
WEB = "python -m http.server"
MESH = """
import asyncio, sys
from pathlib import Path
from dicast.content.serving import BlobPages
from dicast.content.store import BlobStore
from dicast.transports.websocket import MeshSettings, WebSocketTransport
async def main():
    pages = BlobPages(BlobStore(Path(sys.argv[1])))
    node = WebSocketTransport(MeshSettings(("127.0.0.1", 0)), "websocket", pages.answer)
    await node.start("ab" * 32, lambda wire: None)
    while not node.address:
        await asyncio.sleep(0.01)
    print(node.address, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
SEED = """
import asyncio, sys
from pathlib import Path
from dicast.content.store import BlobStore
from dicast.content.torrent import Seeder
from dicast.torrent_session import SessionSettings, TorrentSession
async def main():
    session = TorrentSession(SessionSettings())
    seeder = Seeder(session, BlobStore(Path(sys.argv[1])))
    await seeder.start()
    await seeder.rescan()
    print(session.port, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
SERVE = """
import functools, sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass
class Patient(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        pass
server = Patient(("127.0.0.1", 0), functools.partial(Quiet, directory=sys.argv[1]))
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
"""

Load = Callable[[Path], Awaitable[object]]


async def plainly(url: str, sha256: str, folder: Path) -> None:
    """The obvious client."""
    state = hashlib.sha256()
    folder.mkdir()  # noqa: ASYNC240
    async with httpx.AsyncClient() as client, client.stream("GET", url) as response:
        with (folder / "file").open("wb") as file:
            async for piece in response.aiter_raw():
                file.write(piece)
                state.update(piece)
    assert state.hexdigest() == sha256


async def timed(load: Load, folder: Path, name: str) -> float:
    """Seconds until all peers have it."""
    began = time.perf_counter()
    await asyncio.gather(*(load(folder / f"{name}{number}") for number in range(PEERS)))
    return time.perf_counter() - began


async def measure(folder: Path, manifest: Manifest, said: list[str]) -> int:
    """Print the table; 1 when a headline is missed."""
    web, mesh, port = said
    sha256, url = manifest.sha256, f"{web}/{manifest.sha256}"
    link = magnet_of(manifest, [("127.0.0.1", int(port))])

    def fetched(*sources: Callable[[], HttpSource]) -> Load:
        return lambda place: Fetcher(BlobStore(place), sha256).fetch([make() for make in sources], silent)

    def torrent(place: Path) -> Awaitable[object]:
        store = BlobStore(place)
        return fetch_torrent(TorrentSession(SessionSettings()), store, Asked(sha256, link), silent)

    ways: dict[str, Load] = {
        f"plain HTTP ({WEB})": lambda place: plainly(url, sha256, place),
        "blob, the same server": fetched(lambda: HttpSource(url)),
        "blob, a node of the mesh": fetched(lambda: mesh_source(mesh, TOPIC, sha256)),
        "blob, server and node": fetched(lambda: HttpSource(url), lambda: mesh_source(mesh, TOPIC, sha256)),
        "BitTorrent v2, one seed": torrent,
    }
    print(f"{os.cpu_count()} cores; {manifest.size / 1e6:,.0f} MB to {PEERS} peers; loopback\n")
    print(f"{'':<36}{'seconds':>10}{'MB/s in all':>14}{'× plain':>10}")
    seconds: dict[str, float] = {}
    for number, (name, load) in enumerate(ways.items()):
        seconds[name] = await timed(load, folder, f"peer{number}-")
        ratio = seconds[name] / next(iter(seconds.values()))
        rate = PEERS * manifest.size / 1e6 / seconds[name]
        print(f"{name:<36}{seconds[name]:>10.2f}{rate:>14,.0f}{ratio:>10.1f}")
    plain, *others = seconds.values()
    is_good = max(others) / plain <= RATIO_MAX
    print(f"\n{'ok' if is_good else 'MISSED'}: each way at most {RATIO_MAX} × plain HTTP")
    return 0 if is_good else 1


def main() -> int:
    """Make a blob, start its sources, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=64)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "file").write_bytes(os.urandom(arguments.megabytes * 1_000_000))
        manifest = BlobStore(folder / "blobs").add(folder / "file")
        sources = [
            subprocess.Popen(
                [sys.executable, "-c", code, folder / "blobs"], stdout=subprocess.PIPE, text=True
            )
            for code in (SERVE, MESH, SEED)
        ]
        try:
            said = [source.stdout.readline().strip() for source in sources if source.stdout]
            return asyncio.run(measure(folder, manifest, said))
        finally:
            for source in sources:
                source.kill()
                source.wait()


if __name__ == "__main__":
    sys.exit(main())
