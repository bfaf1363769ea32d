"""What listeners cost a round: the same questions with none, and with 200 on the live events.

Run `python benchmarks/fanout.py [--listeners N] [--questions N] [--turns N]`. A node with seven workers
(instant engines, all in memory), the gateway and the listeners are three processes; half of the listeners
use server-sent events, half the WebSocket. Rounds of seven seats are asked one after the other at a steady
pace, in turns without listeners and with them. Printed are the time of a round and the processor's time that
node and gateway took for one; wanted: at most 5 % more, at the median. The three processes need a core each:
where there are fewer, or something else runs, rounds wait, and only the node's own time says what it costs.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from parts.processes import part, say
from psutil import Process

from dicast.base.crypto import KeyPair
from dicast.client import AsyncClient
from dicast.consensus.constants import EMBEDDER
from dicast.daemon.config_schema import Settings
from dicast.daemon.control_server import ControlServer
from dicast.daemon.driver import Driver, Parts
from dicast.daemon.logs import Log
from dicast.daemon.paths import Paths
from dicast.daemon.service import Service
from dicast.embedders.memory import MemoryEmbedder
from dicast.engines.memory import MemoryEngine
from dicast.gateway.server import Address, run_gateway
from dicast.protocol.messages import Role
from dicast.protocol.node import Node
from dicast.protocol.settings import Identity, NodeSettings
from dicast.stores.memory import MemoryStore
from dicast.transports.memory import MemoryHub

WORKERS = 7
QUESTION = "What is the capital of France?"
PACE_S = 0.25
"""A question every quarter of a second: more than a node keeps rounds for in the long run."""
QUESTIONS_MAX = 200
"""Of one node: fewer than the 256 rounds that it keeps, and its workers 16 of one asker at a time."""


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listeners", type=int, default=200)
    parser.add_argument("--questions", type=int, default=12)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--serve", type=Path)
    parser.add_argument("--gateway", type=Path)
    parser.add_argument("--listen", default="")
    given = parser.parse_args()
    if given.serve is not None:
        asyncio.run(_serve(given.serve))
    elif given.gateway is not None:
        asyncio.run(run_gateway(given.gateway, Address(port=0), Settings(), say))
    elif given.listen:
        asyncio.run(_listen(given.listen, given.listeners))
    else:
        asyncio.run(_measure(given.listeners, given.questions, given.turns))
    return 0


@asynccontextmanager
async def _node(number: int, hub: MemoryHub) -> AsyncGenerator[Service]:
    name = f"node {number}".encode()
    offers = NodeSettings(
        roles=(Role.WORKER, Role.VALIDATOR) if number else (), embedders=(EMBEDDER,), slots=32
    )
    engines = [MemoryEngine()] if number else []
    parts = Parts(MemoryStore(), [hub.transport()], engines, {EMBEDDER: MemoryEmbedder(EMBEDDER)})
    driver = Driver(Node(Identity(KeyPair.from_seed(name), name.ljust(32)), offers), parts, Log("error"))
    driving = asyncio.create_task(driver.run())
    await driver.started.wait()
    try:
        yield Service(driver, Settings(), offers)
    finally:
        driver.stop()
        await driving


async def _serve(folder: Path) -> None:
    async with AsyncExitStack() as stack:
        hub = MemoryHub()
        service = await stack.enter_async_context(_node(0, hub))
        for number in range(1, WORKERS + 1):
            await stack.enter_async_context(_node(number, hub))
        control = ControlServer(service, Paths(folder).socket, Log("error"))
        await control.start()
        say("ready")
        await asyncio.Event().wait()


class _Deaf(asyncio.Protocol):
    """Hears everything and looks at nothing: the cost of reading is not the gateway's."""

    def __init__(self, head: bytes, ready: Callable[[], None]) -> None:
        self._head = head
        self._ready: Callable[[], None] | None = ready

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._head)

    def data_received(self, data: bytes) -> None:
        """The first answer must be a stream; the rest goes nowhere."""
        if self._ready is not None:
            assert data.startswith((b"HTTP/1.1 200", b"HTTP/1.1 101")), data
            self._ready()
            self._ready = None


async def _listen(url: str, count: int) -> None:
    host = url.removeprefix("http://")
    stream = f"GET /api/events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    socket = (
        f"GET /api/ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    ).encode()
    ready = asyncio.Semaphore(0)
    name, _, port = host.partition(":")
    for number in range(count):
        head = socket if number % 2 else stream
        await asyncio.get_running_loop().create_connection(
            partial(_Deaf, head, ready.release), name, int(port)
        )
    for _ in range(count):
        await ready.acquire()
    say("ready")
    await asyncio.Event().wait()


class Turn(NamedTuple):
    """Of one turn: milliseconds of every round, and of the processor a round in node and gateway."""

    rounds: list[float]
    node: float
    gateway: float


async def _measure(listeners: int, questions: int, turns: int) -> None:
    alone: list[Turn] = []
    heard: list[Turn] = []
    for _ in range(turns):
        alone.append(await _one_turn(0, min(questions, QUESTIONS_MAX)))
        heard.append(await _one_turn(listeners, min(questions, QUESTIONS_MAX)))
    print(f"{'ms a round':24} {'p50':>8} {'p95':>8} {'node CPU':>9} {'gateway CPU':>12}")
    medians: list[float] = []
    for title, found in (("no listener", alone), (f"{listeners} listeners", heard)):
        ordered = sorted(one for turn in found for one in turn.rounds)
        medians.append(statistics.median(ordered))
        node = statistics.median(turn.node for turn in found)
        gateway = statistics.median(turn.gateway for turn in found)
        last = ordered[len(ordered) * 95 // 100]
        print(f"{title:24} {medians[-1]:8.1f} {last:8.1f} {node:9.1f} {gateway:12.1f}")
    more = statistics.median(one.node for one in heard) / statistics.median(one.node for one in alone) - 1
    print(f"{'more':24} {medians[1] / medians[0] - 1:8.1%} {'':8} {more:9.1%}")


async def _one_turn(listeners: int, questions: int) -> Turn:
    """A fresh network each turn: a node keeps rounds, and should not have more of them in one turn."""
    with (
        tempfile.TemporaryDirectory(prefix="fan") as folder,
        part("--serve", folder) as (_, node),
        part("--gateway", folder) as (url, gateway),
    ):
        if not listeners:
            return await _turn(Path(folder), questions, node, gateway)
        with part("--listen", url, "--listeners", str(listeners)):
            return await _turn(Path(folder), questions, node, gateway)


async def _turn(folder: Path, questions: int, node: Process, gateway: Process) -> Turn:
    await _times(folder, 2)  # to warm up
    before = (_cpu_ms(node), _cpu_ms(gateway))
    rounds = await _times(folder, questions)
    after = (_cpu_ms(node), _cpu_ms(gateway))
    return Turn(rounds, (after[0] - before[0]) / questions, (after[1] - before[1]) / questions)


def _cpu_ms(process: Process) -> float:
    used = process.cpu_times()
    return (used.user + used.system) * 1000


async def _times(folder: Path, questions: int) -> list[float]:
    client = AsyncClient(folder)
    times: list[float] = []
    for _ in range(questions):
        began = time.perf_counter()
        answer = await client.ask(QUESTION, seats=WORKERS, quorum=WORKERS, timeout_s=5)
        assert answer.is_accepted
        took = time.perf_counter() - began
        times.append(took * 1000)
        await asyncio.sleep(max(0.0, PACE_S - took))
    return times


if __name__ == "__main__":
    sys.exit(main())
