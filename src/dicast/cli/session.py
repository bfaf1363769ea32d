"""How a command reaches a node: the one that runs here, else one in this process for this one command."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import msgspec

from dicast.base.errors import ConfigurationError
from dicast.cli.common import Common, Meeting
from dicast.cli.output import note
from dicast.client_channel import Event, EventSink
from dicast.client_shared import SharedChannel
from dicast.daemon import api
from dicast.daemon.config_schema import Settings
from dicast.daemon.instance_lock import InstanceLock
from dicast.daemon.logs import Log
from dicast.daemon.paths import Paths
from dicast.daemon.running import running_node
from dicast.daemon.service import Service
from dicast.daemon.settings_view import HIDDEN, SettingRecord


class LocalChannel:
    """Calls to a node in this process."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def call(self, call: api.AnyCall, kind: Any, on_event: EventSink | None = None) -> Any:
        """See `Channel.call`."""
        del kind
        return await self._service.answer(call, on_event or _ignore)

    async def events(self, call: api.Events) -> AsyncGenerator[Event]:
        """See `Channel.events`."""
        waiting: asyncio.Queue[Event] = asyncio.Queue()
        following = asyncio.create_task(self._service.answer(call, waiting.put_nowait))
        try:
            while True:
                yield await waiting.get()
        finally:
            following.cancel()


async def is_running(common: Common) -> bool:
    """Whether a node listens on the state folder."""
    path = common.paths().socket
    if not path.exists():
        return False
    try:
        _, writer = await asyncio.open_unix_connection(str(path))
    except OSError:
        return False
    writer.close()
    return True


@asynccontextmanager
async def channel_to_node(common: Common, settings: Settings, *, alone: bool) -> AsyncGenerator[Any]:
    """A channel to the node that runs here; else to a follower in this process, or, `alone`, to a worker."""
    if await is_running(common):
        with closing(SharedChannel(common.paths().socket)) as channel:
            yield channel
        return
    own = settings if alone else msgspec.structs.replace(settings, roles=(), engines={})
    log = Log(common.log_level or "error", settings.log.as_json)
    async with AsyncExitStack() as stack:
        paths, password = common.paths(), common.password()
        if _is_taken(paths):
            note(
                "Another command is using this state folder: this one asks under a key of its own, for once."
            )
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="dicast-ask-"))
            paths, password = Paths(Path(folder)), None
        composed = await stack.enter_async_context(running_node(own, paths, password, log, listen=False))
        yield LocalChannel(composed.service)


def as_the_node(settings: Settings, meeting: Meeting, told: Sequence[SettingRecord]) -> Settings:
    """Where the node that runs here meets others, which its own flags may have said."""
    node = {one.key: one.value for one in told}
    if meeting.network not in (None, node["network"]):
        raise ConfigurationError(
            "node_elsewhere",
            f"The node that runs here is on the network {node['network']!r}.",
            "Leave --network out, or name another --state-dir.",
        )
    relays = meeting.relay or tuple(relay for relay in node["relays"] if HIDDEN not in relay)
    return msgspec.structs.replace(
        settings,
        network=node["network"],
        relays=relays,
        passphrase_file=meeting.passphrase_file or node["passphrase_file"],
    )


def _is_taken(paths: Paths) -> bool:
    """Whether another process holds the folder without listening: another question, most likely."""
    try:
        InstanceLock(paths).release()
    except ConfigurationError as error:
        if error.code != "already_running":
            raise
        return True
    return False


def _ignore(_: Event) -> None:
    """Nobody asked for events."""
