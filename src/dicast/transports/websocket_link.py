"""One WebSocket link of the mesh: a queue out, a paced reader in, whatever the other side does."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed

from dicast.base.limits import PACKET_BYTES_MAX
from dicast.transports.announcements import Announcements
from dicast.transports.background import described, end_tasks
from dicast.transports.packet_queue import PacketQueue

HOPS_MAX = 8  # a mesh in which everybody knows three others reaches thousands in fewer
FRAME_BYTES_MAX = 1 + PACKET_BYTES_MAX  # how many hops are left, then the packet
FRAMES_AHEAD_MAX = 8  # read ahead of us; then the other side feels back-pressure
LINK_PACKETS_MAX = 512  # waiting on one link; what is older is stale
LINK_BYTES_MAX = 1 << 20  # a thousand stalled links of a hub hold copies of the same packets
HEARTBEAT_SECONDS = 10.0  # a dead link is noticed within two of these
OPEN_SECONDS_MAX = 10.0  # name look-up, TCP, TLS and the upgrade
CLOSE_SECONDS_MAX = 0.5  # saying goodbye must not hold up stopping
GARBAGE_FRAMES_MAX = 64  # of one link; then it is closed
PACKETS_A_SECOND = 5_000  # of one link, more than a busy network sends and a fifth of what a node can check
BYTES_A_SECOND = 16 << 20  # of one link; whoever sends more waits

LOGGER = logging.getLogger("dicast.websocket")  # the library logs a traceback for each port scan
LOGGER.addHandler(logging.NullHandler())
LOGGER.propagate = False


def served(frame_bytes_max: int) -> dict[str, Any]:
    """Options of a server of links: everything bounded that the other side decides."""
    return {**_bounds(frame_bytes_max), "server_header": "dicast"}


def dialled(frame_bytes_max: int) -> dict[str, Any]:
    """Options of `Connect` for a link: the same bounds, and no proxy in between."""
    return {**_bounds(frame_bytes_max), "user_agent_header": "dicast", "proxy": None}


def _bounds(frame_bytes_max: int) -> dict[str, Any]:
    return {
        "compression": None,
        "max_size": frame_bytes_max,
        "max_queue": FRAMES_AHEAD_MAX,
        "open_timeout": OPEN_SECONDS_MAX,
        "close_timeout": CLOSE_SECONDS_MAX,
        "ping_interval": HEARTBEAT_SECONDS,
        "ping_timeout": HEARTBEAT_SECONDS,
        "logger": LOGGER,
    }


OnFrame = Callable[["Link", bytes], bool]


class Pace:
    """A bucket that holds a second's worth of packets and of bytes; what is over waits."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._filled_at = clock()
        self._spent = 0.0

    def pause_seconds(self, frame_bytes: int) -> float:
        """How long to read nothing after a frame."""
        now = self._clock()
        self._spent = max(0.0, self._spent - (now - self._filled_at))
        self._filled_at = now
        self._spent += max(1 / PACKETS_A_SECOND, frame_bytes / BYTES_A_SECOND)
        return max(0.0, self._spent - 1.0)


class Link:
    """The other side of a connection, or of a connection to be; `on_frame` says False to garbage."""

    is_text = False
    """Whether what is sent is text; what comes may be either."""

    def __init__(self, address: str, topic: str, on_frame: OnFrame) -> None:
        self.address = address
        self.topic = topic
        self.queue = PacketQueue(LINK_PACKETS_MAX, LINK_BYTES_MAX)
        self.is_up = False
        self.was_up = False
        self.is_rude = False
        self.problem = ""
        self.sent = 0
        self.garbage = 0
        self._on_frame = on_frame
        self._connection: Connection | None = None
        self.announcements = Announcements()

    async def run(self, connection: Connection) -> None:
        """Carry frames both ways until the connection ends."""
        self.is_up = self.was_up = True
        self._connection = connection
        writing = asyncio.create_task(self._write(connection))
        try:
            self.problem = await self._read(connection)
        finally:
            self.is_up = False
            self.announcements.clear()
            try:
                await end_tasks(writing)
                await connection.close()
            finally:
                connection.transport.abort()  # closing waits for the other side, and may be cancelled

    @property
    def round_trip_ms(self) -> int | None:
        """Of the latest ping, once there was one."""
        latency = self._connection.latency if self._connection is not None and self.is_up else 0
        return round(latency * 1000) if latency else None

    async def _write(self, connection: Connection) -> None:
        with suppress(ConnectionClosed):
            while True:
                frames = await self.queue.take()
                try:
                    await connection.send(frames[0], text=self.is_text)
                except BaseException:
                    self.queue.put_back(frames)
                    raise
                self.sent += 1
                self.queue.done()

    async def _read(self, connection: Connection) -> str:
        pace, garbage = Pace(), 0
        while garbage < GARBAGE_FRAMES_MAX:
            try:
                frame = await connection.recv(decode=False)
            except ConnectionClosed as closed:
                return described(closed)
            if not self._on_frame(self, frame):
                garbage += 1
                self.garbage += 1
            pause = pace.pause_seconds(len(frame))
            if pause:
                await asyncio.sleep(pause)
        self.is_rude = True
        return "it sent too much that no node sends"
