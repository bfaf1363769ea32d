"""What a thousand open streams take of the gateway: memory, the wait for the first token, how each ends.

Run `python benchmarks/streams.py [--streams N] [--listeners N] [--words N] [--others N] [--slots N]`. The
clients, the gateway and the nodes are three processes. The engine says a word every 50 ms; the asking node
answers itself (quorum 1), or with `--others` so many other nodes do (quorum 3), with 256 slots each or as
many as are said. All streams (`POST /v1/chat/completions`, optimistic) are opened at once; beside them
listeners follow `/api/events`. Printed are the gateway's resident memory before, with the listeners and at
its highest (wanted: at most 400 MB), how many streams were open together, and until each was answered, said
its first token and ended, and how.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from parts.processes import part, say
from psutil import Process

from dicast.base.crypto import KeyPair
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
from dicast.protocol.messages import Role
from dicast.protocol.node import Node
from dicast.protocol.outputs import StartInference
from dicast.protocol.settings import Identity, NodeSettings
from dicast.stores.memory import MemoryStore
from dicast.transports.memory import MemoryHub

WORD_S = 0.05
WORKING = (Role.WORKER, Role.VALIDATOR)
SLOTS = 256
"""The most that a node's configuration takes."""
QUORUM = 3
DEADLINE_MS = 60_000
LOOK_S = 0.2
MEMORY_MB_MAX = 400
BODY = {
    "model": "any",
    "stream": True,
    "messages": [{"role": "user", "content": "Where does the Seine flow?"}],
}


class DrippingEngine(MemoryEngine):
    """Says a word every 50 ms."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self._words = words

    async def generate(self, job: StartInference, on_text: Callable[[str], None]) -> Generation:
        """One answer."""
        answer = Answer(self.name, on_text)
        for number in range(self._words):
            await asyncio.sleep(WORD_S)
            answer.add(f"word{number} ")
        return answer.finish(job.model, 1, self._words)


def main() -> int:
    """Print the table; 1 when the memory is over the limit or a stream ended without its verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1_000)
    parser.add_argument("--listeners", type=int, default=0)
    parser.add_argument("--words", type=int, default=40)
    parser.add_argument("--others", type=int, default=0, help="nodes that answer; 0: the asking node itself")
    parser.add_argument("--slots", type=int, default=SLOTS, help="of each node")
    parser.add_argument("--serve", type=Path)
    parser.add_argument("--gateway", type=Path)
    given = parser.parse_args()
    if given.serve is not None:
        asyncio.run(_serve(given))
    elif given.gateway is not None:
        asyncio.run(run_gateway(given.gateway, Address(port=0), Settings(), say))
    else:
        return asyncio.run(_measure(given))
    return 0


async def _serve(given: argparse.Namespace) -> None:
    hub, others = MemoryHub(), given.others
    async with AsyncExitStack() as stack:
        offers = NodeSettings(roles=WORKING, embedders=(EMBEDDER,), slots=given.slots)
        silent = NodeSettings(embedders=(EMBEDDER,))
        asker = await _node("asker", hub, stack, silent if others else offers, given.words)
        for number in range(others):
            await _node(f"worker {number}", hub, stack, offers, given.words)
        control = ControlServer(asker, Paths(given.serve).socket, Log("error"))
        await control.start()
        say("ready")
        await asyncio.Event().wait()


async def _node(
    name: str, hub: MemoryHub, stack: AsyncExitStack, offers: NodeSettings, words: int
) -> Service:
    identity = Identity(KeyPair.from_seed(name.encode()), name.encode().ljust(32)[:32])
    engines = [DrippingEngine(words)] if offers.roles else []
    parts = Parts(MemoryStore(), [hub.transport()], engines, {EMBEDDER: MemoryEmbedder(EMBEDDER)})
    driver = Driver(Node(identity, offers), parts, Log("error"))
    driving = asyncio.create_task(driver.run())
    await driver.started.wait()
    stack.push_async_callback(asyncio.wait, {driving})
    stack.callback(driver.stop)
    return Service(driver, Settings(), offers)


class Ended(NamedTuple):
    """One stream: seconds until its answer began, its first token came and it was over; and how it ended."""

    begun_s: float
    token_s: float
    over_s: float
    how: str


