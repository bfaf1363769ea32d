"""A Nostr relay of one's own: the Rust relay inside nostr-sdk, events in memory."""

from __future__ import annotations

import asyncio
import ctypes
import ipaddress
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from dicast.base.errors import AdapterError, ConfigurationError

CONNECTIONS_MAX = 1024  # a node takes one; file descriptors are commonly limited to 1,024 or more
SUBSCRIPTIONS_MAX = 64  # of one connection; a node has two
NOTES_PER_MINUTE = 6_000  # the library's own cap on messages; its default of 60 would drop most of a round
PORT_TRIES = 8  # a free port may be taken between looking and binding


async def run_relay(
    host: str, port: int, *, stop: asyncio.Event, ready: Callable[[str], None], is_public: bool = False
) -> None:
    """Serve until `stop` is set; `ready` gets the address once connections are taken. Port 0 means any.

    `AdapterError` when the port cannot be had, `ConfigurationError` for an address beyond this machine
    without `is_public`.
    """
    _check_host(host, is_public)
    relay, url = await _listen(host, port)
    _give_memory_back()
    try:
        ready(url)
        await stop.wait()
    finally:
        relay.shutdown()


async def _listen(host: str, port: int) -> tuple[Any, str]:
    tries = 1 if port else PORT_TRIES
    while True:
        chosen = port or _free_port(host)
        relay = _build(host, chosen)
        tries -= 1
        try:
            await relay.run()
        except Exception as error:  # the library's errors share no base of their own
            if tries == 0:
                raise _cannot_listen(host, chosen, error) from error
        else:
            return relay, _url(host, chosen)


def _build(host: str, port: int) -> Any:  # the bindings are generated and carry no usable types
    try:
        import nostr_sdk
    except ImportError as error:
        raise ConfigurationError(
            "relay_missing", "The relay is not installed here.", "Run: pip install 'dicast[relay]'"
        ) from error
    library = cast("Any", nostr_sdk)
    limit = library.RateLimit(max_reqs=SUBSCRIPTIONS_MAX, notes_per_minute=NOTES_PER_MINUTE)
    builder = library.LocalRelayBuilder().addr(host).port(port).rate_limit(limit)
    return builder.max_connections(
        CONNECTIONS_MAX
    ).build()  # answers hold 500 events a filter, whatever is set


def _give_memory_back() -> None:
    """Compiling the bindings (no bytecode is cached) leaves 45 MB with the C library; glibc can free them."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _check_host(host: str, is_public: bool) -> None:
    try:
        is_local = ipaddress.ip_address(host).is_loopback
    except ValueError as error:
        raise ConfigurationError(
            "relay_host",
            f"--host {host!r} is no IP address.",
            "For example 127.0.0.1, or 0.0.0.0 with --public.",
        ) from error
    if not is_local and not is_public:
        raise ConfigurationError(
            "relay_public",
            f"--host {host} lets other machines in: whoever reaches the port can read and publish packets, "
            "unencrypted and without a password.",
            "Add --public if that is what you want, and put TLS in front of it; else use --host 127.0.0.1.",
        )


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
            return int(probe.getsockname()[1])
    except OSError as error:
        raise _cannot_listen(host, 0, error) from error


def _url(host: str, port: int) -> str:
    return f"ws://[{host}]:{port}" if ":" in host else f"ws://{host}:{port}"


def _cannot_listen(host: str, port: int, error: Exception) -> AdapterError:
    return AdapterError(
        "relay_port",
        f"The relay cannot listen on {_url(host, port)}: {error}.",
        "Choose another --port, or 0 for any free one.",
    )
