"""Responses: JSON whole, or a stream that stays alive until the verdict; who leaves ends the work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, NamedTuple, TypeVar

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dicast.gateway.errors import Dialect, GatewayError
from dicast.gateway.told import dicast_headers

T = TypeVar("T")
KEEP_ALIVE_S = 10.0
"""Proxies commonly give up on a silent connection after 60 s."""
STREAM_HEADERS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store"}
PIECE_CHARS = 64
"""Of an agreed answer in one chunk: a line of text."""


class ClientGoneError(Exception):
    """Whoever asked closed the connection."""


def json_response(body: Any, headers: dict[str, str] | None = None, status: int = 200) -> Response:
    """A whole body."""
    return Response(msgspec.json.encode(body), status, headers, "application/json")


def error_response(error: GatewayError, dialect: Dialect) -> Response:
    """An error in the shape of its dialect."""
    told = error.told or {}
    headers = {**error.headers, **(dicast_headers(told) if "outcome" in told else {})}
    return json_response(error.body(dialect), headers, error.kind.status)


def event(value: Any, name: str = "") -> bytes:
    """One server-sent event."""
    head = b"event: " + name.encode() + b"\n" if name else b""
    return head + b"data: " + msgspec.json.encode(value) + b"\n\n"


def pieces(text: str) -> Iterable[str]:
    """An answer in chunks."""
    return (text[start : start + PIECE_CHARS] for start in range(0, len(text), PIECE_CHARS))


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the client goes away (then ClientGoneError)."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGoneError
        return working.result()
    finally:
        await _ended(working, leaving)


class Saying(NamedTuple):
    """How a dialect streams: what it sends while it waits, the agreed answer, and an error."""

    waiting: bytes
    agreed: Callable[[Any], Iterable[bytes]]
    failed: Callable[[GatewayError], Iterable[bytes]]


class VerdictStream(Response):
    """Waits for the verdict, then sends the agreed answer as chunks. `still_allowed` raises GatewayError."""

    def __init__(
        self,
        work: Callable[[], Coroutine[Any, Any, Any]],
        saying: Saying,
        still_allowed: Callable[[], None],
        keep_alive_s: float = KEEP_ALIVE_S,
    ) -> None:
        super().__init__(headers=STREAM_HEADERS)
        del self.headers["content-length"]
        self._work = work
        self._saying = saying
        self._still_allowed = still_allowed
        self._keep_alive_s = keep_alive_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Speak until the end, or until the client is gone."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await _write(send, self._saying.waiting)
        working, leaving = asyncio.ensure_future(self._work()), asyncio.ensure_future(_left(receive))
        try:
            said = await self._follow(send, working, leaving)
        except GatewayError as error:
            said = self._saying.failed(error)
        finally:
            await _ended(working, leaving)
        for chunk in said:
            await _write(send, chunk)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _follow(
        self, send: Send, working: asyncio.Future[Any], leaving: asyncio.Future[None]
    ) -> Iterable[bytes]:
        """Keep the connection alive until there is an answer; nothing more is said to who has left."""
        while not working.done():
            await asyncio.wait(
                {working, leaving}, timeout=self._keep_alive_s, return_when=asyncio.FIRST_COMPLETED
            )
            if leaving.done():
                return ()
            self._still_allowed()
            if not working.done():
                await _write(send, self._saying.waiting)
        return self._saying.agreed(working.result())


async def _write(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _ended(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
