"""libp2p: the suite of every transport, js-libp2p by TCP and WebSocket both ways, relays, a round."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from dicast.base.limits import PACKET_BYTES_MAX
from dicast.ports import Transport
from dicast.protocol.messages import Kind, Role
from dicast.transports.libp2p import Libp2pTransport
from dicast.transports.libp2p_finder import Libp2pFinder
from dicast.transports.libp2p_host import Libp2pSettings
from driven import QUESTION, SENTENCE, DrivenNode, delivered_twice
from loading import load
from servers import free_port, program

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
TESTS = Path(__file__).resolve().parents[1]
KEYS = ["ab" * 32, "cd" * 32]


suite = load("tests/conformance/test_transports.py")
globals().update(
    {
        name: each
        for name, each in vars(suite).items()
        if (name.startswith("test_") and "relay" not in name) or name == "topic"
    }
)


def seed(number: int) -> bytes:
    return bytes([number]) * 32


@pytest.fixture(params=["tcp", "websocket"])
async def make_transport(request: pytest.FixtureRequest) -> AsyncIterator[Callable[[], Transport]]:
    """Each node dials those that listen by then."""
    made = list[Libp2pTransport]()
    listen = {"tcp": "/ip4/127.0.0.1/tcp/0", "websocket": "/ip4/127.0.0.1/tcp/0/ws"}[request.param]

    def make() -> Transport:
        peers = tuple(one.addresses()[0] for one in made if one.addresses())
        made.append(Libp2pTransport(Libp2pSettings(seed(len(made)), (listen,), peers)))
        return made[-1]

    yield make
    await asyncio.gather(*(transport.stop() for transport in made))


@pytest.fixture
async def make_node(topic: str) -> AsyncIterator[Callable]:
    nodes: list[Libp2pTransport] = []

    async def make(*peers: str, wait: bool = True, **named) -> tuple[Libp2pTransport, object]:
        settings = Libp2pSettings(named.pop("seed", seed(len(nodes))), peers=peers, **named)
        nodes.append(Libp2pTransport(settings))
        inbox = suite.Inbox()
        await nodes[-1].start(topic, inbox.take)
        if wait:
            await suite.until(lambda: nodes[-1].health().state == "up")
        return nodes[-1], inbox

    yield make
    await asyncio.gather(*(node.stop() for node in nodes))


class Peer:
    """js-libp2p in a process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.addresses: list[str] = []
        self.heard: list[bytes] = []
        self.said: list[dict[str, str]] = []
        self.errors: list[object] = []

    async def read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            said = json.loads(line)
            if "addresses" in said:
                self.addresses = said["addresses"]
            elif "base64" in said:
                self.heard.append(base64.b64decode(said["base64"]))
            elif {"found", "looked", "provided"} & said.keys():
                self.said.append(said)
            else:
                self.errors.append(said)

    async def publish(self, topic: str, data: bytes) -> None:
        await self.tell(topic=topic, base64=base64.b64encode(data).decode())

    async def tell(self, **said: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(said).encode() + b"\n")
        await self._process.stdin.drain()

    async def ask(self, **said: str) -> list[dict[str, str]]:
        """What it says to a question, up to the last line."""
        before = len(self.said)
        await self.tell(**said)
        await suite.until(lambda: any("found" not in line for line in self.said[before:]))
        return self.said[before:]


