"""Opening a link of the mesh: what the request says, and what a refusal means."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.http11 import Request, Response

ADDRESS_CHARS_MAX = 200  # what a peer says of itself ends in a status line


def page_of(status: int, headers: Mapping[str, str], body: bytes) -> Response:
    """A plain answer, after which the connection is closed."""
    every = Headers({**headers, "Content-Length": str(len(body))})
    return Response(status, HTTPStatus(status).phrase, every, body)


def topic_of(request: Request) -> str:
    """The last part of the path, where it looks like a topic; before it a proxy may want its own."""
    topic = request.path.partition("?")[0].rpartition("/")[2]
    return topic if len(topic) == 64 and all(char in "0123456789abcdef" for char in topic) else ""


def header(request: Request, name: str) -> str:
    """A header as far as it can be shown; empty when it is missing."""
    value = (request.headers.get_all(name) or [""])[0]
    return value[:ADDRESS_CHARS_MAX] if value.isprintable() else ""


def remote_of(connection: ServerConnection) -> str:
    """Where the other side dialled from."""
    remote = connection.remote_address
    return url_of(remote[0], remote[1]) if remote else "unknown"


def url_of(host: str, port: int) -> str:
    """An IP address and a port as an address of the mesh."""
    return f"ws://[{host}]:{port}" if ":" in host else f"ws://{host}:{port}"


def refusal(error: InvalidStatus) -> str:
    """Why the other side did not let us in."""
    reasons = {404: "it is on another network", 403: "it takes no pages", 409: "this is our own address"}
    status = error.response.status_code
    return reasons.get(status, f"it answers with HTTP {status}")
