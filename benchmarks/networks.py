"""Several networks at once: what a packet costs over each and over all, a copy, and coming back.

Run `python benchmarks/networks.py [--packets N]`. Servers are processes of their own on loopback: `dicast
relay`, `dicast router`, a hub of WebSockets, a relay of GunDB (ours), mosquitto and nats-server where they
are installed; for WebRTC (which meets at the relay), BitTorrent and libp2p another node of the topic.
Publishing: processor time of this process a packet of 1.1 kB, 160 a second, until all networks have taken it,
through a multiplexer with one network, then with all. A copy: what a packet costs that came before over
another network, from its transport's hand to being dropped. Coming back: the server is killed, both ends
notice, it starts again; from its listening to the first packet that gets from one end to the other, the worst
of three.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec

from dicast.base.crypto import KeyPair
from dicast.base.events import encode_event, sign_event
from dicast.daemon import plugins
from dicast.daemon.logs import Log
from dicast.daemon.multiplexer import Multiplexer
from dicast.ports import Transport
from dicast.protocol.messages import Kind
from dicast.transports.backoff import STABLE_SECONDS
from dicast.transports.memory import MemoryHub

TOPIC = "ab" * 32
KEY = KeyPair.from_seed(b"networks".ljust(32))
BURST, PACKETS_A_SECOND = 16, 160
"""The same pace for each and for all, below the slowest: what is written together costs less."""
COPIES = 20_000
TRIES = 3
COPY_US_MAX, BACK_S_MAX = 2.0, 2.0
SUM_SLACK = 1.05
"""Runs of a few seconds differ by so much."""
WAIT_S = 60.0
PEER = """
import asyncio, json, sys
from pathlib import Path
from dicast.base.crypto import KeyPair
from dicast.daemon import plugins

async def serve(name, table, topic, relays):
    surroundings = plugins.Surroundings("", Path(), relays, KeyPair.from_seed(name.encode().ljust(32)))
    peer = plugins.build(plugins.TRANSPORTS, name, table, surroundings)
    await peer.start(topic, lambda wire: None)
    while peer.health().state == "starting" and name != "bittorrent":
        await asyncio.sleep(0.01)
    print(*peer.addresses() if name == "libp2p" else (), flush=True)
    await asyncio.Event().wait()

asyncio.run(serve(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3], sys.argv[4:]))
"""
"""Another node of the topic, with a table of settings: what stands for a server where there is none."""


class Network(msgspec.Struct):
    """One network: how its server starts, and what a node's table says."""

    name: str
    command: tuple[str, ...]
    port: int
    table: Callable[[int], dict[str, object]]
    has_server: bool = True
    """Whether all goes over one process that can be killed; else links between nodes stay."""
    process: subprocess.Popen[bytes] | None = None
    said: str = ""
    before: tuple[str, ...] = ()
    """A program that must run first."""
    helper: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self.before:
            self.helper = subprocess.Popen(self.before, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        quiet, is_peer = subprocess.DEVNULL, PEER in self.command
        pipe = subprocess.PIPE if is_peer else quiet
        self.process = subprocess.Popen(self.command, stdout=pipe, stderr=quiet)
        if is_peer and self.process.stdout is not None:
            self.said = self.process.stdout.readline().decode().strip()
            return
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.005)
        raise TimeoutError(self.name)

    def kill(self) -> None:
        for process in filter(None, (self.process, self.helper)):
            process.kill()
            process.wait()

    def transport(self) -> Transport:
        """A node's end."""
        key = KeyPair.from_seed(os.urandom(32))  # two ends are two nodes
        surroundings = plugins.Surroundings("", Path(), (f"ws://127.0.0.1:{self.port}",), key)
        table = {} if self.name == "nostr" else self.table(self.port)
        return plugins.build(plugins.TRANSPORTS, self.name, table, surroundings)


def networks(folder: Path) -> list[Network]:
    """Those whose servers are installed."""
    return [*with_servers_of_ours(), *between_nodes(), *with_servers_of_others(folder)]