@pytest.fixture
async def make_peer() -> AsyncIterator[Callable]:
    async with contextlib.AsyncExitStack() as stack:

        async def make(topic: str, *dialled: str) -> Peer:
            script = TESTS / "interop/node/libp2p_peer.mjs"
            process = await asyncio.create_subprocess_exec(
                *(
                    program("node"),
                    "--experimental-websocket",
                    str(script),
                    f"dicast/{topic}",
                    *dialled,
                ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                limit=1 << 20,
            )
            peer = Peer(process)
            reading = asyncio.create_task(peer.read())
            stack.push_async_callback(process.wait)
            stack.push_async_callback(asyncio.wait, [reading])
            stack.callback(process.kill)
            await suite.until(lambda: bool(peer.addresses))
            return peer

        yield make


@pytest.mark.parametrize("who_dials", ["we by TCP", "we by WebSocket", "they by TCP", "they by WebSocket"])
async def test_js_libp2p_hears_us_and_is_heard(make_node, make_peer, topic, who_dials: str) -> None:
    is_web = who_dials.endswith("WebSocket")
    if who_dials.startswith("we"):
        peer = await make_peer(topic)
        [address] = [each for each in peer.addresses if ("/ws" in each) == is_web]
        node, inbox = await make_node(address)
    else:
        node, inbox = await make_node(listen=("/ip4/127.0.0.1/tcp/0" + ("/ws" if is_web else ""),))
        peer = await make_peer(topic, *node.addresses())
        await suite.until(lambda: "1 on the topic" in node.health().detail)
    room = PACKET_BYTES_MAX - len(suite.packet(topic, ""))
    wires = [*suite.numbered(topic, 20), suite.packet(topic, "x" * room)]
    for wire in wires:
        node.publish(wire)
    await suite.until(lambda: set(wires) <= set(peer.heard))
    theirs = suite.numbered(topic[::-1], 20)
    for wire in theirs:
        await peer.publish(f"dicast/{topic}", wire)
    await inbox.until_has(theirs)
    assert (peer.errors, node.health().dropped) == ([], 0)


async def test_who_knows_one_node_hears_all_and_meets_them_by_the_table(make_node, topic) -> None:
    known, _ = await make_node()
    nodes = [await make_node(known.addresses()[0]) for _ in range(3)]
    nodes[0][0].publish(wire := suite.packet(topic))
    for _, inbox in nodes[1:]:
        await inbox.until_has([wire])
    await suite.until(lambda: [len(node.peers()) for node, _ in nodes] == [3, 3, 3])


async def test_suggested_peers_are_dialled(make_node, topic) -> None:
    (node, _), (other, inbox) = [await make_node() for _ in range(2)]
    node.suggest("no address")
    node.suggest(other.addresses()[0])
    await suite.until(lambda: "1 on the topic" in node.health().detail)
    node.publish(wire := suite.packet(topic))
    await inbox.until_has([wire])


async def test_a_node_behind_a_relay_is_reached_and_the_relay_may_be_js(make_node, make_peer, topic) -> None:
    theirs = await make_peer("elsewhere")
    ours, _ = await make_node(is_relay=True)
    for relay in (ours.addresses()[0], theirs.addresses[0]):
        hidden, inbox = await make_node(listen=(), relays=(relay,))
        [circuit] = [address for address in hidden.addresses() if "/p2p-circuit/" in address]
        visitor, _ = await make_node(circuit)
        await suite.until(lambda: len(hidden.peers()) >= 2)  # noqa: B023 (awaited here)
        visitor.publish(wire := suite.packet(topic, relay))
        await inbox.until_has([wire])


async def test_a_peer_that_goes_and_comes_back(make_node, topic) -> None:
    """It is away for longer than the package takes to give it up for a minute."""
    listen = (f"/ip4/127.0.0.1/tcp/{free_port()}",)
    known, _ = await make_node(listen=listen, seed=seed(99))
    sender, _ = await make_node(known.addresses()[0])
    await known.stop()
    await suite.until(lambda: "fail" in sender.health().detail)
    assert sender.health().state == "down"
    _, inbox = await make_node(listen=listen, seed=seed(99))
    back_at = time.monotonic()
    await suite.until(lambda: sender.health().state == "up")
    number = 0
    while not inbox.wires:
        sender.publish(suite.packet(topic, str(number := number + 1)))
        await asyncio.sleep(0)
        await suite.until(lambda: sender.health().sent == number)
    assert time.monotonic() - back_at < 20  # 0.7 s on a machine with nothing else to do


async def test_the_round_trip_is_measured_and_newcomers_are_told(make_node, topic) -> None:
    first, _ = await make_node()
    announcement = suite.packet(topic, "offer", Kind.ANNOUNCEMENT)
    first.publish(announcement)
    await suite.until(lambda: first.health().sent == 1)
    second, inbox = await make_node(first.addresses()[0])
    await inbox.until_has([announcement])
    await suite.until(lambda: second.health().round_trip_ms in range(2000))


async def test_what_is_too_large_and_noise_do_no_harm(make_node, make_peer, topic) -> None:
    node, inbox = await make_node()
    peer = await make_peer(topic, node.addresses()[0])
    await suite.until(lambda: "1 on the topic" in node.health().detail)
    await peer.publish(f"dicast/{topic}", bytes(PACKET_BYTES_MAX + 1))
    for number in range(300):
        await peer.publish(f"dicast/{topic}", b"noise %d" % number)
    await inbox.until_has([b"noise 299"])
    assert max(map(len, inbox.wires)) < 20
    [port] = [part for part in node.addresses()[0].split("/") if part.isdecimal()]
    for noise in (
        b"\xff" * 100_000,
        b"\x13/multistream/1.0.0\n" + b"\xff" * 1000,
        b"GET / HTTP/1.1\r\n\r\n",
        b"",
    ):
        _, writer = await asyncio.open_connection("127.0.0.1", int(port))
        writer.write(noise)
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()
    await peer.publish(f"dicast/{topic}", b"still there")
    await inbox.until_has([b"still there"])
    assert node.health().state == "up"


async def test_a_peer_that_is_not_there_is_named(make_node) -> None:
    known, _ = await make_node()
    missing = f"/ip4/127.0.0.1/tcp/{free_port()}/p2p/{known.addresses()[0].rpartition('/')[2]}"
    lonely, _ = await make_node(missing, wait=False)
    await suite.until(lambda: lonely.health().state == "down")
    assert missing in lonely.health().detail


async def record_found(finder: Libp2pFinder, key: str, found: list[bytes]) -> bytes:
    """Asks again, as nodes do, until something was found."""
    loop = asyncio.get_running_loop()
    while not found:
        finder.find(key)
        again_at = loop.time() + 2
        await suite.until(lambda: found or loop.time() > again_at)  # noqa: B023 (awaited here)
    return found[-1]


async def test_records_are_found_by_js_and_theirs_by_us(make_node, make_peer, topic) -> None:
    peer = await make_peer("elsewhere")
    node, _ = await make_node(peer.addresses[0])
    found: list[bytes] = []
    await node.finder.start(found.append)
    ours, theirs = bytes(range(256)) * 3, b"their record" * 83
    node.finder.provide([KEYS[0]], ours)
    await suite.until(lambda: node.finder.health().state == "up")
    told: list[dict[str, str]] = []
    while not told:
        told = [line for line in await peer.ask(find=KEYS[0]) if "found" in line]
    assert {base64.b64decode(line["found"]) for line in told} == {ours}
    assert {line["provider"] for line in told} == {node.addresses()[0].rpartition("/")[2]}
    await peer.ask(provide=KEYS[1], base64=base64.b64encode(theirs).decode())
    assert await record_found(node.finder, KEYS[1], found) == theirs
    assert (peer.errors, node.finder.health().received) == ([], 1)


async def test_records_are_found_over_a_node_that_knows_both_and_the_latest_is_given(make_node) -> None:
    known, _ = await make_node()
    nodes = [(await make_node(known.addresses()[0]))[0] for _ in range(2)]
    found: tuple[list[bytes], list[bytes]] = [], []
    for node, inbox in zip(nodes, found, strict=True):
        await node.finder.start(inbox.append)
        node.finder.provide(KEYS, b"record of " + node.addresses()[0].encode())
    first, second = (node.addresses()[0].encode() for node in nodes)
    assert await record_found(nodes[0].finder, KEYS[0], found[0]) == b"record of " + second
    assert await record_found(nodes[1].finder, KEYS[1], found[1]) == b"record of " + first
    nodes[1].finder.provide(KEYS, b"a later record")
    while found[0][-1] != b"a later record":
        before = len(found[0])
        nodes[0].finder.find(KEYS[1])
        await suite.until(lambda: len(found[0]) > before)  # noqa: B023 (awaited here)


async def test_records_that_are_none_are_counted_and_harm_nobody(make_node, make_peer) -> None:
    peer = await make_peer("elsewhere")
    node, _ = await make_node(peer.addresses[0])
    found: list[bytes] = []
    await node.finder.start(found.append)
    await suite.until(lambda: node.finder.health().state == "up")
    await peer.ask(provide=KEYS[0], base64=base64.b64encode(bytes(100_000)).decode())
    node.finder.find(KEYS[0])
    await suite.until(lambda: node.finder.health().dropped == 1)
    await peer.ask(provide=KEYS[0], base64=base64.b64encode(b"a record").decode())
    assert await record_found(node.finder, KEYS[0], found) == b"a record"
    node.finder.provide(KEYS, bytes(1001))
    assert (node.finder.health().dropped, node.health().state) == (2, "up")


async def test_a_round() -> None:
    """Three workers and a follower, over libp2p alone."""
    names = {"worker 1": True, "worker 2": True, "worker 3": True, "follower": False}
    async with contextlib.AsyncExitStack() as stack:
        nodes, known = [], ()
        for number, (name, works) in enumerate(names.items()):
            roles = (Role.WORKER, Role.VALIDATOR) if works else ()
            transport = Libp2pTransport(Libp2pSettings(seed(number), peers=known))
            nodes.append(DrivenNode(name, lambda _: [transport], roles))  # noqa: B023 (called here)
            running = asyncio.create_task(nodes[-1].driver.run())
            stack.push_async_callback(asyncio.gather, running, return_exceptions=True)
            stack.callback(nodes[-1].driver.stop)
            await nodes[-1].driver.started.wait()
            await suite.until(lambda: transport.health().state == "up")  # noqa: B023 (awaited here)
            known = known or tuple(transport.addresses())
        await suite.until(lambda: len(nodes[-1].service.known().others) == 3)
        async with asyncio.timeout(60):
            answer = await nodes[-1].service.answer(QUESTION, lambda _: None)
        assert (answer.outcome, answer.answer, answer.verified) == ("accepted", SENTENCE, True)
        assert delivered_twice(nodes) == []
