"""A network of driven nodes in one event loop: in-memory adapters, the real driver and service."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from dicast.base.crypto import KeyPair
from dicast.consensus.constants import EMBEDDER
from dicast.daemon.config_schema import Settings
from dicast.daemon.driver import Driver, Parts
from dicast.daemon.logs import Log
from dicast.daemon.service import Service
from dicast.embedders.memory import MemoryEmbedder
from dicast.engines.memory import MemoryEngine
from dicast.ports import Engine
from dicast.protocol.messages import Role
from dicast.protocol.node import Node
from dicast.protocol.outputs import StartInference
from dicast.protocol.settings import Identity, NodeSettings
from dicast.stores.memory import MemoryStore
from dicast.transports.memory import MemoryHub

ALL_ROLES = (Role.WORKER, Role.VALIDATOR)
SENTENCE = "The capital city of France is called Paris."


class LocalNode:
    """A driven node of a test."""

    def __init__(self, name: str, hub: MemoryHub, engines: list[Engine], roles: tuple[Role, ...]) -> None:
        self.log_text = io.StringIO()
        self.store = MemoryStore()
        self.embedder = MemoryEmbedder(EMBEDDER)
        identity = Identity(KeyPair.from_seed(name.encode()), name.encode().ljust(32)[:32])
        offers = NodeSettings(roles=roles, embedders=(EMBEDDER,), slots=4)
        self.node = Node(identity, offers)
        parts = Parts(self.store, [hub.transport()], engines, {EMBEDDER: self.embedder})
        self.driver = Driver(self.node, parts, Log("debug", stream=self.log_text))
        self.service = Service(self.driver, Settings(), offers)
        self.node_id = identity.node_id


class LocalNetwork:
    """Nodes on one hub; all are stopped at the end of the test."""

    def __init__(self) -> None:
        self.hub = MemoryHub()
        self.running: dict[LocalNode, asyncio.Task[None]] = {}

    async def add(
        self,
        name: str,
        reply: Callable[[StartInference], str] = lambda _: SENTENCE,
        roles: tuple[Role, ...] = ALL_ROLES,
        engine: Engine | None = None,
    ) -> LocalNode:
        """A started node; one without roles has no engine."""
        engines: list[Engine] = [engine or MemoryEngine(reply)] if roles else []
        node = LocalNode(name, self.hub, engines, roles)
        self.running[node] = asyncio.create_task(node.driver.run())
        await node.driver.started.wait()
        return node

    async def workers(self, count: int) -> list[LocalNode]:
        """So many honest workers."""
        return [await self.add(f"worker {number}") for number in range(count)]

    async def stop(self) -> None:
        """Stop every node that still runs; a node that failed was expected to."""
        for node in self.running:
            node.driver.stop()
        await asyncio.gather(*self.running.values(), return_exceptions=True)


@pytest.fixture
async def network() -> AsyncIterator[LocalNetwork]:
    """An empty network."""
    async with AsyncExitStack() as stack:
        made = LocalNetwork()
        stack.push_async_callback(made.stop)
        yield made
