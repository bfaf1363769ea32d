"""Nodes that know nobody's address find each other: by a table, by asking a peer, by a person's word."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from dicast.base.crypto import KeyPair
from dicast.base.hashing import sha256
from dicast.daemon.config_schema import Settings
from dicast.daemon.driver import Driver, Parts
from dicast.daemon.logs import Log
from dicast.daemon.service import Service
from dicast.protocol.messages import Role
from dicast.protocol.node import Node
from dicast.protocol.node_record import finder_key
from dicast.protocol.outputs import PeerSeen
from dicast.protocol.places import Place
from dicast.protocol.settings import Identity, NodeSettings
from dicast.stores.memory import MemoryStore
from dicast.transports.memory_finder import MemoryFinder, MemoryTable
from dicast.transports.websocket import MeshSettings, WebSocketTransport
from waiting import WAIT_SECONDS_MAX, until

pytestmark = pytest.mark.anyio


class Meshed:
    """A node with nothing but a mesh of WebSockets that knows nobody."""

    def __init__(
        self, number: int, finders: tuple[MemoryFinder, ...] = (), given: tuple[Place, ...] = ()
    ) -> None:
        identity = Identity(KeyPair.from_seed(b"meshed-%d" % number), sha256(b"secret-%d" % number))
        offers = NodeSettings(roles=(Role.VALIDATOR,))
        self.mesh = WebSocketTransport(MeshSettings(("127.0.0.1", 0)))
        self.changed = asyncio.Event()
        parts = Parts(MemoryStore(), [self.mesh], [], {}, finders=finders, given=given)
        self.driver = Driver(Node(identity, offers), parts, Log("error", stream=io.StringIO()))
        self.service = Service(self.driver, Settings(), offers)
        self.driver.reports.listen_now(self._hear)

    def _hear(self, report: object) -> None:
        if isinstance(report, PeerSeen):
            self.changed.set()

    async def knows(self, count: int) -> None:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while len(self.driver.node.peers()) < count:
                self.changed.clear()
                await self.changed.wait()

    @property
    def place(self) -> Place:
        return Place("websocket", self.mesh.address)


@pytest.fixture
async def started() -> AsyncIterator[Callable[..., object]]:
    async with AsyncExitStack() as stack:

        async def start(node: Meshed) -> Meshed:
            running = asyncio.create_task(node.driver.run())

            async def stop() -> None:
                node.driver.stop()
                await running

            stack.push_async_callback(stop)
            await node.driver.started.wait()
            await until(lambda: node.mesh.address)
            return node

        yield start


async def test_three_nodes_find_each_other_by_their_records(started) -> None:
    table = MemoryTable()
    nodes = [await started(Meshed(number, (MemoryFinder(table),))) for number in range(3)]
    for node in nodes:
        await node.knows(2)
    assert {len(under) for under in table.records.values()} == {3}
    await until(lambda: sum(nodes[0].service.status().paths.values()) >= 1)


async def test_a_given_address_is_enough_and_peers_tell_of_others(started) -> None:
    first = await started(Meshed(0))
    second = await started(Meshed(1, given=(first.place,)))
    third = await started(Meshed(2, given=(first.place,)))
    for node in (first, second, third):
        await node.knows(2)
    await until(lambda: first.place in {one.place for one in third.driver.node.places() if one.is_proven})


async def test_a_finder_full_of_junk_harms_nobody(started) -> None:
    table = MemoryTable()
    first = await started(Meshed(0, (MemoryFinder(table),)))
    for number in range(40):
        table.put(finder_key(first.driver.node.topic), -number, b"{" * number)
    second = await started(Meshed(1, (MemoryFinder(table),)))
    await first.knows(1)
    await second.knows(1)
    assert second.service.status().refused["shape"] >= 40
