"""How long until the first provisional token: through the gateway, beside the engine by itself.

Run `python benchmarks/first_token.py [--questions N]`. The engine says a word every 20 ms. A server process
has the gateway, the asking node and, where asked, three more nodes, whose text comes sealed over the memory
transport. Questions one at a time, streamed, over HTTP from another process; milliseconds from the request to
the first chunk with text (wanted: at most 30 ms more than the engine on an idle machine), and to the verdict.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from dicast.base.crypto import KeyPair
from dicast.base.types import RequestId
from dicast.consensus.constants import EMBEDDER
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
from dicast.ports import Generation
from dicast.protocol.messages import Message, Role
from dicast.protocol.node import Node
from dicast.protocol.outputs import StartInference
from dicast.protocol.settings import Identity, NodeSettings
from dicast.stores.memory import MemoryStore
from dicast.transports.memory import MemoryHub

WORDS = [
    "The",
    "capital",
    "city",
    "of",
    "France",
    "is",
    "called",
    "Paris",
    "and",
    "it",
    "lies",
    "on",
    "both",
    "sides",
    "of",
    "the",
    "river",
    "Seine.",
]
WORD_S = 0.02
QUESTIONS_MAX = 200
"""Of one node: fewer than the 256 rounds that it keeps."""


class WordEngine(MemoryEngine):
    """Says a word every 20 ms."""

    async def generate(self, job: StartInference, on_text: Callable[[str], None]) -> Generation:
        """One answer."""
        answer = Answer(self.name, on_text)
        for number, word in enumerate(WORDS):
            await asyncio.sleep(WORD_S)
            answer.add(word if number == 0 else f" {word}")
        return answer.finish(job.model, 1, len(WORDS))


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--serve", type=Path)
    parser.add_argument("--others", type=int, default=0)
    given = parser.parse_args()
    if given.serve is not None:
        asyncio.run(_serve(given.serve, given.others))
        return 0
    questions = min(given.questions, QUESTIONS_MAX)
    alone = asyncio.run(_engine(questions))
    print(f"{'ms to the first token':41} {'p50':>8} {'p95':>8}")
    _row("the engine by itself", alone)
    for title, others, quorum in (("own node", 0, 1), ("three other nodes, sealed", 3, 3)):
        with _served(others) as url:
            first, whole = asyncio.run(_through(url, quorum, questions))
        _row(title, first)
        over = [_percentile(first, share) - _percentile(alone, share) for share in (50, 95)]
        ratio = _percentile(first, 50) / _percentile(alone, 50)
        print(f"{title + ', more':41} {over[0]:8.1f} {over[1]:8.1f}   {ratio:.2f} times the engine")
        _row(title + ", to the verdict", whole)
    return 0


@contextmanager
def _served(others: int) -> Generator[str]:
    """A fresh gateway and its nodes: the address."""
    with tempfile.TemporaryDirectory(prefix="ft") as folder:
        command = [sys.executable, __file__, "--serve", folder, "--others", str(others)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.terminate()
            server.wait()


async def _serve(folder: Path, others: int) -> None:
    hub = MemoryHub()
    async with AsyncExitStack() as stack:
        asker = await _node("asker", hub, stack, works=not others)
        for number in range(others):
            await _node(f"worker {number}", hub, stack, works=True)
        control = ControlServer(asker, Paths(folder).socket, Log("error"))
        await control.start()
        stack.push_async_callback(control.close)
        await run_gateway(folder, Address(port=0), Settings(), lambda url: print(url, flush=True))


async def _node(name: str, hub: MemoryHub, stack: AsyncExitStack, *, works: bool) -> Service:
    offers = NodeSettings(
        roles=(Role.WORKER, Role.VALIDATOR) if works else (), embedders=(EMBEDDER,), slots=64
    )
    identity = Identity(KeyPair.from_seed(name.encode()), name.encode().ljust(32)[:32])
    engines = [WordEngine()] if works else []
    parts = Parts(MemoryStore(), [hub.transport()], engines, {EMBEDDER: MemoryEmbedder(EMBEDDER)})
    driver = Driver(Node(identity, offers), parts, Log("error"))
    driving = asyncio.create_task(driver.run())
    await driver.started.wait()
    stack.push_async_callback(asyncio.wait, {driving})
    stack.callback(driver.stop)
    return Service(driver, Settings(), offers)


async def _engine(questions: int) -> list[float]:
    engine, times = WordEngine(), list[float]()
    job = StartInference(
        request_id=RequestId("1" * 64), messages=(Message("user", "Where is Paris?"),), model="memory",
        max_tokens=64, temperature_milli=0, seed=1, deadline_ms=60_000,
    )  # fmt: skip
    for _ in range(questions):
        began, found = time.perf_counter(), list[float]()
        await engine.generate(job, lambda _, found=found: found.append(time.perf_counter()))
        times.append((found[0] - began) * 1000)
    return times


async def _through(url: str, quorum: int, questions: int) -> tuple[list[float], list[float]]:
    body: dict[str, Any] = {
        "model": "any", "stream": True, "temperature": 0, "dicast": {"quorum": quorum},
        "messages": [{"role": "user", "content": "Where is Paris?"}],
    }  # fmt: skip
    first, whole = list[float](), list[float]()
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        for number in range(questions + 5):
            began = time.perf_counter()
            at_ms = await _first_ms(http, body, began)
            if number >= 5:  # the first ones warm everything up
                first.append(at_ms)
                whole.append((time.perf_counter() - began) * 1000)
    return first, whole


async def _first_ms(http: httpx.AsyncClient, body: dict[str, Any], began: float) -> float:
    found: list[float] = []
    async with http.stream("POST", "/v1/chat/completions", json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if not found and _has_text(line):
                found.append((time.perf_counter() - began) * 1000)
    return found[0]


def _has_text(line: str) -> bool:
    choices = json.loads(line[6:]).get("choices") if line.startswith("data: {") else None
    return bool(choices and choices[0]["delta"].get("content"))


def _row(title: str, times: list[float]) -> None:
    print(f"{title:41} {_percentile(times, 50):8.1f} {_percentile(times, 95):8.1f}")


def _percentile(values: list[float], share: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * share // 100)]


if __name__ == "__main__":
    sys.exit(main())
