"""Queries by example over the WebSocket: of events, and of the documents of `dicast subscribe`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any, Literal

import msgspec

from dicast.base.errors import DicastError
from dicast.gateway.errors import Dialect, GatewayError, of_node
from dicast.gateway.native.live import Filter, Listener, Live
from dicast.gateway.parts import Parts
from dicast.queries.json_text import QueryError, read_object
from dicast.queries.language import Query, parse_query
from dicast.queries.matching import matches
from dicast.signalling.client import Signallers, subscribe

QUERIES_MAX = 16
"""Of one WebSocket: a dashboard with several boxes; each costs a match an event, or a connection."""
EVENT_BYTES_MAX = 256 * 1024
"""Larger events (a verdict over 256 seats has 40 kB) match nothing."""
NAME_MAX = 64
PAUSE_S = 60.0
Say = Callable[[bytes], Awaitable[None]]


class Subscribe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tell me of what looks like `query`; `name` stands in every answer."""

    op: Literal["subscribe"]
    name: str
    query: dict[str, Any]
    of: Literal["events", "documents"] = "events"
    backlog: bool = False


class Unsubscribe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tell me no more."""

    op: Literal["unsubscribe"]
    name: str


class _Signed(msgspec.Struct, frozen=True):
    content: str


class Subscribing:
    """The queries of one WebSocket."""

    def __init__(self, parts: Parts, live: Live, say: Say) -> None:
        self._parts = parts
        self._live = live
        self._say = say
        self._running: dict[str, asyncio.Task[None]] = {}

    def add(self, order: Subscribe) -> None:
        """Follow a query, in place of what its name stood for. Raises GatewayError."""
        if not 0 < len(order.name) <= NAME_MAX:
            raise GatewayError("invalid_request", f"A name has 1 to {NAME_MAX} characters.", field="name")
        if order.name not in self._running and len(self._running) >= QUERIES_MAX:
            raise GatewayError("overloaded", f"{QUERIES_MAX} queries run on this connection already.")
        text = msgspec.json.encode(order.query)
        try:
            query = parse_query(text)
        except QueryError as error:
            raise GatewayError("invalid_request", error.message, field="query") from error
        signallers = self._parts.signallers
        self.remove(order.name)
        if order.of == "events":
            listener = self._live.listen(Filter(logs=True))
            self._run(order.name, self._events(order.name, query, listener))
        elif signallers is None:
            why = "This gateway knows no signaller: start it with --signaller."
            raise GatewayError("unsupported", why, field="of")
        else:
            self._run(order.name, self._documents(order, text, signallers))

    def remove(self, name: str) -> None:
        """Follow it no longer; harmless when nobody did."""
        task = self._running.pop(name, None)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Follow nothing more."""
        tasks = tuple(self._running.values())
        for name in tuple(self._running):
            self.remove(name)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _run(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._running[name] = asyncio.get_running_loop().create_task(work)

    async def _events(self, name: str, query: Query, listener: Listener) -> None:
        try:
            while not listener.closed:
                missed, taken = await listener.take(PAUSE_S)
                if missed:
                    await self._say(self._live.gap(missed))
                for said in (one for one in taken if is_like(query, one.text)):
                    await self._tell("match", {"name": name, "event": msgspec.Raw(said.text)})
        finally:
            listener.close()

    async def _documents(self, order: Subscribe, text: bytes, signallers: Signallers) -> None:
        try:
            network = (await self._parts.client.status()).network
            found = subscribe(signallers, text, network, order.backlog)
            async with aclosing(found):
                async for document in found:
                    signed = msgspec.json.decode(document.wire, type=_Signed)
                    told = {
                        "name": order.name,
                        "document_id": document.id,
                        "author": document.author,
                        "created_at": document.created_at,
                        "document": msgspec.Raw(signed.content.encode()),
                    }
                    await self._tell("document", told)
        except DicastError as error:
            body = of_node(error).body(Dialect.NATIVE)["error"]
            await self._tell("error", {**body, "name": order.name})

    async def _tell(self, kind: str, values: dict[str, Any]) -> None:
        await self._say(msgspec.json.encode({"type": kind, "data": values}))


def is_like(query: Query, text: bytes) -> bool:
    """Whether an event's envelope is what a query asks for."""
    try:
        return matches(query, read_object(text, EVENT_BYTES_MAX))
    except QueryError:
        return False
