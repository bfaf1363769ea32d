"""What the gateway adds: a question of quorum 1 over HTTP beside the same question through `AsyncClient`.

Run `python benchmarks/gateway.py [--questions N] [--quorum N --rate R]`; by default quorum 1 with 200
questions a second, then quorum 2 with 20. As many nodes as the quorum (an instant engine, all in memory)
and the gateway run in one process; in a quorum of 2 each reads the answers with MiniLM. The asking side is
another process; it speaks HTTP by asyncio's streams alone, as httpx takes 1.2 ms of processor time a
question, and 4 once a hundred connections are open. First one question at a time, both ways in turn; then
five times R questions a second, each way for itself. Every part has fresh nodes: a node keeps a round for a
while, and at most 256. Milliseconds; the overhead is the difference of the same percentile of both ways
(wanted at quorum 1: a p95 of 10 ms), and their ratio below it. "processor" is what nodes and gateway took
for one: one process cannot answer more than 1,000 divided by it a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from parts.processes import part, say
from psutil import Process

from dicast.base.crypto import KeyPair
from dicast.client import AsyncClient
from dicast.consensus.constants import EMBEDDER
from dicast.daemon.builtin import minilm_from
from dicast.daemon.config_schema import Settings
from dicast.daemon.control_server import ControlServer
from dicast.daemon.driver import Driver, Parts
from dicast.daemon.logs import Log
from dicast.daemon.paths import Paths
from dicast.daemon.service import Service
from dicast.embedders.memory import MemoryEmbedder
from dicast.engines.answer import Answer
from dicast.engines.memory import MemoryEngine
from dicast.gateway.server import Address, run_gateway
from dicast.ports import Embedder, Generation
from dicast.protocol.messages import Role
from dicast.protocol.node import Node
from dicast.protocol.outputs import PeerSeen, StartInference
from dicast.protocol.settings import Identity, NodeSettings
from dicast.stores.memory import MemoryStore
from dicast.transports.memory import MemoryHub

QUESTION = "What is the capital of France?"
QUESTIONS_MAX = 240
"""Of one node: with those that warm it up, fewer than the 256 rounds that it keeps."""
RUNS = 5
"""Of questions at a rate, each with fresh nodes."""
BOTH = ((1, 200), (2, 20))
"""Quorum, and questions a second: all share one core."""
Ask = Callable[[], Awaitable[None]]


class InstantEngine(MemoryEngine):
    """Answers at once: the twin gives everybody else a turn after each word."""

    async def generate(self, job: StartInference, on_text: Callable[[str], None]) -> Generation:
        """The last message again."""
        answer = Answer(self.name, on_text)
        answer.add(job.messages[-1].content)
        return answer.finish(job.model, 1, 1)


class Connections:
    """Connections to the gateway that stay open: each carries a question at a time."""

    def __init__(self, url: str, quorum: int) -> None:
        self._host, _, port = url.removeprefix("http://").partition(":")
        self._port = int(port)
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        messages = [{"role": "user", "content": QUESTION}]
        body = json.dumps({"model": "any", "messages": messages, "dicast": {"quorum": quorum}}).encode()
        head = f"host: {self._host}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        self._request = b"POST /v1/chat/completions HTTP/1.1\r\n" + head.encode() + body

    async def ask(self) -> None:
        """The question; an answer that is none raises."""
        reader, writer = self._free.pop() if self._free else await self._opened()
        writer.write(self._request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        answer = json.loads(await reader.readexactly(int(length)))
        assert answer["choices"][0]["message"]["content"] == QUESTION, answer
        self._free.append((reader, writer))

    def close(self) -> None:
        """Of all of them."""
        for _, writer in self._free:
            writer.close()

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self._host, self._port)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--quorum", type=int, default=0)
    parser.add_argument("--serve", type=Path)
    given = parser.parse_args()
    if given.serve is not None:
        asyncio.run(_serve(given.serve, given.quorum))
        return 0
    for quorum, rate in ((given.quorum, given.rate),) if given.quorum else BOTH:
        print(f"quorum {quorum}, {'embedded' if quorum > 1 else 'nothing embedded'}")
        asyncio.run(_measure(min(given.questions, QUESTIONS_MAX), rate, quorum))
    return 0


@contextmanager
def _served(quorum: int) -> Generator[tuple[Path, str, Process]]:
    """A fresh node and gateway: the state folder, the address, and the process."""
    with (
        tempfile.TemporaryDirectory(prefix="gw") as folder,
        part("--serve", folder, "--quorum", str(quorum)) as (url, process),
    ):
        yield Path(folder), url, process


async def _serve(folder: Path, quorum: int) -> None:
    """As many members as the quorum wants, one of them asked; MiniLM reads the answers of more than one."""
    embedder: Embedder = MemoryEmbedder(EMBEDDER)
    if quorum > 1:
        embedder = minilm_from(None)
        embedder.load()
    hub = MemoryHub()
    async with AsyncExitStack() as members:
        driver, offers = await members.enter_async_context(_member(hub, 0, embedder))
        seen = driver.reports.subscribe(lambda report: isinstance(report, PeerSeen))
        for number in range(1, quorum):
            await members.enter_async_context(_member(hub, number, embedder))
            await seen.next()
        control = ControlServer(Service(driver, Settings(), offers), Paths(folder).socket, Log("error"))
        await control.start()
        await run_gateway(folder, Address(port=0), Settings(), say)
        await control.close()


@asynccontextmanager
async def _member(
    hub: MemoryHub, number: int, embedder: Embedder
) -> AsyncGenerator[tuple[Driver, NodeSettings]]:
    roles, name = (Role.WORKER, Role.VALIDATOR), f"member {number}".encode()
    offers = NodeSettings(roles=roles, embedders=(EMBEDDER,), slots=64)
    node = Node(Identity(KeyPair.from_seed(name), name.ljust(32)), offers)
    parts = Parts(MemoryStore(), [hub.transport()], [InstantEngine()], {EMBEDDER: embedder})
    driver = Driver(node, parts, Log("error"))
    driving = asyncio.create_task(driver.run())
    await driver.started.wait()
    yield driver, offers
    driver.stop()
    await driving


async def _measure(questions: int, rate: int, quorum: int) -> None:
    alone: tuple[list[float], list[float]] = ([], [])
    used = [0.0, 0.0]
    async with _both_ways(quorum) as (process, *ways):
        for _ in range(questions // 2):
            for number, way in enumerate(ways):
                before = _processor_ms(process)
                alone[number].append(await _timed(way))
                used[number] += _processor_ms(process) - before
    busy: tuple[list[list[float]], list[list[float]]] = ([], [])
    for _ in range(RUNS):
        for number in range(2):
            async with _both_ways(quorum) as (_, *ways):
                busy[number].append(await _at_rate(ways[number], questions, rate))
    print(f"{'ms':28} {'p50':>8} {'p95':>8}  p95 of every run")
    _rows("one at a time", [alone[0]], [alone[1]])
    _rows(f"{rate} a second", *busy)
    print(
        "processor: "
        + ", ".join(
            f"{way} {spent / (questions // 2):.1f}"
            for way, spent in zip(("client", "gateway"), used, strict=True)
        )
    )


@asynccontextmanager
async def _both_ways(quorum: int) -> AsyncGenerator[tuple[Process, Ask, Ask]]:
    """The process asked; asking through the client, and through the gateway; both were tried out."""
    with _served(quorum) as (folder, url, process):
        client, http = AsyncClient(folder), Connections(url, quorum)

        async def direct() -> None:
            assert (await client.ask(QUESTION, quorum=quorum)).is_accepted

        for _ in range(5):
            await direct()
            await http.ask()
        yield process, direct, http.ask
        http.close()


def _processor_ms(process: Process) -> float:
    used = process.cpu_times()
    return (used.user + used.system) * 1000


async def _timed(ask: Ask) -> float:
    began = time.perf_counter()
    await ask()
    return (time.perf_counter() - began) * 1000


async def _at_rate(ask: Ask, questions: int, rate: int) -> list[float]:
    """Every question starts at its time, whether or not those before it were answered."""
    began = time.perf_counter()
    asking: list[asyncio.Task[float]] = []
    for number in range(questions):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        asking.append(asyncio.create_task(_timed(ask)))
    return list(await asyncio.gather(*asking))


def _rows(title: str, direct: list[list[float]], through: list[list[float]]) -> None:
    """Both ways, what the gateway adds, and how many times it is."""
    before, after = ([_points(run) for run in way] for way in (direct, through))
    runs = list(zip(before, after, strict=True))
    _row(title + ", client", before)
    _row(title + ", gateway", after)
    _row(title + ", overhead", [(two[0] - one[0], two[1] - one[1]) for one, two in runs])
    _row(title + ", ratio", [(two[0] / one[0], two[1] / one[1]) for one, two in runs])


def _row(title: str, runs: list[tuple[float, float]]) -> None:
    """The medians of the runs, and how far these are apart."""
    halves, most = zip(*runs, strict=True)
    spread = " ".join(f"{point:.1f}" for point in sorted(most)) if len(runs) > 1 else ""
    print(f"{title:28} {statistics.median(halves):8.1f} {statistics.median(most):8.1f}  {spread}".rstrip())


def _points(run: list[float]) -> tuple[float, float]:
    return _percentile(run, 50), _percentile(run, 95)


def _percentile(values: list[float], share: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * share // 100)]


if __name__ == "__main__":
    sys.exit(main())