class Crowd:
    """Who is connected, and the gateway's memory while they are."""

    def __init__(self, url: str, gateway: Process, quorum: int) -> None:
        self.host, _, port = url.removeprefix("http://").partition(":")
        self.port = int(port)
        self.open = 0
        self.open_max = 0
        self.memory_max = 0.0
        self._gateway = gateway
        self._body = json.dumps({**BODY, "dicast": {"quorum": quorum, "deadline_ms": DEADLINE_MS}}).encode()

    def memory_mb(self) -> float:
        """Resident now."""
        return self._gateway.memory_info().rss / 2**20

    async def watch(self) -> None:
        """Look at the memory until cancelled."""
        while True:
            self.memory_max = max(self.memory_max, self.memory_mb())
            await asyncio.sleep(LOOK_S)

    @asynccontextmanager
    async def asked(self, head: str, body: bytes = b"") -> AsyncGenerator[asyncio.StreamReader]:
        """A connection on which a request was sent."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        lines = f"{head} HTTP/1.1\r\nhost: {self.host}\r\nconnection: close\r\n"
        kind = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n" if body else ""
        try:
            writer.write(f"{lines}{kind}\r\n".encode() + body)
            yield reader
        finally:
            writer.close()

    async def stream(self, began: float) -> Ended:
        """One question, read to its end."""
        begun_s = token_s = 0.0
        how = "cut"
        async with self.asked("POST /v1/chat/completions", self._body) as reader:
            status = await reader.readline()
            if b" 200 " not in status:
                return Ended(0, 0, time.monotonic() - began, status.decode().strip())
            begun_s = time.monotonic() - began
            self.open += 1
            self.open_max = max(self.open_max, self.open)
            async for line in reader:
                if not token_s and b'"provisional":true' in line:
                    token_s = time.monotonic() - began
                how = _ending(line) or how
            self.open -= 1
        return Ended(begun_s, token_s, time.monotonic() - began, how)

    async def listen(self, ready: Callable[[], None]) -> None:
        """Follow the live events until cancelled."""
        async with self.asked("GET /api/events") as reader:
            assert b" 200 " in await reader.readline()
            await reader.readuntil(b": still here")
            ready()
            while await reader.read(65_536):
                pass


def _ending(line: bytes) -> str:
    """How a stream ended, if this line says so."""
    if not line.startswith(b"data: {"):
        return ""
    data = json.loads(line[6:])
    if "error" in data:
        return str(data["error"]["code"])
    if not data["choices"] or data["choices"][0]["finish_reason"] is None:
        return ""
    told = data["dicast"]
    return f"{told['outcome']}, {told.get('stream', 'not told before')}"


def _words(given: argparse.Namespace, folder: str) -> tuple[str, ...]:
    """How the node's process is started."""
    numbers = (("--words", given.words), ("--others", given.others), ("--slots", given.slots))
    return ("--serve", folder, *(str(word) for pair in numbers for word in pair))


async def _measure(given: argparse.Namespace) -> int:
    streams, listeners, others = given.streams, given.listeners, given.others
    with (
        tempfile.TemporaryDirectory(prefix="st") as folder,
        part(*_words(given, folder)) as (_, node),
        part("--gateway", folder) as (url, gateway),
    ):
        crowd = Crowd(url, gateway, min(QUORUM, others or 1))
        await crowd.stream(time.monotonic())  # to warm up
        before = crowd.memory_mb()
        ready = asyncio.Semaphore(0)
        listening = [asyncio.create_task(crowd.listen(ready.release)) for _ in range(listeners)]
        for _ in range(listeners):
            await ready.acquire()
        heard = crowd.memory_mb()
        watching = asyncio.create_task(crowd.watch())
        began = time.monotonic()
        ended = await asyncio.gather(*(crowd.stream(began) for _ in range(streams)))
        for task in (watching, *listening):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(watching, *listening)
        print(
            f"{streams} streams of {given.words} words, {crowd.open_max} open together; {listeners} listeners"
        )
        print(f"gateway before {before:.0f} MB, with the listeners {heard:.0f} MB, ", end="")
        print(f"at its highest {crowd.memory_max:.0f} MB; node {node.memory_info().rss / 2**20:.0f} MB")
    return _told(ended, crowd)


def _told(ended: list[Ended], crowd: Crowd) -> int:
    print(f"{'s':24} {'p50':>8} {'p95':>8} {'last':>8}")
    for title, times in (
        ("the answer began", [one.begun_s for one in ended]),
        ("first token", [one.token_s for one in ended if one.token_s]),
        ("over", [one.over_s for one in ended]),
    ):
        ordered = sorted(times) or [0.0]
        middle, late = ordered[len(ordered) // 2], ordered[len(ordered) * 95 // 100]
        print(f"{title:24} {middle:8.1f} {late:8.1f} {ordered[-1]:8.1f}")
    ways = Counter(one.how for one in ended)
    print("; ".join(f"{count} {how}" for how, count in ways.most_common()))
    is_good = crowd.memory_max <= MEMORY_MB_MAX and set(ways) == {"accepted, agreed"}
    print("ok" if is_good else "MISSED", f"(at most {MEMORY_MB_MAX} MB, every stream to its verdict)")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
