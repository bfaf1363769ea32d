"""What the tests of links need: packets, nodes, relay processes, a wire that can be cut, lying relays."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from dicast.base.crypto import KeyPair
from dicast.base.events import encode_event, sign_event
from dicast.ports import Transport
from dicast.protocol.messages import Kind
from dicast.transports.nostr import NostrTransport
from free_ports import free_port
from waiting import until

KEY = KeyPair.from_seed(b"transports".ljust(32))
RELAY = "import sys; from dicast.cli.relay import relay_command; relay_command(port=int(sys.argv[1]))"


def packet(topic: str, content: str = "hello", kind: Kind = Kind.REQUEST, age_seconds: int = 0) -> bytes:
    return encode_event(sign_event(KEY, int(time.time()) - age_seconds, kind, [("t", topic)], content))


class Node:
    """A transport and what it handed over."""

    def __init__(self, urls: list[str], seed: int) -> None:
        self.transport = NostrTransport(urls, KeyPair.from_seed(bytes([seed]) * 32))
        self.wires: list[bytes] = []

    async def has(self, wires: list[bytes]) -> None:
        await until(lambda: set(wires) <= set(self.wires))


MakeNode = Callable[..., Awaitable[Node]]


@pytest.fixture
def topic() -> str:
    return secrets.token_hex(32)


@pytest.fixture
async def make_node(topic: str) -> AsyncIterator[MakeNode]:
    """Started nodes on the topic; what they leave behind on the loop is a failure."""
    nodes, complaints = list[Node](), list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))

    async def make(*urls: str, wait: bool = True) -> Node:
        node = Node(list(urls), len(nodes) + 1)
        nodes.append(node)
        await node.transport.start(topic, node.wires.append)
        if wait:
            await until(lambda: node.transport.health().state == "up")
        return node

    yield make
    for node in nodes:
        await node.transport.stop()
    assert complaints == []


class RelayProcess:
    """Our own relay as a process, to be killed and started again on the same port."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"ws://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", RELAY, str(self.port)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == f"listening on {self.url}\n"

    def kill(self) -> None:
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


@pytest.fixture
def make_relay() -> Iterator[Callable[[], RelayProcess]]:
    """Relay processes, started."""
    relays: list[RelayProcess] = []

    def make() -> RelayProcess:
        relays.append(RelayProcess())
        relays[-1].start()
        return relays[-1]

    yield make
    for relay in relays:
        relay.kill()


Script = Callable[[ServerConnection], Awaitable[None]]


@pytest.fixture
async def lying_relay() -> AsyncIterator[Callable[[Script], Awaitable[str]]]:
    """A relay that does with each connection what a test says; gives its address."""
    servers = []

    async def start(script: Script, **options: Any) -> str:
        server = await serve(
            script, "127.0.0.1", 0, max_size=None, compression=None, close_timeout=0.2, **options
        )
        servers.append(server)
        return f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    yield start
    for server in servers:
        server.close(close_connections=True)
        await server.wait_closed()


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
MakeTransport = Callable[[int], Transport]


@pytest.fixture
async def lying_server(topic: str) -> AsyncIterator[Callable[..., Awaitable[tuple[Transport, list[bytes]]]]]:
    """A transport, made for a port and started, whose server does with each connection what a test says."""
    servers, transports, complaints = [], list[Transport](), list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))

    async def start(script: Talk, make: MakeTransport) -> tuple[Transport, list[bytes]]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await script(reader, writer)
            except OSError:
                pass
            finally:
                writer.close()

        servers.append(await asyncio.start_server(serve, "127.0.0.1", 0))
        transports.append(make(servers[-1].sockets[0].getsockname()[1]))
        wires: list[bytes] = []
        await transports[-1].start(topic, wires.append)
        return transports[-1], wires

    yield start
    for transport in transports:
        await transport.stop()
    for server in servers:
        server.close()
    assert complaints == []


class Wire:
    """A way to a relay that can be cut: takes connections, passes bytes on both ways."""

    def __init__(self, port: int) -> None:
        self.url = ""
        self._relay_port = port
        self._is_cut = False
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        self._is_cut = True
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def mend(self) -> None:
        self._is_cut = False

    async def stop(self) -> None:
        self.cut()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        relay_reader, relay_writer = await asyncio.open_connection("127.0.0.1", self._relay_port)
        self._writers += [writer, relay_writer]
        await asyncio.gather(_pass_on(reader, relay_writer), _pass_on(relay_reader, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@pytest.fixture
async def make_wire() -> AsyncIterator[Callable[[int], Awaitable[Wire]]]:
    """Wires to a relay's port."""
    wires: list[Wire] = []

    async def make(port: int) -> Wire:
        wires.append(Wire(port))
        await wires[-1].start()
        return wires[-1]

    yield make
    for wire in wires:
        await wire.stop()


@pytest.fixture
def make_packet(topic: str) -> Callable[..., bytes]:
    """Signed packets on the topic."""
    return lambda *arguments, **named: packet(topic, *arguments, **named)


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Waits for a condition."""
    return until
