"""How a program with many questions reaches a node: many calls at a time share a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from dicast.base.errors import LocalProtocolError
from dicast.client_channel import Event, EventSink, SocketChannel, garbled, not_running, stopped
from dicast.daemon import api, frames

NO_CALL = 0
"""The id of what the node says about a line that is no call."""
CALLS_A_CONNECTION_MAX = 48
"""The node takes 64; a call that was cancelled here is open there until it has heard so."""


class SharedChannel:
    """Calls over the socket of a running node; what the node says of many of them it writes at once.

    A connection is opened when the others are full, and stays until `close`, the node's end, or a line that
    cannot be read.
    """

    def __init__(self, path: Path, calls_max: int = CALLS_A_CONNECTION_MAX) -> None:
        self._path = path
        self._calls_max = calls_max
        self._alone = SocketChannel(path)
        self._shared: list[_Shared] = []
        self._opening = asyncio.Lock()

    async def call(self, call: api.AnyCall, kind: Any, on_event: EventSink | None = None) -> Any:
        """See `Channel.call`."""
        shared = await self._with_room()
        result = await shared.call(call, on_event)
        return msgspec.json.decode(result, type=kind)

    def events(self, call: api.Events) -> AsyncIterator[Event]:
        """See `Channel.events`: these have a connection of their own."""
        return self._alone.events(call)

    def close(self) -> None:
        """Give the connections back, and end the calls that are open."""
        for shared in self._shared:
            shared.close()
        self._shared.clear()

    async def _with_room(self) -> _Shared:
        async with self._opening:
            self._shared = [one for one in self._shared if one.is_open]
            found = next((one for one in self._shared if one.calls < self._calls_max), None)
            if found is None:
                found = _Shared(*await self._opened())
                self._shared.append(found)
            found.calls += 1
            return found

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            return await asyncio.open_unix_connection(str(self._path), limit=frames.REPLY_BYTES_MAX)
        except (OSError, ValueError) as error:
            raise not_running(self._path) from error


class _Call:
    def __init__(self, on_event: EventSink | None) -> None:
        self._on_event = on_event
        self.is_over = False
        """Whether the node said how it ended."""
        self.result: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()

    def hear(self, frame: frames.ReplyFrame) -> None:
        """What a listener raises ends this call, and no other."""
        if frame.id != NO_CALL and (frame.error is not None or frame.result):
            self.is_over = True
        if self.result.done():
            return
        try:
            if frame.error is not None:
                raise frames.error_of(frame.error)
            if frame.result:
                self.result.set_result(frame.result)
            elif self._on_event is not None and (event := frames.event_of(frame)) is not None:
                self._on_event(event)
        except Exception as error:
            self.fail(error)

    def fail(self, failure: Exception) -> None:
        """It has no result."""
        if not self.result.done():
            self.result.set_exception(failure)


class _Shared:
    """One connection. `calls` are those for which it was chosen."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls = 0
        self.is_open = True
        self._reader = reader
        self._writer = writer
        self._number = 0
        self._open: dict[int, _Call] = {}
        self._hearing = asyncio.get_running_loop().create_task(self._hear())

    async def call(self, call: api.AnyCall, on_event: EventSink | None) -> msgspec.Raw:
        """The result as it came. Whoever leaves earlier ends the call at the node, too."""
        self._number += 1
        number, made = self._number, _Call(on_event)
        try:
            self._say(frames.call_line(number, call))
            self._open[number] = made
            return await made.result
        finally:
            self.calls -= 1
            was_said = self._open.pop(number, None) is not None
            if was_said and not made.is_over and self.is_open:
                self._writer.write(frames.cancel_line(number))

    def _say(self, line: bytes) -> None:
        if len(line) > frames.CALL_BYTES_MAX:  # the node's refusal would not say which it is
            most = frames.CALL_BYTES_MAX
            raise LocalProtocolError("call_too_large", f"A call has at most {most} bytes.")
        self._writer.write(line)

    def close(self) -> None:
        """End it, and the calls that are open."""
        self.is_open = False
        self._hearing.cancel()
        self._writer.close()

    def _meant_by(self, frame: frames.ReplyFrame) -> list[_Call]:
        """Whose call it is; an error of no call is everybody's. Of one that was cancelled nobody hears."""
        if frame.id == NO_CALL:
            return list(self._open.values())
        made = self._open.get(frame.id)
        return [] if made is None else [made]

    async def _hear(self) -> None:
        failure = stopped
        try:
            while True:
                frame = frames.read_reply(await self._reader.readuntil(b"\n"))
                for made in self._meant_by(frame):
                    made.hear(frame)
        except (asyncio.IncompleteReadError, OSError):
            pass
        except (asyncio.LimitOverrunError, msgspec.DecodeError, UnicodeDecodeError):
            failure = garbled
        finally:
            self.is_open = False
            self._writer.close()
            for made in self._open.values():
                made.fail(failure())
