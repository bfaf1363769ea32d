"""A node that runs: lock, identity, parts, loop, socket, started in this order and given back in reverse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from dicast.daemon.compose import Composed, compose
from dicast.daemon.config_schema import Settings
from dicast.daemon.control_server import ControlServer, check_socket_path
from dicast.daemon.descriptors import allow_open_files
from dicast.daemon.instance_lock import InstanceLock
from dicast.daemon.key_files import load_or_create
from dicast.daemon.logs import Log
from dicast.daemon.paths import Paths


@asynccontextmanager
async def running_node(
    settings: Settings, paths: Paths, password: str | None, log: Log, *, listen: bool
) -> AsyncGenerator[Composed]:
    """A started node; when the body ends, it is stopped. Raises DicastError, or what stopped the node."""
    if listen:
        check_socket_path(paths.socket)
        allow_open_files()
    async with AsyncExitStack() as stack:
        lock = InstanceLock(paths)
        stack.callback(lock.release)
        composed = compose(settings, paths, load_or_create(paths, password), log)
        driving = asyncio.create_task(composed.driver.run())
        stack.push_async_callback(_stopped, composed, driving)
        await _started(composed, driving)
        if listen:
            server = ControlServer(composed.service, paths.socket, log)
            stack.push_async_callback(server.close)
            await server.start()
        yield composed


async def _stopped(composed: Composed, driving: asyncio.Task[None]) -> None:
    composed.driver.stop()
    await driving


async def _started(composed: Composed, driving: asyncio.Task[None]) -> None:
    """Wait until the adapters are started, or the node failed."""
    waiting = asyncio.create_task(composed.driver.started.wait())
    await asyncio.wait({waiting, driving}, return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        waiting.cancel()
        await driving
