"""One connection to a NATS server: TCP, TLS or WebSocket; password or credentials; bounded both ways."""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, WebSocketException

from dicast.transports.background import described
from dicast.transports.dialling import Connect
from dicast.transports.nats_frames import Delivered, Greeting, NatsReader, Said, read_greeting
from dicast.transports.websocket_link import LOGGER

PORTS = {"nats": 4222, "tls": 4222, "ws": 80, "wss": 443}
CONNECT_SECONDS_MAX = 5.0  # name look-up, TCP, TLS, upgrade
GREETING_SECONDS_MAX = 5.0  # until the server has let us in
READ_BYTES = 64 * 1024
HEARTBEAT_SECONDS = 10.0  # a server that went silent is noticed within two of these
CLOSE_SECONDS_MAX = 0.5
FRAMES_AHEAD_MAX = 8
FRAME_BYTES_MAX = 4 << 20  # a server packs what waits into one; a frame is held whole
CREDENTIALS = re.compile(
    r"-----BEGIN NATS USER JWT-----\s+(\S+)\s.*-----BEGIN USER NKEY SEED-----\s+(\S+)\s", re.DOTALL
)


class Credentials(msgspec.Struct, frozen=True):
    """What an operator hands out as a `.creds` file: a signed permission, and the key to prove it is ours."""

    permission: str
    seed: bytes

    def __repr__(self) -> str:
        return "Credentials(…)"


class NatsServer(msgspec.Struct, frozen=True):
    """Where a server is (nats, tls, ws or wss), and who we are there."""

    url: str
    user: str = ""
    password: str = ""
    credentials: Credentials | None = None
    ca_file: Path | None = None

    def __repr__(self) -> str:
        return f"NatsServer({self.url!r})"


def read_credentials(text: str) -> Credentials:
    """A `.creds` file's content; raises `ValueError` where it is none."""
    found = CREDENTIALS.search(text)
    if found is None:
        raise ValueError("no user JWT and seed")
    raw = base64.b32decode(found[2] + "=" * (-len(found[2]) % 8))
    if len(raw) != 36:  # two bytes of kind, the seed, a checksum
        raise ValueError("no seed of a user")
    return Credentials(found[1], raw[2:34])


class Stream(Protocol):
    """Bytes both ways."""

    async def read(self) -> bytes:
        """The next bytes; empty at the end."""
        ...

    async def write(self, data: bytes) -> None:
        """Waits while the other side takes nothing."""
        ...

    async def close(self) -> None:
        """Leave nothing behind."""
        ...


