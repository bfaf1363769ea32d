"""The dashboard's pages: files of the package, served as they are."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from dicast.gateway.errors import GatewayError

FOLDER = Path(__file__).resolve().parents[1] / "web"
"""Built from `web/` and part of the package: whoever runs a gateway needs no Node.js."""
FILES_MAX = 512
FILE_BYTES_MAX = 4 * 1024 * 1024
"""The whole dashboard has less than one; more is a wrong folder."""
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".txt": "text/plain; charset=utf-8",
}
"""Other files are not served."""
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "worker-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""Nothing comes from elsewhere, and nothing goes there."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_HASHED = re.compile(r"-[A-Za-z0-9_-]{8,}\.\w+\Z")
"""Names that change with their content."""


class Page(NamedTuple):
    """One file in memory."""

    content: bytes
    kind: str
    tag: str
    is_fixed: bool


class Pages:
    """Answers `GET /` and `GET /assets/{path}` out of a folder that was read once."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._pages = dict(_read(folder))

    async def index(self, request: Request) -> Response:
        """The first page."""
        return self._answer(request, "index.html")

    async def asset(self, request: Request) -> Response:
        """A script, a style, a picture."""
        return self._answer(request, f"assets/{request.path_params['path']}")

    def _answer(self, request: Request, name: str) -> Response:
        page = self._pages.get(name)
        if page is None:
            raise GatewayError("not_found", "There is no such page in this installation.")
        caching = "public, max-age=31536000, immutable" if page.is_fixed else "no-cache"
        headers = {**HEADERS, "etag": page.tag, "cache-control": caching}
        known = (
            one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")
        )
        if page.tag in known:
            return Response(status_code=304, headers=headers)
        response = Response(page.content, headers=headers)
        response.headers["content-type"] = page.kind
        return response


def _read(folder: Path) -> list[tuple[str, Page]]:
    """Every file that can be served, by its name below the folder."""
    found: list[tuple[str, Page]] = []
    for path in sorted(folder.rglob("*"))[:FILES_MAX]:
        kind = TYPES.get(path.suffix)
        if kind is None or not path.is_file() or path.stat().st_size > FILE_BYTES_MAX:
            continue
        content = path.read_bytes()
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        page = Page(content, kind, tag, _HASHED.search(path.name) is not None)
        found.append((path.relative_to(folder).as_posix(), page))
    return found
