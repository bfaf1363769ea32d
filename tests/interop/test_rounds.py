"""Rounds over each network alone, over all at once, and over what is left when servers are killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from dicast.base.crypto import KeyPair
from dicast.base.hashing import sha256
from dicast.base.types import Now
from dicast.daemon.clock import RealClock
from dicast.ports import Transport
from dicast.protocol.messages import Kind, Role
from dicast.torrent_session import SessionSettings, TorrentSession
from dicast.transports.bittorrent import BittorrentTransport
from dicast.transports.gun import GunSettings, GunTransport
from dicast.transports.libp2p import Libp2pTransport
from dicast.transports.libp2p_host import Libp2pSettings
from dicast.transports.mqtt import MqttTransport
from dicast.transports.mqtt_client import Broker
from dicast.transports.nats import NatsTransport
from dicast.transports.nats_client import NatsServer
from dicast.transports.nkn import NknTransport
from dicast.transports.nkn_process import NknSettings
from dicast.transports.nostr import NostrTransport
from dicast.transports.signalling_nostr import NostrSignaller
from dicast.transports.webrtc import WebRtcSettings, WebRtcTransport
from dicast.transports.websocket import MeshSettings, WebSocketTransport
from dicast.transports.zenoh import ZenohSettings, ZenohTransport
from driven import DrivenNode, ask, delivered_twice
from free_ports import free_port
from servers import program
from waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
ALL = ("nostr", "mqtt", "websocket", "zenoh")
INTRODUCED = ("libp2p", "nkn")
"""Their nodes are told of the first, as a ticket would."""
EVERY = (*ALL, "nats", "gun", "webrtc", "bittorrent", *INTRODUCED)
NODE = Path(__file__).parent / "node"


class Server:
    """A program on a port of its own that can be killed and started again."""

    def __init__(self, *words: str) -> None:
        self._words = words
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *self._words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith("listening")

    def kill(self) -> None:
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.communicate()
            self._process = None


HUB = """
import asyncio, sys
from dicast.transports.websocket import MeshSettings, WebSocketTransport

async def serve():
    hub = WebSocketTransport(MeshSettings(("127.0.0.1", int(sys.argv[1])), is_hub=True))
    await hub.start("hub", lambda wire: None)
    while hub.health().state != "up":
        await asyncio.sleep(0.01)
    print("listening", flush=True)
    await asyncio.to_thread(sys.stdin.read)

