"""Live events over HTTP: server-sent events that can be resumed, and a WebSocket that can be asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from dicast.gateway.errors import Dialect, GatewayError, invalid
from dicast.gateway.native.live import TYPES, Filter, Listener, Live, Said
from dicast.gateway.native.queries import EventsQuery, read_query
from dicast.gateway.native.subscribing import Subscribe, Subscribing, Unsubscribe
from dicast.gateway.parts import Parts
from dicast.gateway.replies import STREAM_HEADERS

HEARTBEAT = b": still here\n\n"
SUBPROTOCOL = "dicast"
MESSAGE_BYTES_MAX = 64 * 1024
"""Of what a client sends over the WebSocket: a filter or an example."""
ORDERS_A_SECOND = 20
ORDERS_AT_ONCE = 60
"""More than any page says: who says more is heard later, since nothing else is read meanwhile."""
POLICY = 1008
"""WebSocket's code for `you may not`."""


class Narrow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tell me these events only."""

    op: Literal["filter"]
    types: tuple[str, ...] | None = None
    round: str | None = None
    logs: bool = False


class Ping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Are you there?"""

    op: Literal["ping"]


class _Named(msgspec.Struct, frozen=True):
    op: str


Order = Narrow | Ping | Subscribe | Unsubscribe
ORDERS: dict[str, type[Order]] = {
    "filter": Narrow,
    "ping": Ping,
    "subscribe": Subscribe,
    "unsubscribe": Unsubscribe,
}
"""What a client may say over the WebSocket."""


class EventStream(Response):
    """Server-sent events of one listener, until it leaves, its key is revoked, or the gateway stops."""

    def __init__(self, live: Live, listener: Listener, still_allowed: Callable[[], None], pause_s: float):
        super().__init__(headers=STREAM_HEADERS)
        del self.headers["content-length"]
        self._live = live
        self._listener = listener
        self._still_allowed = still_allowed
        self._pause_s = pause_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Speak until the end."""
        leaving = asyncio.ensure_future(_left(receive, self._listener))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await _write(send, HEARTBEAT)
            await self._follow(send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._listener.close()
            leaving.cancel()

    async def _follow(self, send: Send) -> None:
        while True:
            missed, taken = await self._listener.take(self._pause_s)
            try:
                self._still_allowed()
            except GatewayError as error:
                await _write(send, b"data: " + error_text(error) + b"\n\n")
                return
            chunk = b"".join(self._lines(missed, taken)) or HEARTBEAT
            if taken or missed or not self._listener.closed:
                await _write(send, chunk)
            if self._listener.closed and not taken:
                return

    def _lines(self, missed: int, taken: Iterable[Said]) -> Iterable[bytes]:
        if missed:
            yield b"data: " + self._live.gap(missed) + b"\n\n"
        yield from (said.line for said in taken)


class StreamRoutes:
    """Answers `GET /api/events` and the WebSocket `/api/ws`."""

    def __init__(self, parts: Parts, live: Live) -> None:
        self._parts = parts
        self._live = live

    async def events(self, request: Request) -> Response:
        """Server-sent events."""
        query = read_query(request.query_params, EventsQuery)
        if request.method == "HEAD":
            return Response(headers=STREAM_HEADERS)
        types = tuple(name for name in query.types.split(",") if name)
        last_id = request.headers.get("last-event-id", query.last_event_id)
        listener = self._live.listen(_filter(types, query.round, query.logs), last_id)
        check = request.scope["dicast_caller"].check
        return EventStream(self._live, listener, check, self._parts.budgets.keep_alive_s)

    async def socket(self, socket: WebSocket) -> None:
        """The same events over a WebSocket, with a filter that can be changed."""
        offered = socket.scope.get("subprotocols", ())
        await socket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
        try:
            listener = self._live.listen(Filter())
        except GatewayError as error:
            await socket.close(POLICY, error.code)
            return
        subscribing = Subscribing(self._parts, self._live, lambda text: socket.send_text(text.decode()))
        hearing = asyncio.ensure_future(self._hear(socket, listener, subscribing))
        try:
            await self._speak(socket, listener)
        except (WebSocketDisconnect, RuntimeError, OSError):
            pass  # it went away
        finally:
            listener.close()
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)
            await subscribing.close()

    async def _speak(self, socket: WebSocket, listener: Listener) -> None:
        check = socket.scope["dicast_caller"].check
        while True:
            missed, taken = await listener.take(self._parts.budgets.keep_alive_s)
            try:
                check()
            except GatewayError as error:
                await socket.close(POLICY, error.code)
                return
            gap = (self._live.gap(missed),) if missed else ()
            if text := b"\n".join((*gap, *(said.text for said in taken))):
                await socket.send_text(text.decode())
            if listener.closed and not taken:
                await socket.close()
                return

    async def _hear(self, socket: WebSocket, listener: Listener, subscribing: Subscribing) -> None:
        """Follow orders until the client leaves, and no faster than `Pace` lets it."""
        pace = Pace()
        try:
            while True:
                await asyncio.sleep(pace.wait_s())
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                text = message.get("text") or (message.get("bytes") or b"").decode(errors="replace")
                await socket.send_text(_obey(text, listener, subscribing).decode())
        except (WebSocketDisconnect, RuntimeError, OSError):
            pass  # it went away while it was answered
        finally:
            listener.close()


class Pace:
    """A bucket of orders that fills steadily."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = float(ORDERS_AT_ONCE)
        self._at_s = clock()

    def wait_s(self) -> float:
        """Count one order; how long to wait before it is read."""
        now_s = self._clock()
        filled = self._left + (now_s - self._at_s) * ORDERS_A_SECOND
        self._left, self._at_s = min(float(ORDERS_AT_ONCE), filled) - 1, now_s
        return max(0.0, -self._left / ORDERS_A_SECOND)


def error_text(error: GatewayError) -> bytes:
    """An error as an event."""
    return msgspec.json.encode({"type": "error", "data": error.body(Dialect.NATIVE)["error"]})


def _obey(text: str, listener: Listener, subscribing: Subscribing) -> bytes:
    """Do what an order says; the answer to it."""
    try:
        name = msgspec.json.decode(text, type=_Named).op
        if name not in ORDERS:
            raise invalid("op", f"there are {', '.join(ORDERS)}.")
        order = msgspec.json.decode(text, type=ORDERS[name])
        match order:
            case Ping():
                return b'{"type":"pong","data":{}}'
            case Narrow():
                listener.wanted = _filter(order.types or (), order.round or "", order.logs)
                return b'{"type":"filtered","data":{}}'
            case Subscribe():
                subscribing.add(order)
                return msgspec.json.encode({"type": "subscribed", "data": {"name": order.name}})
            case Unsubscribe():
                subscribing.remove(order.name)
                return msgspec.json.encode({"type": "unsubscribed", "data": {"name": order.name}})
    except GatewayError as error:
        return error_text(error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return error_text(GatewayError("invalid_request", f"This is no order: {error}."))


def _filter(types: tuple[str, ...], round_: str, logs: bool) -> Filter:
    unknown = [name for name in types if name not in TYPES]
    if unknown:
        raise invalid(
            "types", f"there is no event {unknown[0][:64]!r}; there are {', '.join(sorted(TYPES))}."
        )
    return Filter(frozenset(types), round_, logs)


async def _write(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _left(receive: Receive, listener: Listener) -> None:
    """A client that goes away, or closes its sending half, listens no longer."""
    while (await receive())["type"] != "http.disconnect":
        pass
    listener.close()
