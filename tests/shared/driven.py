"""Nodes in this process that are driven for real, each over the transports it is given."""

from __future__ import annotations

import asyncio
import io
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from dicast.base.crypto import KeyPair
from dicast.consensus.constants import EMBEDDER
from dicast.daemon import api
from dicast.daemon.config_schema import Settings
from dicast.daemon.driver import Driver, Parts
from dicast.daemon.logs import Log
from dicast.daemon.service import Service
from dicast.embedders.memory import MemoryEmbedder
from dicast.engines.memory import MemoryEngine
from dicast.ports import Generation, Transport
from dicast.protocol.inputs import PacketReceived
from dicast.protocol.messages import Role
from dicast.protocol.node import Node
from dicast.protocol.outputs import PacketRefused, StartInference
from dicast.protocol.settings import Identity, NodeSettings
from dicast.stores.memory import MemoryStore
from waiting import WAIT_SECONDS_MAX, until

SENTENCE = "The capital city of France is called Paris."
QUESTION = api.Ask(prompt="What is the capital of France?", quorum=3)
WORKERS = 3


class TimelessEngine(MemoryEngine):
    """Says that it took no time, so that the same answer is the same bytes."""

    async def generate(self, job: StartInference, on_text: Callable[[str], None]) -> Generation:
        made = await super().generate(job, on_text)
        return msgspec.structs.replace(made, first_token_ms=0, total_ms=0)


class DrivenNode:
    """A node on several networks; counts how often its roles took each packet."""

    def __init__(
        self, name: str, transports: Callable[[KeyPair], list[Transport]], roles: tuple[Role, ...]
    ) -> None:
        self.taken: Counter[bytes] = Counter()
        self.running: asyncio.Task[None] | None = None
        key = KeyPair.from_seed(name.encode())
        identity = Identity(key, name.encode().ljust(32)[:32])
        offers = NodeSettings(roles=roles, embedders=(EMBEDDER,), slots=4)
        node = Node(identity, offers)
        engines = [TimelessEngine(lambda _: SENTENCE)] if roles else []
        parts = Parts(MemoryStore(), transports(key), engines, {EMBEDDER: MemoryEmbedder(EMBEDDER)})
        self.driver = Driver(node, parts, Log(stream=io.StringIO()))
        self.service = Service(self.driver, Settings(), offers)
        handle = node.handle

        def counted(entry, now):
            batch = handle(entry, now)
            is_refused = any(isinstance(report, PacketRefused) for report in batch.reports)
            if isinstance(entry, PacketReceived) and not is_refused:
                self.taken[entry.wire] += 1
            return batch

        node.handle = counted

    async def stop(self) -> None:
        self.driver.stop()
        if self.running is not None:
            await self.running
            self.running = None


async def ask(node: DrivenNode) -> tuple[api.Answer, float]:
    """An accepted answer, and the seconds that it took."""
    began = time.monotonic()
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        answer = await node.service.answer(QUESTION, lambda _: None)
    assert isinstance(answer, api.Answer)
    assert (answer.outcome, answer.answer, answer.verified) == ("accepted", SENTENCE, True)
    return answer, time.monotonic() - began


def delivered_twice(nodes: list[DrivenNode]) -> list[bytes]:
    return [wire for node in nodes for wire, count in node.taken.items() if count > 1]


@asynccontextmanager
async def asked_over(make: Callable[[int], Transport]) -> AsyncIterator[DrivenNode]:
    """A follower that asked three workers and has their answer; each has the transport of its number."""
    nodes = list[DrivenNode]()
    async with AsyncExitStack() as stack:
        for number in range(WORKERS + 1):
            roles = (Role.WORKER, Role.VALIDATOR) if number < WORKERS else ()
            transport = make(number)
            nodes.append(DrivenNode(f"node {number}", lambda _, one=transport: [one], roles))
            nodes[-1].running = asyncio.create_task(nodes[-1].driver.run())
            stack.push_async_callback(nodes[-1].stop)
            await nodes[-1].driver.started.wait()
            await until(lambda one=transport: one.health().state == "up")
        await until(lambda: len(nodes[-1].service.known().others) == WORKERS)
        await ask(nodes[-1])
        assert delivered_twice(nodes) == []
        yield nodes[-1]
