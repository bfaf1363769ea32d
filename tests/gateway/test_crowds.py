"""More questions than nodes have slots: they wait their turn and are answered; who is put off is told why."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dicast.base.crypto import KeyPair
from dicast.client import AsyncClient
from dicast.consensus.constants import EMBEDDER
from dicast.daemon.config_schema import AskSettings, Settings
from dicast.daemon.control_server import ControlServer
from dicast.daemon.driver import Driver, Parts
from dicast.daemon.logs import Log
from dicast.daemon.paths import Paths
from dicast.daemon.service import Service
from dicast.embedders.memory import MemoryEmbedder
from dicast.engines.memory import MemoryEngine
from dicast.gateway.asking import Agreed, Asker, Wanted
from dicast.gateway.errors import GatewayError
from dicast.gateway.metrics import Metrics
from dicast.protocol.messages import Role
from dicast.protocol.node import Node
from dicast.protocol.outputs import StartInference
from dicast.protocol.settings import Identity, NodeSettings
from dicast.stores.memory import MemoryStore
from dicast.transports.memory import MemoryHub

QUESTIONS = 40


class SlowEngine(MemoryEngine):
    """Takes some turns of the loop for an answer; `hold` waits for ever. Counts who is answered at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.running = self.most = 0
        self.begun = asyncio.Event()

    async def generate(self, job: StartInference, on_text: Callable[[str], None]) -> Any:
        self.running += 1
        self.most = max(self.most, self.running)
        self.begun.set()
        try:
            if job.messages[-1].content == "hold":
                await asyncio.Event().wait()
            for _ in range(20):
                await asyncio.sleep(0)
            return await super().generate(job, on_text)
        finally:
            self.running -= 1


@asynccontextmanager
async def small_node(folder: Path, engine: SlowEngine, slots: int) -> AsyncIterator[AsyncClient]:
    """A node that answers its own questions, on a socket."""
    offers = NodeSettings(roles=(Role.WORKER, Role.VALIDATOR), embedders=(EMBEDDER,), slots=slots)
    identity = Identity(KeyPair.from_seed(b"small"), b"small".ljust(32))
    parts = Parts(MemoryStore(), [MemoryHub().transport()], [engine], {EMBEDDER: MemoryEmbedder(EMBEDDER)})
    driver = Driver(Node(identity, offers), parts, Log("error", stream=io.StringIO()))
    driving = asyncio.create_task(driver.run())
    await driver.started.wait()
    service = Service(driver, Settings(), offers)
    control = ControlServer(service, Paths(folder).socket, Log("error", stream=io.StringIO()))
    await control.start()
    try:
        yield AsyncClient(folder)
    finally:
        await control.close()
        driver.stop()
        await driving


def asker_over(client: AsyncClient, metrics: Metrics) -> Asker:
    return Asker(client, AskSettings(preset="story"), metrics)


def own(prompt: str, timeout_s: float = 60) -> Wanted:
    return Wanted(prompt, {"quorum": 1, "timeout_s": timeout_s, "stream": True})


async def numbers(asker: Asker, client: AsyncClient, metrics: Metrics) -> dict[str, float]:
    page = metrics.page(await client.status(), asker).decode()
    lines = (line.rpartition(" ") for line in page.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


@pytest.mark.anyio
async def test_all_who_ask_are_answered_by_a_node_with_two_slots(tmp_path) -> None:
    engine, metrics = SlowEngine(), Metrics()
    async with small_node(tmp_path, engine, 2) as client:
        asker = asker_over(client, metrics)
        async with asyncio.timeout(60):
            agreed = await asyncio.gather(*(asker.ask(own(f"question {n}")) for n in range(QUESTIONS)))
        told = await numbers(asker, client, metrics)
    assert [type(one) for one in agreed] == [Agreed] * QUESTIONS
    assert engine.most == 2
    assert told['dicast_verdicts_total{outcome="accepted",reason="agreed"}'] == QUESTIONS
    assert told["dicast_first_provisional_seconds_count"] == QUESTIONS
    assert (told["dicast_gateway_asking"], told["dicast_gateway_waiting"]) == (0, 0)
    assert told["dicast_gateway_busy_total"] > 0
    assert told["dicast_gateway_places"] <= 4


@pytest.mark.anyio
async def test_who_finds_no_slot_in_time_is_told_to_ask_again(tmp_path) -> None:
    engine, metrics = SlowEngine(), Metrics()
    async with small_node(tmp_path, engine, 1) as client:
        holding = asyncio.create_task(client.ask("hold", quorum=1))
        await engine.begun.wait()
        with pytest.raises(GatewayError) as refused:
            await asker_over(client, metrics).ask(own("hello", timeout_s=1))
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
    assert (refused.value.code, refused.value.told["reason"]) == ("overloaded", "quorum_not_reached")


@pytest.mark.anyio
async def test_who_leaves_the_queue_asks_nobody(tmp_path) -> None:
    engine, metrics = SlowEngine(), Metrics()
    async with small_node(tmp_path, engine, 1) as client:
        asker = asker_over(client, metrics)
        holding = [asyncio.create_task(asker.ask(own("hold"))) for _ in range(QUESTIONS)]
        async with asyncio.timeout(60):
            await engine.begun.wait()
            while asker.waiting < QUESTIONS - 16:  # noqa: ASYNC110 (the queue has no event for its length)
                await asyncio.sleep(0)
        for task in holding:
            task.cancel()
        await asyncio.gather(*holding, return_exceptions=True)
        assert (asker.asking, asker.waiting) == (0, 0)
        async with asyncio.timeout(60):
            assert (await asker.ask(own("hello"))).text
    assert engine.running == 0
