"""A Zenoh router of one's own: nodes that cannot reach each other meet there; it keeps nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec

from dicast.base.errors import AdapterError, ConfigurationError
from dicast.transports.background import described

LINKS_MAX = 1024
"""Nodes at a time; file descriptors are commonly limited to 1,024 or more."""
CLOSE_SECONDS_MAX = 2.0
"""Saying goodbye to every node must not hold up stopping."""


class RouterSettings(msgspec.Struct, frozen=True):
    """Endpoints such as `tcp/127.0.0.1:7447`; the certificate and its key are for `tls/` and `wss/`."""

    listen: tuple[str, ...]
    connect: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None


async def run_router(
    settings: RouterSettings, *, stop: asyncio.Event, ready: Callable[[tuple[str, ...]], None]
) -> None:
    """Serve until `stop` is set; `ready` gets the endpoints once nodes are taken.

    `AdapterError` when an endpoint cannot be had, `ConfigurationError` when Zenoh is not installed.
    """
    library = _library()
    try:
        session = await asyncio.to_thread(library.open, _config(library, settings))
    except (library.ZError, OSError, ValueError) as error:
        raise AdapterError(
            "router_port",
            f"The router cannot listen on {', '.join(settings.listen)}: {described(error)}",
            "Choose another --listen, and check the files of --certificate and --key.",
        ) from error
    try:
        ready(settings.listen)
        await stop.wait()
    finally:
        closing = asyncio.get_running_loop().run_in_executor(None, session.close)
        await asyncio.wait([closing], timeout=CLOSE_SECONDS_MAX)


def _library() -> Any:  # the bindings carry no usable types
    try:
        import zenoh
    except ImportError as error:
        raise ConfigurationError(
            "router_missing", "The router is not installed here.", "Run: pip install 'dicast[zenoh]'"
        ) from error
    return cast("Any", zenoh)


def _config(library: Any, settings: RouterSettings) -> Any:
    config = library.Config()
    values: dict[str, object] = {
        "mode": "router",
        "listen/endpoints": settings.listen,
        "listen/exit_on_failure": True,
        "connect/endpoints": settings.connect,
        "connect/timeout_ms": -1,  # another router that is not there yet is tried again for ever
        "connect/exit_on_failure": False,
        "scouting/multicast/enabled": False,
        "transport/unicast/max_sessions": LINKS_MAX,
    }
    if settings.certificate is not None and settings.key is not None:
        values["transport/link/tls/listen_certificate"] = str(settings.certificate)
        values["transport/link/tls/listen_private_key"] = str(settings.key)
    for key, value in values.items():
        config.insert_json5(key, json.dumps(value))
    return config