asyncio.run(serve())
"""


class Servers:
    """One server for each network: a relay, a broker by other people, a hub of WebSockets, a Zenoh router.

    nats-server, npm's gun and a node of BitTorrent's hash table besides; WebRTC meets at the relay.
    """

    def __init__(self, broker) -> None:
        relay, hub, router, self.nats, self.gun = (free_port() for _ in range(5))
        self._broker = broker
        self.table = TorrentSession(SessionSettings())
        self.nkn_rpc = ""
        self.made: dict[str, list[Libp2pTransport | NknTransport]] = {kind: [] for kind in INTRODUCED}
        self._addresses = {
            "nostr": f"ws://127.0.0.1:{relay}",
            "websocket": f"ws://127.0.0.1:{hub}",
            "zenoh": f"tcp/127.0.0.1:{router}",
        }
        self.by_name = {
            "mqtt": broker,
            "nostr": Server("-m", "dicast.cli", "relay", f"--port={relay}"),
            "websocket": Server("-c", HUB, str(hub)),
            "zenoh": Server("-m", "dicast.cli", "router", f"--listen={self._addresses['zenoh']}"),
        }

    def transport(self, kind: str, key: KeyPair) -> Transport:
        """A node's end of a network; nodes reach each other through its server only."""
        address = self._addresses.get(kind, "")
        if kind == "nostr":
            return NostrTransport([address], key)
        if kind == "mqtt":
            password = self._broker.password_file.read_text().strip()
            return MqttTransport(Broker(self._broker.url("tcp"), "node", password))
        if kind == "websocket":
            return WebSocketTransport(MeshSettings(None, peers=(address,)))
        if kind == "nats":
            return NatsTransport(NatsServer(f"nats://127.0.0.1:{self.nats}"))
        if kind == "gun":
            return GunTransport(GunSettings(key.node_id, (f"ws://127.0.0.1:{self.gun}/gun",)))
        if kind == "webrtc":
            return WebRtcTransport(WebRtcSettings(), [NostrSignaller(self._addresses["nostr"])])
        if kind == "bittorrent":
            settings = SessionSettings(bootstrap=(f"127.0.0.1:{self.table.port}",))
            return BittorrentTransport(TorrentSession(settings), MeshSettings(("127.0.0.1", 0)))
        if kind in INTRODUCED:
            return self._introduced(kind, sha256(key.secret))
        return ZenohTransport(ZenohSettings(listen=(), connect=(address,)))

    def _introduced(self, kind: str, seed: bytes) -> Transport:
        if kind == "nkn":
            made = NknTransport(NknSettings(seed, program("node"), NODE, self.nkn_rpc, ()))
        else:
            made = Libp2pTransport(Libp2pSettings(seed))
        self.made[kind].append(made)
        return made

    async def introduce(self) -> None:
        """Tell whoever came last where the first is."""
        for made in self.made.values():
            if len(made) > 1:
                await until(lambda two=(made[0], made[-1]): all(one.addresses() for one in two))
                for address in made[0].addresses():
                    made[-1].suggest(address)


MakeNode = Callable[..., Awaitable[DrivenNode]]


@pytest.fixture
async def servers(make_broker) -> AsyncIterator[Servers]:
    made = Servers(make_broker())
    ours = ("nostr", "websocket", "zenoh")
    await asyncio.gather(*(asyncio.to_thread(made.by_name[name].start) for name in ours))
    yield made
    for server in made.by_name.values():
        server.kill()


