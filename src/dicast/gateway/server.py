"""Serving the gateway: the address, who may reach it, and the node behind it."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import uvicorn
from starlette.types import ASGIApp

from dicast.base.errors import AdapterError, ConfigurationError
from dicast.batch.input import FILE_BYTES_MAX
from dicast.client import AsyncClient
from dicast.client_shared import SharedChannel
from dicast.content.scanning import silent
from dicast.daemon import builtin_content
from dicast.daemon.config_schema import Settings
from dicast.daemon.descriptors import allow_open_files
from dicast.daemon.logs import Log
from dicast.daemon.paths import Paths
from dicast.gateway.app import make_app
from dicast.gateway.asking import Asker
from dicast.gateway.batches import Batches
from dicast.gateway.bounded_channel import channel_of
from dicast.gateway.connection import Connection
from dicast.gateway.drain import Drain
from dicast.gateway.guard import Access
from dicast.gateway.keys import KeyFile
from dicast.gateway.metrics import Metrics
from dicast.gateway.native.streams import MESSAGE_BYTES_MAX
from dicast.gateway.parts import Budgets, Parts
from dicast.gateway.spending import Ledger
from dicast.gateway.telemetry import open_telemetry
from dicast.signalling.client import Signallers

CONNECTIONS_MAX = 3_072
"""Every question that waits or runs, whoever listens, and some idle ones; beyond it uvicorn answers 503.
With 1,000 streams and 1,000 listeners the gateway takes 150 MB (`benchmarks/streams.py`)."""
HEAD_BYTES_MAX = 32 * 1024
"""A request's line and headers."""
DRAIN_S = 20
"""After SIGTERM open requests get this long."""
CLOSE_S = 3
"""Then what is still open is cut."""
SOCKET_ORDERS_MAX = 16
"""What a client may have said over a WebSocket before it was heard."""
IDLE_S = 30
"""A connection without a request is closed after this."""
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Address(msgspec.Struct, frozen=True):
    """Where to listen. `is_public` lets other machines in, and then everybody needs a key."""

    host: str = "127.0.0.1"
    port: int = 8080
    is_public: bool = False
    names: tuple[str, ...] = ()
    signallers: tuple[str, ...] = ()
    telemetry: str = ""
    """Where a collector takes traces; empty sends none."""


async def run_gateway(
    state_dir: Path, address: Address, settings: Settings, ready: Callable[[str], None]
) -> None:
    """Serve until SIGINT or SIGTERM; `ready` gets the address. Raises DicastError."""
    allow_open_files()
    keys = KeyFile(state_dir)
    check_address(address, keys)
    channel = channel_of(state_dir)
    client = AsyncClient(channel=channel)
    await client.status()
    metrics = Metrics()
    ledger = Ledger(state_dir)
    telemetry = open_telemetry(address.telemetry)
    asker = Asker(client, settings.ask, metrics, ledger, telemetry)
    signallers = Signallers(address.signallers) if address.signallers else None
    log = Log("warning", False)
    for_batches = SharedChannel(Paths(state_dir).socket)
    batches = Batches(state_dir, for_batches, keys, log)
    blob = functools.partial(_blob, client, settings, Paths(state_dir))
    parts = Parts(client, asker, metrics, log, Budgets(), signallers, batches, blob)
    access = Access(keys, host_names(address), needs_key=address.is_public)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    listener = bind(address)
    batches.start(parts)
    try:
        await serve(make_app(parts, access), listener, ready, stop, access.drain)
    finally:
        listener.close()
        await batches.close()
        for_batches.close()
        channel.close()
        ledger.close()
        await asyncio.to_thread(telemetry.close)


async def _blob(client: AsyncClient, settings: Settings, paths: Paths, sha256: str) -> Path:
    """A blob no larger than a file may be, fetched as `dicast blob get` does. Raises DicastError."""
    wanted = msgspec.structs.replace(builtin_content.wanted(sha256, ()), bytes_max=FILE_BYTES_MAX)
    asked = await builtin_content.also_from(wanted, await client.status(), await client.peers())
    fetched = await builtin_content.fetch(settings, paths, asked, silent, pin=False)
    return fetched.path


class Server(uvicorn.Server):
    """Uvicorn, but that signals are the caller's: a gateway that was told to stop has not failed."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Nothing is captured."""
        yield


async def serve(
    app: ASGIApp,
    listener: socket.socket,
    ready: Callable[[str], None],
    stop: asyncio.Event,
    drain: Drain | None = None,
) -> None:
    """Serve on a listening socket until `stop`; it takes connections before `ready` is told.

    What is open then may finish, while whatever is new is refused.
    """
    drain = drain or Drain()
    server = Server(_configuration(app))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    waiting = asyncio.create_task(stop.wait())
    ready(url_of(listener))
    try:
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        drain.begin()
        await drain.finished(DRAIN_S)
        server.should_exit = True
        await serving


def _configuration(app: ASGIApp) -> uvicorn.Config:
    """No access log (prompts stay out of logs), no line for every broken request, bounded heads."""
    return uvicorn.Config(
        app,
        loop="asyncio",
        http=Connection,
        ws="websockets-sansio",
        ws_max_size=MESSAGE_BYTES_MAX,
        ws_max_queue=SOCKET_ORDERS_MAX,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=CLOSE_S,
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
    )


def check_address(address: Address, keys: KeyFile) -> None:
    """Refuse to serve other machines unasked, or without a key. Raises ConfigurationError."""
    try:
        is_local = ipaddress.ip_address(address.host).is_loopback
    except ValueError as error:
        raise ConfigurationError(
            "gateway_host",
            f"--host {address.host!r} is no IP address.",
            "For example 127.0.0.1, or 0.0.0.0 with --public.",
        ) from error
    if not is_local and not address.is_public:
        raise ConfigurationError(
            "gateway_public",
            f"--host {address.host} lets other machines in.",
            "Add --public if that is what you want, and put TLS in front of it; else use --host 127.0.0.1.",
        )
    if address.is_public and not keys.records():
        raise ConfigurationError(
            "gateway_keyless",
            "--public needs a key, and there is none.",
            "Make one: `dicast keys create NAME`.",
        )


def host_names(address: Address) -> frozenset[str]:
    """By which names clients may call the gateway."""
    return LOCAL_NAMES | {address.host} | {name.lower() for name in address.names}


def bind(address: Address) -> socket.socket:
    """A listening socket. Raises AdapterError."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # Named as TCP, or asyncio would leave Nagle's delay on: 40 ms an answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
        listener.listen(CONNECTIONS_MAX)
    except (OSError, OverflowError) as error:
        listener.close()
        raise AdapterError(
            "gateway_port",
            f"The gateway cannot listen on {address.host} port {address.port}: {error}.",
            "Choose another --port, or 0 for any free one.",
        ) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """The base address of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