def with_servers_of_ours() -> list[Network]:
    relay, router, hub, gun = (free_port() for _ in range(4))
    dicast = (sys.executable, "-m", "dicast.cli")
    return [
        Network("nostr", (*dicast, "relay", f"--port={relay}"), relay, lambda _: {}),
        Network(
            "zenoh",
            (*dicast, "router", f"--listen=tcp/127.0.0.1:{router}"),
            router,
            lambda port: {"listen": [], "connect": [f"tcp/127.0.0.1:{port}"]},
        ),
        Network(
            "websocket",
            peer_command("websocket", {"listen": f"127.0.0.1:{hub}", "hub": True}),
            hub,
            lambda port: {"peers": [f"ws://127.0.0.1:{port}"]},
        ),
        Network(
            "gun",
            peer_command("gun", {"listen": f"127.0.0.1:{gun}"}),
            gun,
            lambda port: {"relays": [f"ws://127.0.0.1:{port}/gun"]},
        ),
    ]


def between_nodes() -> list[Network]:
    """Links between nodes: WebRTC's meet at a relay of their own."""
    meeting, table, libp2p = (free_port() for _ in range(3))
    found = [
        Network(
            "webrtc",
            peer_command("webrtc", {"relays": [f"ws://127.0.0.1:{meeting}"]}),
            meeting,
            lambda port: {"relays": [f"ws://127.0.0.1:{port}"]},
            has_server=False,
            before=(sys.executable, "-m", "dicast.cli", "relay", f"--port={meeting}"),
        ),
        Network(
            "bittorrent",
            peer_command("bittorrent", {"table": f"127.0.0.1:{table}"}),
            table,
            lambda port: {"bootstrap": [f"127.0.0.1:{port}"]},
            has_server=False,
        ),
    ]
    if importlib.util.find_spec("libp2p") is None:
        print("libp2p is not installed: it is left out")
        return found
    command = peer_command("libp2p", {"listen": [f"/ip4/127.0.0.1/tcp/{libp2p}"]})
    made = Network("libp2p", command, libp2p, lambda _: {}, has_server=False)
    made.table = lambda port: {"peers": [made.said.split()[0].replace(f"/{libp2p}/", f"/{port}/")]}
    return [*found, made]


def with_servers_of_others(folder: Path) -> list[Network]:
    mqtt, nats = free_port(), free_port()
    broker = folder / "mosquitto.conf"
    broker.write_text(f"persistence false\nallow_anonymous true\nlistener {mqtt} 127.0.0.1\n")
    found: list[Network] = []
    for name, key, words, port in (
        ("mqtt", "broker", ("mosquitto", "-c", str(broker)), mqtt),
        ("nats", "server", ("nats-server", "-a", "127.0.0.1", "-p", str(nats)), nats),
    ):
        program = shutil.which(words[0], path=os.environ["PATH"] + ":/usr/sbin")
        if program is None:
            print(f"{words[0]} is not installed: {name} is left out")
            continue
        table = lambda port, key=key, name=name: {key: f"{name}://127.0.0.1:{port}"}  # noqa: E731
        found.append(Network(name, (program, *words[1:]), port, table))
    return found


def peer_command(name: str, table: dict[str, object], *relays: str) -> tuple[str, ...]:
    return (sys.executable, "-c", PEER, name, msgspec.json.encode(table).decode(), TOPIC, *relays)


@contextmanager
def started() -> Iterator[list[Network]]:
    """All of them, running."""
    with tempfile.TemporaryDirectory() as folder:
        every = networks(Path(folder))
        try:
            for network in every:
                network.start()
            yield every
        finally:
            for network in every:
                network.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def packet(number: int) -> bytes:
    event = sign_event(KEY, int(time.time()), Kind.STATUS, [("t", TOPIC)], f"{number} {'x' * 700}")
    return encode_event(event)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 (a transport has no event for its health)
            await asyncio.sleep(0.002)


