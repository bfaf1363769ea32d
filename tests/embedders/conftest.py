"""A small web server on a free port that keeps or breaks the rules of ranges, and the loaded embedder."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dicast.embedders.minilm import MiniLmEmbedder
from dicast.embedders.weights import find_weights


class Web:
    """Serves `content`; the fields say how it misbehaves; `asked` is what clients asked for."""

    def __init__(self) -> None:
        self.content = bytes(range(256)) * 4096
        self.breaks_after: list[int] = []
        self.ignores_range = False
        self.content_range = ""
        self.statuses: list[int] = []
        self.redirects: list[str] = []
        self.extra = b""
        self.sends_length = True
        self.asked: list[str] = []
        self.url = ""


class Handler(BaseHTTPRequestHandler):
    web: Web

    def do_GET(self) -> None:
        web = self.web
        asked = self.headers.get("Range", "")
        web.asked.append(asked)
        if web.statuses:
            self.send_error(web.statuses.pop(0))
            return
        if web.redirects:
            self.send_response(302)
            self.send_header("Location", web.redirects.pop(0))
            self.end_headers()
            return
        found = re.fullmatch(r"bytes=(\d+)-", asked)
        start = int(found[1]) if found and not web.ignores_range else 0
        self._send(start, partial=bool(found) and not web.ignores_range)

    def _send(self, start: int, *, partial: bool) -> None:
        web = self.web
        body = web.content[start:] + web.extra
        self.send_response(206 if partial else 200)
        if web.sends_length:
            self.send_header("Content-Length", str(len(body)))
        if partial:
            size = len(web.content)
            self.send_header("Content-Range", web.content_range or f"bytes {start}-{size - 1}/{size}")
        self.end_headers()
        self.wfile.write(body[: web.breaks_after.pop(0)] if web.breaks_after else body)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Tests print nothing."""


class Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of the tests."""


@pytest.fixture
def web() -> Iterator[Web]:
    web = Web()
    server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"web": web}))
    web.url = f"http://127.0.0.1:{server.server_port}/model.safetensors"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield web
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def weights_path() -> Path:
    path = find_weights()
    assert path is not None, "make setup installs the weights"
    return path


@pytest.fixture(scope="session")
def minilm(weights_path: Path) -> MiniLmEmbedder:
    return MiniLmEmbedder(weights_path)
