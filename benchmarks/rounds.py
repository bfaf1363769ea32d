"""A whole round, from the question to the certificate: how long it takes, and what it sends.

Run `python benchmarks/rounds.py [--rounds N]`. Latency: separate processes on loopback, the embedded relay
between them; every node has an instant engine, the durable store, and MiniLM, with which it recomputes and
signs; every question and three wordings of each answer are new, so nothing is remembered. All seats must
answer. "× relay" is beside the bare round trip of one packet over the same relay in the same run.
"processor" is what all processes used a round: on two cores no round can take less than half of it.
Sent: what is published a round, all nodes in one process in memory; everybody hears all of it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import psutil

from dicast.base.crypto import KeyPair
from dicast.base.events import Event, encode_event, parse_event, sign_event
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
from dicast.engines.memory import MODEL, MemoryEngine
from dicast.ports import Embedder, Store, Transport
from dicast.protocol.envelope import topic_of
from dicast.protocol.messages import Kind, Role
from dicast.protocol.node import Node
from dicast.protocol.settings import Identity, NodeSettings
from dicast.stores.memory import MemoryStore
from dicast.stores.sqlite import SqliteStore
from dicast.transports.memory import MemoryHub
from dicast.transports.nostr import NostrTransport

SEATS_TIMED = {3: None, 5: (200, 400), 7: (300, math.inf), 13: None}
"""Seats -> the wanted median and 95th percentile in ms."""
SEATS_COUNTED = (5, 15, 31)
REVEAL_BYTES_MAX = 2_000  # beside its answer
GROWTH_MAX = 1.1  # messages a seat with most seats, beside those with fewest: more would not be linear
QUESTIONS_A_NODE = 12  # a node keeps at most 16 rounds of one requester
WORDINGS = (
    "The capital of {0} is {0} City, which has {1} inhabitants.",
    "The capital city of {0} is {0} City, with {1} inhabitants.",
    "{0} City is the capital of {0}, which has {1} inhabitants.",
)
COUNTRIES = ("Norway", "Iceland", "Kenya", "Peru", "Chile", "Japan", "Laos", "Nepal", "Oman", "Qatar")
NETWORK = "main"
ROLES = (Role.WORKER, Role.VALIDATOR)
WAIT_S = 120.0


def main() -> int:
    """Print both tables; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--serve", nargs=2, metavar=("NUMBER", "RELAY"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(_serve(int(given.serve[0]), given.serve[1]))
        return 0
    print(f"{os.cpu_count()} cores, {given.rounds} rounds a line\n")
    is_fast = asyncio.run(_time_all(given.rounds))
    is_small = asyncio.run(_count_all())
    return 0 if is_fast and is_small else 1


def _answer(number: int, question: str) -> str:
    """What a member says: one of three wordings of what the question names."""
    country, inhabitants = question.split()[-2:]
    return WORDINGS[number % len(WORDINGS)].format(country, inhabitants)


def _question(number: int) -> str:
    return f"Describe this country: {COUNTRIES[number % len(COUNTRIES)]} {10_007 * (number + 1)}"


# Nodes


def _member(number: int, transport: Transport, store: Store, embedder: Embedder) -> Driver:
    offers = NodeSettings(
        network=NETWORK, roles=(Role.WORKER, Role.VALIDATOR), embedders=(EMBEDDER,), slots=64
    )
    engine = MemoryEngine(lambda job: _answer(number, job.messages[-1].content))
    parts = Parts(store, [transport], [engine], {EMBEDDER: embedder})
    return Driver(Node(_identity(f"member {number}"), offers), parts, Log("error"))


def _identity(name: str) -> Identity:
    return Identity(KeyPair.from_seed(name.encode().ljust(32)), name.encode().ljust(32))


@asynccontextmanager
async def _driven(driver: Driver) -> AsyncGenerator[Driver]:
    driving = asyncio.create_task(driver.run())
    await driver.started.wait()
    try:
        yield driver
    finally:
        driver.stop()
        await driving


