"""One client of a signaller: a paced reader, a bounded queue out; whatever it does, others do not wait."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import assert_never

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from dicast.base.errors import RemoteProtocolError
from dicast.queries.language import parse_query
from dicast.queries.subscriptions import Delivery, Form, Subscriber
from dicast.signalling import frames
from dicast.transports.background import end_tasks

FRAMES_A_SECOND = 50
"""Of one client; a page that introduces itself to a few others sends a dozen at once."""
BYTES_A_SECOND = 512 * 1024
"""The same in bytes: 32 of the largest documents."""
BURST_SECONDS = 2.0
"""What a client that was quiet may send at once."""
GARBAGE_MAX = 32
"""Frames of one client that cannot be read; then it is closed."""
CONTROL_FRAMES_MAX = 256
"""Introductions and the like that a client has not taken; then the oldest are dropped."""
CONTROL_BYTES_MAX = 512 * 1024
"""The same in bytes."""


class Pace:
    """A bucket that holds two seconds' worth of frames and bytes; what is over waits."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock()
        self._spent = 0.0

    def pause_seconds(self, frame_bytes: int) -> float:
        """How long to read nothing after a frame."""
        now = self._clock()
        self._spent = max(0.0, self._spent - (now - self._at))
        self._at = now
        self._spent += max(1 / FRAMES_A_SECOND, frame_bytes / BYTES_A_SECOND)
        return max(0.0, self._spent - BURST_SECONDS)


class Control:
    """Frames out that are no documents: bounded, the oldest dropped first."""

    def __init__(self) -> None:
        self.dropped = 0
        self._frames: deque[bytes] = deque()
        self._bytes = 0

    def put(self, frame: bytes) -> None:
        """Queue one."""
        self._frames.append(frame)
        self._bytes += len(frame)
        while len(self._frames) > CONTROL_FRAMES_MAX or self._bytes > CONTROL_BYTES_MAX:
            self._bytes -= len(self._frames.popleft())
            self.dropped += 1

    def take(self) -> bytes | None:
        """The next, or None."""
        if not self._frames:
            return None
        frame = self._frames.popleft()
        self._bytes -= len(frame)
        return frame


class Member:
    """A connected client. `answer` performs what only the signaller can: publish, introduce, name peers."""

    def __init__(self, number: int, answer: Callable[[Member, frames.Call], None]) -> None:
        self.number = number
        self.hello: frames.Hello | None = None
        self.subscriber: Subscriber | None = None
        self.catch_up: Callable[[str], bool] = lambda _: True
        self._answer = answer
        self._control = Control()
        self._after: deque[bytes] = deque(maxlen=CONTROL_FRAMES_MAX)
        self._ready = asyncio.Event()

    def wake(self) -> None:
        """There is something to write."""
        self._ready.set()

    def say(self, frame: bytes) -> None:
        """Queue a frame."""
        self._control.put(frame)
        self._ready.set()

    def deliver(self, delivery: Delivery) -> None:
        """Queue a document that was asked for by id."""
        for frame in frames.say_delivery(delivery):
            self.say(frame)

    async def run(self, connection: ServerConnection) -> None:
        """Carry frames both ways until the connection ends."""
        writing = asyncio.create_task(self._write(connection))
        try:
            with suppress(ConnectionClosed):
                await self._read(connection)
        finally:
            try:
                await end_tasks(writing)
                await connection.close()
            finally:
                connection.transport.abort()  # closing waits for the other side, and may be cancelled

    async def _read(self, connection: ServerConnection) -> None:
        pace, garbage = Pace(), 0
        while garbage < GARBAGE_MAX:
            frame = await connection.recv(decode=False)
            if not self._take(frame):
                garbage += 1
            pause = pace.pause_seconds(len(frame))
            if pause:
                await asyncio.sleep(pause)
        await connection.close(1008, "too much that cannot be read")

    def _take(self, frame: bytes) -> bool:
        """One frame; False when it could not be read."""
        try:
            call = frames.read_call(frame)
        except RemoteProtocolError as error:
            self._refuse(error, "")
            return False
        try:
            self._perform(call)
        except RemoteProtocolError as error:
            self._refuse(error, call.id if isinstance(call, frames.Subscribe) else "")
        return True

    def _perform(self, call: frames.Call) -> None:
        subscriber = self.subscriber
        assert subscriber is not None, "a member joins before it is read"
        match call:
            case frames.Subscribe():
                subscriber.add(call.id, parse_query(bytes(call.query)), Form(call.form))
                is_complete = self.catch_up(call.id) if call.backlog else True
                self._after.append(frames.say("caught_up", id=call.id, complete=is_complete))
                self._ready.set()
            case frames.Unsubscribe():
                subscriber.remove(call.id)
            case frames.Hello():
                self.hello = call
                self._answer(self, call)
            case frames.Publish() | frames.Want() | frames.Introduce() | frames.Peers():
                self._answer(self, call)
            case _:
                assert_never(call)

    def _refuse(self, error: RemoteProtocolError, about: str) -> None:
        self.say(frames.say("refused", code=error.code, message=error.message, about=about))

    async def _write(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                await self._ready.wait()
                self._ready.clear()
                while (frame := self._next()) is not None:
                    await connection.send(frame, text=True)

    def _next(self) -> bytes | None:
        """Control first, then documents, then what may only follow them."""
        frame = self._control.take()
        if frame is not None:
            return frame
        delivery = self.subscriber.take() if self.subscriber is not None else None
        if delivery is not None:
            return frames.say_delivery(delivery)[0]
        return self._after.popleft() if self._after else None