@asynccontextmanager
async def running(chosen: list[Network]) -> AsyncIterator[Multiplexer]:
    transports = [network.transport() for network in chosen]
    many = Multiplexer(transports, lambda _wire, _carrier: None, Log("error"))
    await many.start(TOPIC)
    try:
        await until(lambda: all(transport.health().state == "up" for transport in transports))
        yield many
    finally:
        await many.stop()


async def publishing_us(chosen: list[Network], wires: list[bytes]) -> float:
    """Processor time a packet."""
    async with running(chosen) as many:
        before = [lane.transport.health().sent for lane in many.lanes]

        def behind(published: int) -> int:
            sent = [
                lane.transport.health().sent - first for lane, first in zip(many.lanes, before, strict=True)
            ]
            return published - min(sent)

        began = time.process_time()
        for number, wire in enumerate(wires):
            if number % BURST == 0:
                await asyncio.sleep(BURST / PACKETS_A_SECOND)
            many.publish(wire)
        await until(lambda: behind(len(wires)) <= 0)
        return (time.process_time() - began) / len(wires) * 1e6


async def copy_us() -> float:
    """A packet that another network brought a moment ago."""
    transports = [MemoryHub().transport() for _ in range(2)]
    many = Multiplexer(transports, lambda _wire, _carrier: None, Log("error"))
    first, second = (many._receiver(lane) for lane in many.lanes)
    wires = [packet(number) for number in range(200)]
    best = float("inf")
    for turn in range(COPIES // len(wires)):
        fresh = [b"%d" % turn + wire for wire in wires]
        for wire in fresh:
            first(wire)
        began = time.perf_counter()
        for wire in fresh:
            second(wire)
        best = min(best, (time.perf_counter() - began) / len(fresh) * 1e6)
    return best


async def back_s(network: Network) -> float:
    """The server is killed and starts again; a packet is sent every 20 ms until one arrives."""
    worst, number = 0.0, 0
    one, other = network.transport(), network.transport()
    arrived = asyncio.Event()
    await one.start(TOPIC, lambda _: arrived.set())
    await other.start(TOPIC, lambda _: None)
    for _ in range(TRIES):
        await until(lambda: all(end.peers() and end.health().state == "up" for end in (one, other)))
        await asyncio.sleep(STABLE_SECONDS + 0.5)
        network.kill()
        await until(lambda: not one.peers() and not other.peers())
        await asyncio.to_thread(network.start)
        began = time.monotonic()
        arrived.clear()
        while not arrived.is_set():
            number += 1
            other.publish(packet(1_000_000 + number))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(arrived.wait(), 0.02)
        worst = max(worst, time.monotonic() - began)
    await asyncio.gather(one.stop(), other.stop())
    return worst


def shown(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.2f}"


async def measure(every: list[Network], packets: int) -> bool:
    print(f"{os.cpu_count()} cores; {packets} packets of {len(packet(0))} bytes\n")
    print(f"{'network':<12}{'publishing us':>15}{'back s':>9}")
    wires = [packet(number) for number in range(packets)]
    total, is_good = 0.0, True
    for network in every:
        cost = await publishing_us([network], wires)
        back = await back_s(network) if network.has_server else None
        print(f"{network.name:<12}{cost:>15.0f}{shown(back):>9}", flush=True)
        total += cost
        is_good &= back is None or back <= BACK_S_MAX
    cost = await publishing_us(every, [packet(packets + number) for number in range(packets)])
    print(f"{'all at once':<12}{cost:>15.0f}")
    copy = await copy_us()
    print(f"\nsum of the networks' own {total:.0f} us; a copy {copy:.2f} us")
    is_good &= cost <= total * SUM_SLACK and copy <= COPY_US_MAX
    print(f"{'ok' if is_good else 'MISSED'}: all ≤ the sum, a copy ≤ {COPY_US_MAX} us, back ≤ {BACK_S_MAX} s")
    return is_good


def main() -> int:
    """Print the table; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packets", type=int, default=1500, help="a relay takes 6,000 a minute")
    given = parser.parse_args()
    with started() as every:
        return 0 if asyncio.run(measure(every, given.packets)) else 1


if __name__ == "__main__":
    sys.exit(main())