async def _serve(number: int, relay: str) -> None:
    """A member as a process of its own, until it is ended."""
    embedder = minilm_from(None)
    embedder.load()
    transport = NostrTransport([relay], _identity(f"member {number}").key)
    with tempfile.TemporaryDirectory(prefix="rounds") as folder:
        store = SqliteStore(Path(folder) / "store.sqlite")
        async with _driven(_member(number, transport, store, embedder)):
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.read)


@contextmanager
def _processes(seats: int) -> Generator[str]:
    """A relay and its members; the relay's address. All end with this process, which holds their input."""
    program = "from dicast.cli.relay import relay_command; relay_command(port=0)"
    with contextlib.ExitStack() as stack:

        def start(*words: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                (sys.executable, *words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
            return process

        relay = _line(start("-c", program)).removeprefix("listening on ")
        members = [start(__file__, "--serve", str(number), relay) for number in range(seats)]
        for member in members:
            _line(member)
        yield relay


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


class Asker:
    """A follower that leaves embedding to those who sign."""

    def __init__(self, driver: Driver, folder: Path) -> None:
        self._driver = driver
        self._client = AsyncClient(folder)

    async def knows(self, seats: int) -> None:
        """Wait until so many members have announced themselves."""
        async with asyncio.timeout(WAIT_S):
            while len(self._driver.node.peers()) < seats:  # noqa: ASYNC110 (a node has no event for its peers)
                await asyncio.sleep(0.01)

    async def ask(self, number: int, seats: int, *, encrypted: bool = True) -> bool:
        """Whether an answer was accepted; every seat has to answer. Encrypted, as people's questions are."""
        answer = await self._client.ask(
            _question(number), quorum=seats, seats=seats, models=(MODEL,), encrypted=encrypted
        )
        return answer.is_accepted


@asynccontextmanager
async def _asking(name: str, transport: Transport) -> AsyncGenerator[Asker]:
    offers, log = NodeSettings(network=NETWORK), Log("error")
    parts = Parts(MemoryStore(), [transport], [], {})
    driver = Driver(Node(_identity(name), offers), parts, log)
    with tempfile.TemporaryDirectory(prefix="rounds") as folder:
        async with _driven(driver):
            control = ControlServer(Service(driver, Settings(), offers), Paths(Path(folder)).socket, log)
            await control.start()
            try:
                yield Asker(driver, Path(folder))
            finally:
                await control.close()


# Time


async def _time_all(rounds: int) -> bool:
    titles = ("median ms (fastest … slowest)", "p95 ms", "× relay", "processor ms", "accepted")
    print(
        f"{'seats':>5} {titles[0]:>30} {titles[1]:>7} {titles[2]:>8} {titles[3]:>13} {titles[4]:>9}  wanted"
    )
    is_good = True
    for seats, wanted in SEATS_TIMED.items():
        with _processes(seats) as relay:
            bare = await _bare_round_trip(relay)
            before = _processor_ms()
            times, accepted = await _times(relay, seats, rounds)
            processor = (_processor_ms() - before) / len(times)
        median, p95 = statistics.median(times), statistics.quantiles(times, n=20)[-1]
        spread, share = f"{median:.0f} ({min(times):.0f} … {max(times):.0f})", f"{accepted}/{len(times)}"
        is_met = wanted is None or (median <= wanted[0] and p95 <= wanted[1])
        targets = () if wanted is None else tuple(f"≤ {limit}" for limit in wanted if limit < math.inf)
        note = ", p95 ".join(targets) + ("" if is_met else "  MISSED")
        measured = f"{spread:>30} {p95:7.0f} {median / bare:8.1f} {processor:13.0f}"
        print(f"{seats:5} {measured} {share:>9}  {note}", flush=True)
        is_good &= is_met and accepted == len(times)
    print()
    return is_good


def _processor_ms() -> float:
    """What this process and all that it started have used: the relay, the members, and the asker."""
    this = psutil.Process()
    used = [process.cpu_times() for process in (this, *this.children())]
    return sum(times.user + times.system for times in used) * 1000


async def _times(relay: str, seats: int, rounds: int) -> tuple[list[float], int]:
    """Milliseconds of each round, and how many were accepted; an asker's first is not timed."""
    times: list[float] = []
    accepted = 0
    for first in range(0, rounds, QUESTIONS_A_NODE):
        name = f"asker {first}"
        async with _asking(name, NostrTransport([relay], _identity(name).key)) as asker:
            await asker.knows(seats)
            await asker.ask(1_000 + first, seats)
            for number in range(first, min(first + QUESTIONS_A_NODE, rounds)):
                began = time.perf_counter()
                accepted += await asker.ask(number, seats)
                times.append((time.perf_counter() - began) * 1000)
    return times, accepted


async def _bare_round_trip(relay: str) -> float:
    """Median ms of one packet of a usual size from one connection to another."""
    arrived = asyncio.Event()
    topic = "ab" * 32
    sink, source = (NostrTransport([relay], _identity(name).key) for name in ("sink", "source"))
    await sink.start(topic, lambda _wire: arrived.set())
    await source.start(topic, lambda _wire: None)
    while any(transport.health().state != "up" for transport in (sink, source)):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    times: list[float] = []
    for number in range(200):
        event = sign_event(
            _identity("source").key, int(time.time()), Kind.STATUS, [("t", topic)], f"{number:700}"
        )
        arrived.clear()
        began = time.perf_counter()
        source.publish(encode_event(event))
        await asyncio.wait_for(arrived.wait(), WAIT_S)
        times.append((time.perf_counter() - began) * 1000)
    await source.stop()
    await sink.stop()
    return statistics.median(times)


# Size


async def _count_all() -> bool:
    titles = ("messages", "bytes", "a seat", "reveal beside its answer")
    print(f"{'seats':>5} {titles[0]:>9} {titles[2]:>7} {titles[1]:>9} {titles[2]:>7} {titles[3]:>25}")
    a_seat: list[float] = []
    largest = 0
    kinds: Counter[str] = Counter()
    for seats in SEATS_COUNTED:
        sent = await _sent(seats)
        sizes = [_beside_answer(event) for event in sent if event.kind == Kind.REVEAL]
        size = sum(len(encode_event(event)) for event in sent)
        kinds = Counter(Kind(event.kind).name.lower() for event in sent)
        a_seat.append(len(sent) / seats)
        largest = max(largest, *sizes)
        print(
            f"{seats:5} {len(sent):9} {a_seat[-1]:7.1f} {size:9,} {size / seats:7,.0f}"
            f" {statistics.median(sizes):12.0f} … {max(sizes)} bytes"
        )
    print(
        f"{SEATS_COUNTED[-1]} seats:", ", ".join(f"{count} {name}" for name, count in sorted(kinds.items()))
    )
    is_good = largest <= REVEAL_BYTES_MAX and a_seat[-1] <= a_seat[0] * GROWTH_MAX
    found = "ok" if is_good else "MISSED"
    print(f"{found}: messages grow with the seats, a reveal ≤ {REVEAL_BYTES_MAX:,} bytes beside its answer")
    return is_good


async def _sent(seats: int) -> Sequence[Event]:
    """Every packet of one round but announcements, which nodes publish with or without rounds."""
    hub, events = MemoryHub(), list[Event]()
    tap = hub.transport()
    await tap.start(topic_of(NETWORK), lambda wire: events.append(parse_event(wire)))
    async with AsyncExitStack() as stack:
        asker = await stack.enter_async_context(_asking("asker", hub.transport()))
        for number in range(seats):
            member = _member(number, hub.transport(), MemoryStore(), MemoryEmbedder(EMBEDDER))
            await stack.enter_async_context(_driven(member))
        await asker.knows(seats)
        await asker.ask(0, seats, encrypted=False)  # what a reveal says beside its answer can be read then
    await tap.stop()
    return [event for event in events if event.kind != Kind.ANNOUNCEMENT]


def _beside_answer(event: Event) -> int:
    answers = [_answer(number, _question(0)) for number in range(len(WORDINGS))]
    spoken = next(answer for answer in answers if answer in event.content)
    return len(encode_event(event)) - len(spoken)


if __name__ == "__main__":
    sys.exit(main())
