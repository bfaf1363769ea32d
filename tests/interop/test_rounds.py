"""Rounds over each network alone, over all at once, and over what is left when servers are killed."""

from __future__ import annotations

import asyncio
import io
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from dicast.base.crypto import KeyPair
from dicast.consensus.constants import EMBEDDER
from dicast.daemon import api
from dicast.daemon.config_schema import Settings
from dicast.daemon.driver import Driver, Parts
from dicast.daemon.logs import Log
from dicast.daemon.service import Service
from dicast.embedders.memory import MemoryEmbedder
from dicast.engines.memory import MemoryEngine
from dicast.ports import Transport
from dicast.protocol.inputs import PacketReceived
from dicast.protocol.messages import Role
from dicast.protocol.node import Node
from dicast.protocol.outputs import PacketRefused
from dicast.protocol.settings import Identity, NodeSettings
from dicast.stores.memory import MemoryStore
from dicast.transports.mqtt import MqttTransport
from dicast.transports.mqtt_client import Broker
from dicast.transports.nostr import NostrTransport
from dicast.transports.relay import run_relay
from dicast.transports.websocket import MeshSettings, WebSocketTransport
from dicast.transports.zenoh import ZenohSettings, ZenohTransport

pytestmark = pytest.mark.anyio
WAIT_S = 60
SENTENCE = "The capital city of France is called Paris."
QUESTION = api.Ask(prompt="What is the capital of France?", quorum=3)
ALL = ("nostr", "mqtt", "websocket", "zenoh")


class DrivenNode:
    """A node on several networks; counts how often its roles took each packet."""

    def __init__(self, name: str, transports: list[Transport], roles: tuple[Role, ...]) -> None:
        self.taken: Counter[bytes] = Counter()
        identity = Identity(KeyPair.from_seed(name.encode()), name.encode().ljust(32)[:32])
        offers = NodeSettings(roles=roles, embedders=(EMBEDDER,), slots=4)
        node = Node(identity, offers)
        engines = [MemoryEngine(lambda _: SENTENCE)] if roles else []
        parts = Parts(MemoryStore(), transports, engines, {EMBEDDER: MemoryEmbedder(EMBEDDER)})
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


class Servers:
    """What the networks need; each can be killed."""

    def __init__(self, broker, free_port: Callable[[], int]) -> None:
        self.broker = broker
        self.relay_stop = asyncio.Event()
        self.relay = ""
        self.relay_task: asyncio.Task[None] | None = None
        self.mesh_port, self.zenoh_port = free_port(), free_port()

    async def start(self) -> None:
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.relay_task = asyncio.create_task(
            run_relay("127.0.0.1", 0, stop=self.relay_stop, ready=ready.set_result)
        )
        self.relay = await ready

    async def kill_relay(self) -> None:
        self.relay_stop.set()
        assert self.relay_task is not None
        await self.relay_task

    def transport(self, kind: str, number: int) -> Transport:
        """A node's end of a network; node 0 is the one that the others know."""
        is_known = number == 0
        if kind == "nostr":
            return NostrTransport([self.relay], KeyPair.from_seed(bytes([number]) * 32))
        if kind == "mqtt":
            password = self.broker.password_file.read_text().strip()
            return MqttTransport(Broker(self.broker.url("tcp"), "node", password))
        if kind == "websocket":
            peers = () if is_known else (f"ws://127.0.0.1:{self.mesh_port}",)
            listen = ("127.0.0.1", self.mesh_port if is_known else 0)
            return WebSocketTransport(MeshSettings(listen, peers=peers))
        endpoint = f"tcp/127.0.0.1:{self.zenoh_port}"
        if is_known:
            return ZenohTransport(ZenohSettings(listen=(endpoint,)))
        return ZenohTransport(ZenohSettings(connect=(endpoint,)))


MakeNetwork = Callable[..., Awaitable[list[DrivenNode]]]


@pytest.fixture
async def servers(make_broker, free_port) -> AsyncIterator[Servers]:
    made = Servers(make_broker(), free_port)
    await made.start()
    yield made
    await made.kill_relay()


@pytest.fixture
async def make_network(servers: Servers) -> AsyncIterator[MakeNetwork]:
    """Three workers and two followers, on the named networks: a node takes 16 rounds of one requester."""
    async with AsyncExitStack() as stack:

        async def make(*kinds: str) -> list[DrivenNode]:
            nodes = []
            for number, name in enumerate(["worker 1", "worker 2", "worker 3", "follower 1", "follower 2"]):
                roles = () if name.startswith("follower") else (Role.WORKER, Role.VALIDATOR)
                nodes.append(DrivenNode(name, [servers.transport(kind, number) for kind in kinds], roles))
                running = asyncio.create_task(nodes[-1].driver.run())
                stack.push_async_callback(asyncio.gather, running, return_exceptions=True)
                stack.callback(nodes[-1].driver.stop)
                await nodes[-1].driver.started.wait()
            return nodes

        yield make


async def ask(node: DrivenNode) -> tuple[object, ...]:
    async with asyncio.timeout(WAIT_S):
        answer = await node.service.answer(QUESTION, lambda _: None)
    verdict = answer.verdict
    return answer.outcome, answer.answer, answer.verified, verdict.n, verdict.need, verdict.statuses


def delivered_twice(nodes: list[DrivenNode]) -> list[bytes]:
    return [wire for node in nodes for wire, count in node.taken.items() if count > 1]


@pytest.fixture(scope="module")
def verdicts() -> dict[tuple[str, ...], tuple[object, ...]]:
    """What was decided over each choice of networks."""
    return {}


@pytest.mark.parametrize("kinds", [*((kind,) for kind in ALL), ALL], ids=[*ALL, "all"])
async def test_a_round_over_each_alone_and_over_all_has_the_same_verdict(
    make_network: MakeNetwork, verdicts, kinds: tuple[str, ...]
) -> None:
    nodes = await make_network(*kinds)
    verdicts[kinds] = await ask(nodes[-1])
    assert verdicts[kinds][:3] == ("accepted", SENTENCE, True)
    assert len(set(map(repr, verdicts.values()))) == 1
    assert delivered_twice(nodes) == []


async def test_no_round_is_lost_while_servers_are_killed_one_by_one(
    make_network: MakeNetwork, servers: Servers
) -> None:
    nodes = await make_network(*ALL)
    rounds, seconds = 30, list[float]()
    for number in range(rounds):
        began = time.monotonic()
        asking = asyncio.create_task(ask(nodes[-1 - number % 2]))
        if number == 10:
            await asyncio.sleep(0)
            servers.broker.kill()
        if number == 20:
            await asyncio.sleep(0)
            await servers.kill_relay()
        assert (await asking)[:3] == ("accepted", SENTENCE, True)
        seconds.append(time.monotonic() - began)
    assert delivered_twice(nodes) == []
    left = {"nostr": "down", "mqtt": "down", "websocket": "up", "zenoh": "up"}
    async with asyncio.timeout(WAIT_S):
        while {one.name: one.state for one in nodes[-1].service.status().transports} != left:
            noticed = asyncio.Event()
            asyncio.get_running_loop().call_later(0.01, noticed.set)
            await noticed.wait()
    counts = [lane.counts for lane in nodes[-1].driver.transports.lanes]
    assert sum(one.copies for one in counts) > rounds
    assert max(seconds) < 30, "no round waited for its deadline"
