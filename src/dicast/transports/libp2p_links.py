"""Connections of a libp2p host: how many strangers may hold, and that none outlives its end or the host's.

The package counts who ever came in, not who is there, and waits for ever for whoever takes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

from dicast.protocol.places import NEAR, UNREADABLE, subnet_of

INBOUND_MAX = 96  # of 128 connections: the rest is for those we dial ourselves
INBOUND_A_SUBNET_MAX = 24  # four subnets at least share the places, but for a LAN's and a proxy's
WEB_DIALS_MAX = 1 << 62  # the package counts every WebSocket that was ever dialled
WEB_MESSAGE_BYTES_MAX = 256 * 1024  # one frame of Noise is 64 KiB; others put a few into one message
WRITE_SECONDS_MAX = 20.0  # whoever takes nothing for so long is gone
CLOSE_SECONDS_MAX = 1.0  # saying goodbye

Handler = Callable[[Any], Awaitable[None]]


class Line:
    """A connection as bytes, in place of the package's: it says when it ended, and never waits for ever."""

    def __init__(self, stream: Any) -> None:
        self._trio: Any = import_module("trio")
        self._stream = stream
        self._remote = _remote_of(stream)
        self._ends_empty = hasattr(stream, "stream")  # TCP's; a WebSocket's raises at its end
        self.ended: Any = self._trio.Event()

    async def read(self, count: int | None = None) -> bytes:
        """At most so many bytes; none at the end."""
        try:
            read: bytes = await self._stream.read(count)
        except Exception:
            self.ended.set()
            raise
        if not read and count != 0 and self._ends_empty:
            self.ended.set()
        return read

    async def write(self, data: bytes) -> None:
        """All of it; raises `ConnectionResetError` when the other side takes nothing."""
        try:
            with self._trio.fail_after(WRITE_SECONDS_MAX):
                await self._stream.write(data)
        except self._trio.TooSlowError as error:  # half of it may be written: nothing more can be
            await self.close()
            raise ConnectionResetError("it takes nothing") from error
        except Exception:
            self.ended.set()
            raise

    async def close(self) -> None:
        """Give the socket back: the package's WebSockets keep theirs when the other side closed first."""
        self.ended.set()
        socket = getattr(getattr(self._stream, "_ws_connection", None), "_stream", None)
        with self._trio.CancelScope(shield=True):
            with self._trio.move_on_after(CLOSE_SECONDS_MAX), suppress(Exception):  # it is closed
                await self._stream.close()
            with suppress(Exception):
                await self._trio.aclose_forcefully(socket)

    def get_remote_address(self) -> tuple[str, int] | None:
        """Host and port; the package's own knows no IPv6."""
        return self._remote

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Lines:
    """All connections of one host."""

    def __init__(self) -> None:
        self._trio: Any = import_module("trio")
        self._open: set[Line] = set()
        self._inbound: Counter[str] = Counter()

    def transports(self) -> list[Any]:
        """TCP and WebSocket whose connections are counted here."""
        upgrader = import_module("libp2p.transport.upgrader").TransportUpgrader({}, {})
        package = import_module("libp2p.transport.websocket.transport")
        config = package.WebsocketConfig(
            max_connections=WEB_DIALS_MAX, max_message_size=WEB_MESSAGE_BYTES_MAX
        )
        tcp = import_module("libp2p.transport.tcp.tcp").TCP()
        return [self._counted(tcp), self._counted(package.WebsocketTransport(upgrader, config))]

    async def close(self) -> None:
        """What is still open when the host has ended."""
        async with self._trio.open_nursery() as nursery:
            for line in self._open:
                nursery.start_soon(line.close)
        self._open.clear()

    def _counted(self, transport: Any) -> Any:
        create, dial = transport.create_listener, transport.dial

        def listener(handler: Handler) -> Any:
            return create(self._guarded(handler))

        async def dialled(address: Any) -> Any:
            for line in [each for each in self._open if each.ended.is_set()]:
                self._open.discard(line)
                await line.close()
            raw = await dial(address)
            getattr(transport, "_connections", {}).clear()  # what the package only ever adds to
            raw.stream = Line(raw.stream)
            self._open.add(raw.stream)
            return raw

        transport.create_listener, transport.dial = listener, dialled
        return transport

    def _guarded(self, handler: Handler) -> Handler:
        """The package's handler waits until the host ends: this one until the connection does."""

        async def handle(stream: Any) -> None:
            line = Line(stream)
            subnet = _subnet_of(line)
            if not self._has_place(subnet):
                await line.close()
                return
            self._inbound[subnet] += 1
            self._open.add(line)
            try:
                async with self._trio.open_nursery() as nursery:
                    nursery.start_soon(_until_ended, line, nursery.cancel_scope)
                    await handler(line)
                    nursery.cancel_scope.cancel()
            finally:
                await line.close()
                self._open.discard(line)
                self._inbound[subnet] -= 1
                self._inbound += Counter()  # those at zero are forgotten

        return handle

    def _has_place(self, subnet: str) -> bool:
        is_full = self._inbound.total() >= INBOUND_MAX
        return not is_full and (subnet == NEAR or self._inbound[subnet] < INBOUND_A_SUBNET_MAX)


async def _until_ended(line: Line, scope: Any) -> None:
    await line.ended.wait()
    scope.cancel()


def _remote_of(stream: Any) -> tuple[str, int] | None:
    with suppress(Exception):
        socket = getattr(getattr(stream, "stream", None), "socket", None)
        found = socket.getpeername() if socket is not None else stream.get_remote_address()
        return str(found[0]).partition("%")[0], int(found[1])
    return None


def _subnet_of(line: Line) -> str:
    """Of whoever dialled."""
    remote = line.get_remote_address()
    return subnet_of(f"/{'ip6' if ':' in remote[0] else 'ip4'}/{remote[0]}") if remote else UNREADABLE
