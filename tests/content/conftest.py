"""A web server on a free port that keeps the rules or breaks them, a store, and bytes to carry."""

from __future__ import annotations

import hashlib
import random
import re
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dicast.base.merkle import chunk_bytes, chunk_hash
from dicast.content.manifest import Manifest, make_manifest
from dicast.content.store import BlobStore


class Mirror:
    """Serves `files` by path; the fields say how it misbehaves; `asked` is what clients asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.ranges = True
        self.wrong_from: int | None = None
        self.breaks_after: int | None = None
        self.content_range = ""
        self.extra = b""
        self.status = 0
        self.hold = threading.Event()
        self.hold.set()
        self.held = threading.Event()
        self.url = ""

    def serve(self, content: bytes, manifest: Manifest | None = None, path: str = "/blob") -> str:
        self.files[path] = content
        if manifest is not None:
            self.files[path + ".manifest"] = manifest.encode()
        return self.url + path


class Handler(BaseHTTPRequestHandler):
    mirror: Mirror
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        mirror = self.mirror
        mirror.asked.append((self.path, self.headers.get("Range", "")))
        content = mirror.files.get(self.path)
        if content is None or (mirror.status and not self.path.endswith(".manifest")):
            self.send_error(mirror.status or 404)
            return
        if self.path.endswith(".manifest"):
            self.answer(200, content, {})
            return
        if mirror.wrong_from is not None:
            at = mirror.wrong_from
            content = content[:at] + bytes(byte ^ 1 for byte in content[at:])
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")) if mirror.ranges else None
        if not mirror.hold.is_set():
            mirror.held.set()
            mirror.hold.wait(30)
        if found is None:
            self.answer(200, content + mirror.extra, {})
            return
        start, end = int(found[1]), int(found[2] or len(content) - 1)
        said = mirror.content_range or f"bytes {start}-{end}/{len(content)}"
        self.answer(206, content[start : end + 1] + mirror.extra, {"Content-Range": said})

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        after = self.mirror.breaks_after
        if after is not None and status in (200, 206) and not self.path.endswith(".manifest"):
            self.wfile.write(body[:after])
            self.close_connection = True
            return
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Tests print nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of the tests."""

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        self.close_request(request)


@pytest.fixture
def make_mirror() -> Iterator[Callable[[], Mirror]]:
    started: list[tuple[Mirror, Server, threading.Thread]] = []

    def make() -> Mirror:
        mirror = Mirror()
        server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"mirror": mirror}))
        mirror.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        started.append((mirror, server, thread))
        return mirror

    yield make
    for mirror, server, thread in started:
        mirror.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()


def described(content: bytes) -> Manifest:
    size, step = len(content), chunk_bytes(len(content))
    layer = [chunk_hash(content[at : at + step], size) for at in range(0, size, step)]
    return make_manifest(hashlib.sha256(content).hexdigest(), size, layer)


@pytest.fixture
def describe() -> Callable[[bytes], Manifest]:
    """The manifest of some bytes."""
    return described


@pytest.fixture
def content() -> bytes:
    """Ten chunks and a bit."""
    return random.Random(1).randbytes(10 * 65_536 + 7)


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")
