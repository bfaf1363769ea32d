"""A batch of short prompts over five nodes, quorum 1, engines that wait 100 ms with 4 slots: 200 a second.

Run `python benchmarks/batch.py [--lines N] [--nodes N] [--slots N] [--wait-ms MS] [--encrypted]`. All nodes,
the asking one with its socket among them, run in one process over a network in memory: they share one core.
The runner, with its book on the disk, is a process of its own. Wanted: 90 % of the engines' summed rate for
10,000 lines. The processor times, without starting, say whose core is the limit: a line that takes the nodes
5 ms cannot come more than 200 times a second in one process.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from dicast.base.crypto import KeyPair
from dicast.batch import book
from dicast.batch.book import Book
from dicast.batch.dispatch import Dispatcher
from dicast.batch.input import read_index
from dicast.batch.plain import PlainAnswers
from dicast.batch.runner import Runner
from dicast.client import AskKeywords
from dicast.client_shared import SharedChannel
from dicast.consensus.constants import EMBEDDER
from dicast.daemon.config_schema import Settings
from dicast.daemon.control_server import ControlServer
from dicast.daemon.driver import Driver, Parts
from dicast.daemon.logs import Log
from dicast.daemon.paths import Paths
from dicast.daemon.service import Service
from dicast.embedders.memory import MemoryEmbedder
from dicast.engines.memory import MemoryEngine
from dicast.ports import Transport
from dicast.protocol.messages import Role
from dicast.protocol.node import Node
from dicast.protocol.outputs import PeerSeen, StartInference
from dicast.protocol.settings import Identity, NodeSettings
from dicast.stores.memory import MemoryStore
from dicast.transports.memory import MemoryHub


class WaitingEngine(MemoryEngine):
    """Answers after a while, as a model on a card of its own would."""

    def __init__(self, wait_ms: int) -> None:
        super().__init__()
        self._wait_s = wait_ms / 1000

    async def generate(self, job: StartInference, on_text: Callable[[str], None]) -> Any:
        await asyncio.sleep(self._wait_s)
        return await super().generate(job, on_text)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000)
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--wait-ms", type=int, default=100)
    parser.add_argument("--encrypted", action="store_true")
    parser.add_argument("--serve", type=Path)
    given = parser.parse_args()
    if given.serve is not None:
        asyncio.run(_serve(given))
    else:
        _measure(given)
    return 0


async def _serve(given: argparse.Namespace) -> None:
    """The nodes, until standard input ends; then the processor time that they took."""
    hub = MemoryHub()
    async with AsyncExitStack() as stack:
        driver, offers = _node("asker", hub.transport(), None)
        seen = driver.reports.subscribe(lambda report: isinstance(report, PeerSeen))
        stack.push_async_callback(_ended, driver, asyncio.create_task(driver.run()))
        await driver.started.wait()
        for number in range(given.nodes):
            worker, _ = _node(f"worker {number}", hub.transport(), given)
            stack.push_async_callback(_ended, worker, asyncio.create_task(worker.run()))
            await worker.started.wait()
            await seen.next()
        control = ControlServer(Service(driver, Settings(), offers), Paths(given.serve).socket, Log("error"))
        await control.start()
        stack.push_async_callback(control.close)
        began_s = _processor_s()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        print(_processor_s() - began_s, flush=True)


def _node(name: str, transport: Transport, given: argparse.Namespace | None) -> tuple[Driver, NodeSettings]:
    roles = () if given is None else (Role.WORKER, Role.VALIDATOR)
    engines = [] if given is None else [WaitingEngine(given.wait_ms)]
    offers = NodeSettings(roles=roles, embedders=(EMBEDDER,), slots=1 if given is None else given.slots)
    node = Node(Identity(KeyPair.from_seed(name.encode()), name.encode().ljust(32)[:32]), offers)
    parts = Parts(MemoryStore(), [transport], engines, {EMBEDDER: MemoryEmbedder(EMBEDDER)})
    return Driver(node, parts, Log("error")), offers


async def _ended(driver: Driver, running: asyncio.Task[None]) -> None:
    driver.stop()
    await running


def _measure(given: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="bm") as folder:
        command = [sys.executable, __file__, "--serve", folder, "--nodes", str(given.nodes)]
        command += ["--slots", str(given.slots), "--wait-ms", str(given.wait_ms)]
        served = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert served.stdin is not None
        assert served.stdout is not None
        served.stdout.readline()
        before_s = _processor_s()
        took_s = asyncio.run(_answered(Path(folder), given))
        runner_s = _processor_s() - before_s
        served.stdin.write("\n")
        served.stdin.flush()
        nodes_s = float(served.stdout.readline())
        served.wait()
    best = given.nodes * given.slots * 1000 / given.wait_ms
    rate = given.lines / took_s
    print(f"{given.lines} lines over {given.nodes} nodes in {took_s:.1f} s: {rate:.1f} a second")
    print(f"{rate / best:.0%} of the {best:.0f} a second that the engines could do")
    for who, spent_s in (("nodes", nodes_s), ("runner", runner_s)):
        print(f"{who}: {spent_s:.1f} s of processor time, {1000 * spent_s / given.lines:.2f} ms a line")


async def _answered(folder: Path, given: argparse.Namespace) -> float:
    prompts = folder / "prompts.txt"
    prompts.write_text("".join(f"What is {number} and one?\n" for number in range(given.lines)))
    kept = Book(folder)
    lines = read_index(prompts).lines
    await kept.write(book.new_job("cli_benchmark", "", "in_progress", 0, Settings()))
    await kept.write(*book.put_lines("cli_benchmark", lines))
    channel = SharedChannel(Paths(folder).socket)
    dispatcher = Dispatcher(channel)
    options = AskKeywords(quorum=1, encrypted=given.encrypted)
    answers = PlainAnswers(prompts, dispatcher, options)
    began = time.perf_counter()
    await Runner(kept, dispatcher).run("cli_benchmark", answers.answer)
    took_s = time.perf_counter() - began
    assert kept.counts("cli_benchmark") == (given.lines, given.lines, 0), kept.counts("cli_benchmark")
    await kept.close()
    channel.close()
    return took_s


def _processor_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
