"""What a signaller answers before the upgrade: who may come in, and the page itself."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from urllib.parse import urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.exceptions import WebSocketException
from websockets.http11 import Request, Response

from dicast.signalling.frames import KEY_SUBPROTOCOL
from dicast.signalling.settings import LOCAL_NAMES, SignalSettings, origin_of

PAGES = {
    "/": ("index.html", "text/html"),
    "/style.css": ("style.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/signaller.js": ("signaller.js", "text/javascript"),
    "/peers.js": ("peers.js", "text/javascript"),
    "/link.js": ("link.js", "text/javascript"),
    "/documents.js": ("documents.js", "text/javascript"),
    "/query.js": ("query.js", "text/javascript"),
    "/secp256k1.js": ("secp256k1.js", "text/javascript"),
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self' ws: wss:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
ORIGINS_MAX = 256
"""Origins of signallers that were heard of: their pages come here when theirs died."""


class Access:
    """Who may come in. `pool` gives what other signallers may know who show the key."""

    def __init__(
        self, settings: SignalSettings, pool: Callable[[], bytes], is_full: Callable[[], bool]
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._is_full = is_full
        self._hosts = {*LOCAL_NAMES, *(name.lower() for name in settings.hosts)}
        if settings.announce:
            self._hosts.add((urlsplit(settings.announce).hostname or "").lower())
        self._origins = dict.fromkeys(origin.lower().rstrip("/") for origin in settings.origins)

    def allow_pages_of(self, url: str) -> None:
        """The page of another signaller may come here."""
        origin = origin_of(url)
        if origin not in self._origins and len(self._origins) < ORIGINS_MAX:
            self._origins[origin] = None

    def check(self, connection: ServerConnection, request: Request) -> Response | None:
        """An answer, or None to let the WebSocket in."""
        try:
            return self._answer(connection, request)
        except (WebSocketException, LookupError, ValueError):  # headers that stand twice
            return connection.respond(HTTPStatus.BAD_REQUEST, "Not a request.\n")

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        host = request.headers.get("Host", "").lower()
        if not self._is_host(host):
            return connection.respond(HTTPStatus.FORBIDDEN, "Not called so; --allow-host adds a name.\n")
        path = request.path.partition("?")[0]
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return self._refusal(connection, request, host)
        if path in PAGES:
            return _page(path)
        if path == "/health":
            return connection.respond(HTTPStatus.OK, "ok\n")
        if path == "/pool" and not self._has_key(request):
            return connection.respond(HTTPStatus.UNAUTHORIZED, "A key is needed.\n")
        if path == "/pool":
            return _whole(self._pool(), "application/json")
        return connection.respond(HTTPStatus.NOT_FOUND, "There is nothing at this address.\n")

    def _refusal(self, connection: ServerConnection, request: Request, host: str) -> Response | None:
        origin = request.headers.get("Origin", "").lower()
        own = (f"http://{host}", f"https://{host}")
        if origin and origin not in own and origin not in self._origins:
            return connection.respond(HTTPStatus.FORBIDDEN, "Not for pages from elsewhere.\n")
        if not self._has_key(request):
            return connection.respond(HTTPStatus.UNAUTHORIZED, "A key is needed.\n")
        if self._is_full():
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "Full.\n")
        return None

    def _is_host(self, header: str) -> bool:
        """Our names, and addresses: a page that rebinds a name of its own has neither."""
        name = urlsplit(f"//{header}").hostname or ""
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._hosts
        return True

    def _has_key(self, request: Request) -> bool:
        wanted = self._settings.key
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            offered = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
            keys = [one.strip() for one in offered if one.strip().startswith(KEY_SUBPROTOCOL)]
            shown = keys[0].removeprefix(KEY_SUBPROTOCOL) if keys else ""
        return not wanted or hmac.compare_digest(wanted.encode(), shown.strip().encode())


def _page(path: str) -> Response:
    return _whole(_content(path), f"{PAGES[path][1]}; charset=utf-8")


@cache
def _content(path: str) -> bytes:
    return (files("dicast.signalling") / "page" / PAGES[path][0]).read_bytes()


def _whole(body: bytes, kind: str) -> Response:
    headers = Headers(
        {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-cache",
            "Connection": "close",
        }
    )
    return Response(HTTPStatus.OK, "OK", headers, body)