class NatsClient:
    """`open`, then `deliveries`, `publish` and `heartbeat` at the same time, then `close`."""

    def __init__(self, server: NatsServer) -> None:
        self._server = server
        self._reader = NatsReader()
        self._stream: Stream | None = None
        self._pinged_at = 0.0
        self._heard_at = 0.0
        self._is_let_in = False
        self._early: list[Delivered] = []
        self.greeting = Greeting()
        self.round_trip_ms: int | None = None

    async def open(self) -> None:
        """Connect, and wait until the server has let us in."""
        async with asyncio.timeout(CONNECT_SECONDS_MAX):
            self._stream = await _opened(self._server)
        async with asyncio.timeout(GREETING_SECONDS_MAX):
            await self._await_greeting()
            await self._secure()
            await self._send(b"CONNECT " + msgspec.json.encode(self._identity()) + b"\r\n")
            await self._ping()
            while not self._is_let_in:
                self._early += await self._read()

    async def subscribe(self, subject: str, subscription: int) -> None:
        """Hear what others say on a subject."""
        await self._send(f"SUB {subject} {subscription}\r\n".encode())

    async def publish(self, subject: str, payload: bytes = b"") -> None:
        """Say something; waits while the server takes nothing."""
        await self._send(f"PUB {subject} {len(payload)}\r\n".encode() + payload + b"\r\n")

    async def deliveries(self) -> AsyncIterator[Delivered]:
        """What others say, until the connection ends."""
        for delivered in self._early:
            yield delivered
        while True:
            for delivered in await self._read():
                yield delivered

    async def heartbeat(self) -> None:
        """Ask the server whether it is there, until it is not."""
        while time.monotonic() - self._heard_at < 2 * HEARTBEAT_SECONDS:
            await self._ping()
            await asyncio.sleep(HEARTBEAT_SECONDS)
        raise TimeoutError("the server is silent")

    async def close(self) -> None:
        """End the connection; harmless when there is none."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()

    async def _await_greeting(self) -> None:
        while True:
            for frame in self._reader.feed(await self._received()):
                if isinstance(frame, Said) and frame.verb == "INFO":
                    self.greeting = read_greeting(frame.rest)
                    return
                raise ValueError("what answers is no NATS server")

    async def _secure(self) -> None:
        """TLS where the address or the server asks for it; never less than the address asks for."""
        scheme = urlsplit(self._server.url).scheme
        if not isinstance(self._stream, SocketStream):
            return
        if scheme == "tls" and not (self.greeting.tls_required or self.greeting.tls_available):
            raise ValueError("the server offers no TLS")
        if scheme == "tls" or self.greeting.tls_required:
            if not self._reader.is_between_lines:
                raise ValueError("the server said more before TLS than it may")
            await self._stream.secure(_trust(self._server), urlsplit(self._server.url).hostname or "")

    def _identity(self) -> dict[str, object]:
        said: dict[str, object] = {
            "verbose": False,
            "pedantic": False,
            "echo": False,
            "headers": False,
            "protocol": 1,
            "lang": "python",
            "name": "dicast",
            "version": "1",
        }
        if self._server.user:
            said |= {"user": self._server.user, "pass": self._server.password}
        mine = self._server.credentials
        if mine is not None and self.greeting.nonce:
            signature = Ed25519PrivateKey.from_private_bytes(mine.seed).sign(self.greeting.nonce.encode())
            said |= {
                "jwt": mine.permission,
                "sig": base64.urlsafe_b64encode(signature).rstrip(b"=").decode(),
            }
        return said

    async def _read(self) -> list[Delivered]:
        """The messages of the next bytes; everything else is answered here."""
        delivered: list[Delivered] = []
        is_asked = False
        for frame in self._reader.feed(await self._received()):
            if isinstance(frame, Delivered):
                delivered.append(frame)
            elif frame.verb == "PING":
                is_asked = True
            elif frame.verb == "PONG":
                self.round_trip_ms = round((time.monotonic() - self._pinged_at) * 1000)
                self._is_let_in = True
            elif frame.verb == "-ERR":
                raise ValueError(f"the server says {frame.rest[:100].decode('utf-8', 'replace')}")
        if is_asked:  # once for as many as came together: a flood of questions is not answered in kind
            await self._send(b"PONG\r\n")
        return delivered

    async def _received(self) -> bytes:
        assert self._stream is not None, "opened before it is read"
        data = await self._stream.read()
        if not data:
            raise EOFError("the server ended the connection")
        self._heard_at = time.monotonic()
        return data

    async def _ping(self) -> None:
        self._pinged_at = time.monotonic()
        await self._send(b"PING\r\n")

    async def _send(self, data: bytes) -> None:
        if self._stream is None:
            raise EOFError("the connection has ended")
        await self._stream.write(data)


class SocketStream:
    """TCP, in the open or under TLS."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def read(self) -> bytes:
        """The next bytes; empty at the end."""
        return await self._reader.read(READ_BYTES)

    async def write(self, data: bytes) -> None:
        """Waits while the other side takes nothing."""
        self._writer.write(data)
        await self._writer.drain()

    async def secure(self, trust: ssl.SSLContext, host: str) -> None:
        """From here on under TLS."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=READ_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport = await loop.start_tls(self._writer.transport, protocol, trust, server_hostname=host)
        if transport is None:
            raise EOFError("the server ended the connection")
        self._bare = self._writer  # its end would close the connection
        self._reader, self._writer = reader, asyncio.StreamWriter(transport, protocol, reader, loop)
        protocol.connection_made(transport)

    async def close(self) -> None:
        """Leave nothing behind."""
        self._writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                await self._writer.wait_closed()
        self._writer.transport.abort()


class WebStream:
    """A WebSocket; its frames are pieces of one stream."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def read(self) -> bytes:
        """The next frame; empty at the end."""
        try:
            while not (frame := await self._connection.recv(decode=False)):
                continue
        except ConnectionClosed:
            return b""
        return frame

    async def write(self, data: bytes) -> None:
        """Waits while the other side takes nothing."""
        try:
            await self._connection.send(data)
        except ConnectionClosed as closed:
            raise EOFError(described(closed)) from closed

    async def close(self) -> None:
        """Leave nothing behind."""
        try:
            await self._connection.close()
        finally:
            self._connection.transport.abort()


async def _opened(server: NatsServer) -> Stream:
    parts = urlsplit(server.url)
    if parts.scheme not in ("ws", "wss"):
        port = parts.port or PORTS[parts.scheme]
        return SocketStream(*await asyncio.open_connection(parts.hostname, port, limit=READ_BYTES))
    try:
        connection = await Connect(
            server.url,
            ssl=_trust(server) if parts.scheme == "wss" else None,
            compression=None,
            max_size=FRAME_BYTES_MAX,
            max_queue=FRAMES_AHEAD_MAX,
            open_timeout=CONNECT_SECONDS_MAX,
            close_timeout=CLOSE_SECONDS_MAX,
            ping_interval=None,  # NATS has its own
            proxy=None,
            logger=LOGGER,
        )
    except WebSocketException as error:
        raise EOFError(described(error)) from error
    return WebStream(connection)


def _trust(server: NatsServer) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=server.ca_file)
