"""A node that runs: lock, identity, parts, loop and socket, started in this order and given back in reverse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dicast.daemon.compose import Composed, compose
from dicast.daemon.config_schema import Settings
from dicast.daemon.control_server import ControlServer, check_socket_path
from dicast.daemon.instance_lock import InstanceLock
from dicast.daemon.key_files import load_or_create
from dicast.daemon.logs import Log
from dicast.daemon.paths import Paths


@asynccontextmanager
async def running_node(
    settings: Settings, paths: Paths, password: str | None, log: Log, *, listen: bool
) -> AsyncIterator[Composed]:
    """A started node; when the body ends, it is stopped. Raises DicastError, or what stopped the node."""
    if listen:
        check_socket_path(paths.socket)
    lock = InstanceLock(paths)
    try:
        identity = load_or_create(paths, password)
        composed = compose(settings, paths, identity, log)
        driving = asyncio.create_task(composed.driver.run())
        try:
            await _started(composed, driving)
            server = ControlServer(composed.service, paths.socket, log) if listen else None
            if server is not None:
                await server.start()
            try:
                yield composed
            finally:
                if server is not None:
                    await server.close()
        finally:
            composed.driver.stop()
            await driving
    finally:
        lock.release()


async def _started(composed: Composed, driving: asyncio.Task[None]) -> None:
    """Wait until the adapters are started, or the node failed."""
    waiting = asyncio.create_task(composed.driver.started.wait())
    await asyncio.wait({waiting, driving}, return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        waiting.cancel()
        await driving
