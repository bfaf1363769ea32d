"""How a client reaches a node: over its Unix socket, one connection a call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from dicast.base.errors import AdapterError
from dicast.daemon import api
from dicast.daemon.tellings import Told

T = TypeVar("T")
Event = Told | api.ReportsDropped
EventSink = Callable[[Event], None]
_REPLIES = msgspec.json.Decoder(api.ReplyFrame)


class Channel(Protocol):
    """Carries calls to a node."""

    async def call(self, call: api.AnyCall, kind: type[T], on_event: EventSink | None = None) -> T:
        """The result of a call; its events go to `on_event`. Cancelling ends the call at the node."""
        ...

    def events(self, call: api.Events) -> AsyncIterator[Event]:
        """The events of a call that has no other result."""
        ...


class SocketChannel:
    """Calls over the socket of a running node. A connection that ends, ends its call."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def call(self, call: api.AnyCall, kind: Any, on_event: EventSink | None = None) -> Any:
        """See `Channel.call`."""
        async with self._connection(call) as reader:
            while not (frame := await _frame(reader)).result:
                event = api.decode_event(bytes(frame.event))
                if event is not None and on_event is not None:
                    on_event(event)
            return msgspec.json.decode(frame.result, type=kind)

    async def events(self, call: api.Events) -> AsyncGenerator[Event]:
        """See `Channel.events`."""
        async with self._connection(call) as reader:
            while not (frame := await _frame(reader)).result:
                event = api.decode_event(bytes(frame.event))
                if event is not None:
                    yield event

    @asynccontextmanager
    async def _connection(self, call: api.AnyCall) -> AsyncGenerator[asyncio.StreamReader]:
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._path), limit=api.REPLY_BYTES_MAX)
        except (OSError, ValueError) as error:
            raise not_running(self._path) from error
        try:
            writer.write(msgspec.json.encode(api.CallFrame(1, call)) + b"\n")
            yield reader
        finally:
            writer.close()


def not_running(path: Path) -> AdapterError:
    """The error for a state folder on which no node runs."""
    return AdapterError(
        "node_not_running",
        f"No node is running on {path.parent}.",
        "Start one: `dicast up`; or name its folder with --state-dir.",
    )


async def _frame(reader: asyncio.StreamReader) -> api.ReplyFrame:
    """The next event or the result; an error is raised."""
    try:
        frame = _REPLIES.decode(await reader.readuntil(b"\n"))
    except (asyncio.IncompleteReadError, OSError) as error:
        raise AdapterError(
            "node_stopped", "The node was stopped before it answered.", "`dicast up` starts it."
        ) from error
    except (asyncio.LimitOverrunError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AdapterError(
            "node_garbled", "The node's answer cannot be read.", "Is it of another version?"
        ) from error
    if frame.error is not None:
        raise api.error_of(frame.error)
    return frame
