"""How a client reaches a node: over its Unix socket, one call at a time on a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from dicast.base.errors import AdapterError
from dicast.daemon import api, frames
from dicast.daemon.tellings import Told

T = TypeVar("T")
Event = Told | api.ReportsDropped
EventSink = Callable[[Event], None]


class Channel(Protocol):
    """Carries calls to a node."""

    async def call(self, call: api.AnyCall, kind: type[T], on_event: EventSink | None = None) -> T:
        """The result of a call; its events go to `on_event`. Cancelling ends the call at the node."""
        ...

    def events(self, call: api.Events) -> AsyncIterator[Event]:
        """The events of a call that has no other result."""
        ...


class SocketChannel:
    """Calls over the socket of a running node. A connection that ends, ends its call.

    At most `kept_max` connections stay open for the calls to come, until `close`.
    """

    def __init__(self, path: Path, kept_max: int = 0) -> None:
        self._path = path
        self._kept_max = kept_max
        self._kept: list[_Connection] = []

    async def call(self, call: api.AnyCall, kind: Any, on_event: EventSink | None = None) -> Any:
        """See `Channel.call`."""
        connection = self._taken() or await self._opened()
        is_answered = False
        try:
            connection.say(call)
            while not (frame := await connection.hear()).result:
                event = frames.event_of(frame) if on_event is not None else None
                if event is not None and on_event is not None:
                    on_event(event)
            is_answered = True
            return msgspec.json.decode(frame.result, type=kind)
        finally:
            if is_answered and len(self._kept) < self._kept_max:
                self._kept.append(connection)
            else:
                connection.close()

    async def events(self, call: api.Events) -> AsyncGenerator[Event]:
        """See `Channel.events`."""
        connection = await self._opened()
        try:
            connection.say(call)
            while not (frame := await connection.hear()).result:
                event = frames.event_of(frame)
                if event is not None:
                    yield event
        finally:
            connection.close()

    def close(self) -> None:
        """Give back the connections that are kept; calls may still be made, each over one of its own."""
        self._kept_max = 0
        while self._kept:
            self._kept.pop().close()

    def _taken(self) -> _Connection | None:
        """One of those that are kept, unless the node has closed them meanwhile."""
        while self._kept:
            connection = self._kept.pop()
            if connection.is_open():
                return connection
            connection.close()
        return None

    async def _opened(self) -> _Connection:
        try:
            streams = await asyncio.open_unix_connection(str(self._path), limit=frames.REPLY_BYTES_MAX)
        except (OSError, ValueError) as error:
            raise not_running(self._path) from error
        return _Connection(*streams)


class _Connection:
    """One call after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._number = 0

    def is_open(self) -> bool:
        """Whether the node has not closed it, as far as is known here."""
        return not self._reader.at_eof() and not self._writer.is_closing()

    def say(self, call: api.AnyCall) -> None:
        """Begin a call."""
        self._number += 1
        self._writer.write(frames.call_line(self._number, call))

    async def hear(self) -> frames.ReplyFrame:
        """The next event or the result; an error is raised."""
        try:
            frame = frames.read_reply(await self._reader.readuntil(b"\n"))
        except (asyncio.IncompleteReadError, OSError) as error:
            raise stopped() from error
        except (asyncio.LimitOverrunError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise garbled() from error
        if frame.error is not None:
            raise frames.error_of(frame.error)
        return frame

    def close(self) -> None:
        """End it, and the call that is open."""
        self._writer.close()


def not_running(path: Path) -> AdapterError:
    """The error for a state folder on which no node runs."""
    return AdapterError(
        "node_not_running",
        f"No node is running on {path.parent}.",
        "Start one: `dicast up`; or name its folder with --state-dir.",
    )


def stopped() -> AdapterError:
    """The error for a call whose connection ended."""
    return AdapterError("node_stopped", "The node was stopped before it answered.", "`dicast up` starts it.")


def garbled() -> AdapterError:
    """The error for a reply that is none."""
    return AdapterError("node_garbled", "The node's answer cannot be read.", "Is it of another version?")