@pytest.fixture
async def every_server(servers: Servers, run_program, tmp_path: Path) -> AsyncIterator[Servers]:
    """The same with those that are not killed in the course of a test."""
    await asyncio.to_thread(
        run_program, servers.nats, "nats-server", "-a", "127.0.0.1", "-p", str(servers.nats)
    )
    gun = (str(NODE / "gun_relay.mjs"), str(servers.gun), str(tmp_path / "gun"))
    await asyncio.to_thread(run_program, servers.gun, "node", *gun, folder=tmp_path)
    words = (program("node"), str(NODE / "nkn_network.mjs"))
    network = await asyncio.create_subprocess_exec(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert network.stdout is not None
    servers.nkn_rpc = (await network.stdout.readline()).decode().strip()
    await servers.table.start()
    yield servers
    await servers.table.stop()
    network.kill()
    await network.wait()


@pytest.fixture
async def make_node(servers: Servers) -> AsyncIterator[MakeNode]:
    """Running nodes on the named networks; a follower has no role."""
    async with AsyncExitStack() as stack:

        async def make(name: str, kinds: Iterable[str], clock: RealClock | None = None) -> DrivenNode:
            roles = () if name.startswith("follower") else (Role.WORKER, Role.VALIDATOR)
            node = DrivenNode(name, lambda key: [servers.transport(kind, key) for kind in kinds], roles)
            node.driver.clock = clock or node.driver.clock
            node.running = asyncio.create_task(node.driver.run())
            stack.push_async_callback(node.stop)
            await node.driver.started.wait()
            await servers.introduce()
            return node

        yield make


class StandingClock(RealClock):
    """Its calendar stands still, so that the same question is the same bytes on every network."""

    def __init__(self, unix_ms: int) -> None:
        super().__init__()
        self._unix_ms = unix_ms

    def now(self) -> Now:
        return Now(super().now().monotonic_ms, self._unix_ms)


def decided(certificate: bytes) -> tuple[object, ...]:
    """All of a certificate but who signed it in time: request, quorum, answers and the judge's verdict."""
    content = json.loads(certificate)
    events = [event for event in content["events"] if event["kind"] != Kind.SIGNATURE]
    return content["verdict"], content["recomputed"], sorted(event["id"] for event in events)


@pytest.fixture(scope="module")
def standing_clock() -> StandingClock:
    return StandingClock(time.time_ns() // 1_000_000)


@pytest.fixture(scope="module")
def certificates() -> dict[tuple[str, ...], tuple[object, ...]]:
    """What was decided over each choice of networks."""
    return {}


@pytest.mark.parametrize("kinds", [*((kind,) for kind in EVERY), EVERY], ids=[*EVERY, "all"])
async def test_a_round_over_each_alone_and_over_all_has_the_same_certificate(
    every_server: Servers, make_node: MakeNode, standing_clock, certificates, kinds: tuple[str, ...]
) -> None:
    """The same keys, the same moment, the same question: request, answers and verdict are the same bytes."""
    nodes = [await make_node(f"worker {number}", kinds, standing_clock) for number in range(3)]
    nodes.append(await make_node("follower", kinds, standing_clock))
    if set(kinds) <= {"bittorrent", *INTRODUCED}:  # a hash table is looked at after 0.5 s, 1 s, 2 s …
        await until(lambda: len(nodes[-1].service.known().others) == 3)
    certificates[kinds] = decided((await ask(nodes[-1]))[0].certificate)
    assert certificates[kinds] == next(iter(certificates.values())), "as over the first"
    assert delivered_twice(nodes) == []


ROUNDS = int(os.environ.get("DICAST_ROUNDS", "200"))
ROUNDS_A_FOLLOWER = 15  # a node takes 16 of one requester
BLOWS = {
    0.08: ("kill", "mqtt"),
    0.16: ("start", "mqtt"),
    0.24: ("kill", "nostr"),
    0.32: ("start", "nostr"),
    0.40: ("kill", "zenoh"),
    0.48: ("start", "zenoh"),
    0.56: ("kill", "websocket"),
    0.64: ("start", "websocket"),
    0.72: ("kill", "nostr"),
    0.80: ("kill", "websocket"),
    0.88: ("kill", "zenoh"),
}
"""Which share of the rounds has been asked when a server is killed or started, in the midst of a round."""


async def test_no_round_is_lost_while_servers_are_killed_one_by_one(
    make_node: MakeNode, servers: Servers
) -> None:
    nodes = [await make_node(f"worker {number}", ALL) for number in range(3)]
    blows = {int(share * ROUNDS): blow for share, blow in BLOWS.items()}
    seconds = list[float]()
    for number in range(ROUNDS):
        if number % ROUNDS_A_FOLLOWER == 0:
            follower = await make_node(f"follower {number}", ALL)
            nodes.append(follower)
        asking = asyncio.create_task(ask(follower))
        if number in blows:
            await asyncio.sleep(0)
            act, name = blows[number]
            await asyncio.to_thread(getattr(servers.by_name[name], act))
        seconds.append((await asking)[1])
        if number % ROUNDS_A_FOLLOWER == ROUNDS_A_FOLLOWER - 1:
            await follower.stop()
    assert delivered_twice(nodes) == []
    left = {"nostr": "down", "mqtt": "up", "websocket": "down"}
    await until(
        lambda: left.items() <= {one.name: one.state for one in nodes[0].service.status().transports}.items()
    )
    counts = [lane.counts for lane in nodes[0].driver.transports.lanes]
    assert sum(one.copies for one in counts) > ROUNDS
    slow = {number: round(took, 1) for number, took in enumerate(seconds) if took > 1}
    print(f"{ROUNDS} rounds in {sum(seconds):.1f} s; longer than a second: {slow or 'none'}")
    assert max(seconds) < 30, "no round waited for its deadline"
