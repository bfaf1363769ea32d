"""Responses: JSON whole, or a stream that stays alive until the verdict; who leaves ends the work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, NamedTuple, TypeVar

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dicast.client_channel import EventSink
from dicast.gateway.asking import Agreed
from dicast.gateway.errors import Dialect, GatewayError
from dicast.gateway.flow import Flow, Telling
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


class Watching(NamedTuple):
    """Whether the caller may still listen (raises GatewayError), who counts errors, and the heartbeat."""

    still_allowed: Callable[[], None]
    count_error: Callable[[str], None]
    keep_alive_s: float = KEEP_ALIVE_S


class AnswerStream(Response):
    """Provisional text as it comes, if any was asked for; then the agreed answer, or why there is none."""

    def __init__(
        self, work: Callable[[EventSink], Coroutine[Any, Any, Agreed]], telling: Telling, watching: Watching
    ) -> None:
        super().__init__(headers=STREAM_HEADERS)
        del self.headers["content-length"]
        self._work = work
        self._telling = telling
        self._watching = watching
        self._flow = Flow()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Speak until the end, or until the client is gone."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await _write(send, self._telling.waiting)
        working = asyncio.ensure_future(self._work(self._flow.hear))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            said = await self._follow(send, working, leaving)
        except GatewayError as error:
            self._watching.count_error(error.code)
            said = self._telling.failed(self._flow.denied(error))
        finally:
            await _ended(working, leaving)
        for chunk in said:
            await _write(send, chunk)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _follow(
        self, send: Send, working: asyncio.Future[Agreed], leaving: asyncio.Future[None]
    ) -> Iterable[bytes]:
        """Tell what comes until there is an answer; nothing more is said to who has left."""
        while not working.done():
            news = asyncio.ensure_future(self._flow.news.wait())
            await asyncio.wait(
                {working, leaving, news},
                timeout=self._watching.keep_alive_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            await _ended(news)
            if leaving.done():
                return ()
            self._watching.still_allowed()
            await self._show(send, is_over=working.done())
        agreed = working.result()
        return tuple(self._telling.agreed(agreed, self._flow.settled(agreed)))

    async def _show(self, send: Send, *, is_over: bool) -> None:
        shown = self._flow.take()
        for piece in shown:
            for chunk in self._telling.provisional(self._flow.request_id, piece):
                await _write(send, chunk)
        if not shown and not is_over:
            await _write(send, self._telling.waiting)


async def _write(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _ended(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
