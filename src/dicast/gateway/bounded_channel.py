"""The gateway's way to the node: a bounded number of connections, however many clients ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

from dicast.client_channel import Event, EventSink, SocketChannel
from dicast.daemon import api
from dicast.daemon.paths import state_paths

T = TypeVar("T")
KEPT_MAX = 32
"""Connections to the node that stay open: more than are in use at 200 questions a second."""
LOOKING_MAX = 24
"""The node takes 480 connections: those that are no questions are 96, a quarter of them are for a gateway."""


class BoundedChannel:
    """A channel over which calls other than questions wait for a place; questions wait in `Asker`."""

    def __init__(self, channel: SocketChannel) -> None:
        self._channel = channel
        self._places = asyncio.Semaphore(LOOKING_MAX)

    async def call(self, call: api.AnyCall, kind: type[T], on_event: EventSink | None = None) -> T:
        """See `Channel.call`."""
        if isinstance(call, api.Ask):
            return await self._channel.call(call, kind, on_event)
        async with self._places:
            return await self._channel.call(call, kind, on_event)

    def events(self, call: api.Events) -> AsyncIterator[Event]:
        """See `Channel.events`."""
        return self._channel.events(call)

    def close(self) -> None:
        """Give back the connections that are kept."""
        self._channel.close()


def channel_of(state_dir: Path) -> BoundedChannel:
    """The way to the node that runs on a state folder."""
    return BoundedChannel(SocketChannel(state_paths(state_dir).socket, KEPT_MAX))
