"""NKN by its own SDK in a side process: the suite of every transport, on a network on loopback; a round."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

import servers
from dicast.base.crypto import KeyPair
from dicast.base.errors import ConfigurationError
from dicast.base.limits import PACKET_BYTES_MAX
from dicast.cli.doctor_checks import State
from dicast.cli.doctor_networks import transport_checks
from dicast.daemon import plugins
from dicast.daemon.config_schema import Settings
from dicast.ports import Transport
from dicast.transports.nkn import NknTransport
from dicast.transports.nkn_process import NknProcess, NknSettings
from driven import asked_over
from loading import load, suite_of_transports

pytestmark = pytest.mark.anyio
TESTS = Path(__file__).resolve().parents[1]
NODE = TESTS / "interop/node"


suite = load("tests/conformance/test_transports.py")
globals().update(suite_of_transports())


class Network:
    """What a client sees of NKN, on loopback."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [servers.program("node"), str(NODE / "nkn_network.mjs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.rpc = self._process.stdout.readline().strip()

    def hang_up(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("drop\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    made = Network()
    yield made
    made.kill()


def seed(number: int) -> bytes:
    return bytes([number]) * 32


def settings(network: Network, number: int, *peers: str) -> NknSettings:
    return NknSettings(seed(number), servers.program("node"), NODE, network.rpc, peers)


@pytest.fixture
async def make_transport(network: Network) -> AsyncIterator[Callable[[], Transport]]:
    """Each is told of those that are there by then."""
    made = list[NknTransport]()

    def make() -> Transport:
        transport = NknTransport(settings(network, len(made)))
        for one in made:
            for address in one.addresses():
                transport.suggest(address)
        made.append(transport)
        return transport

    yield make
    await asyncio.gather(*(transport.stop() for transport in made))


@pytest.fixture
async def make_node(network: Network, topic: str) -> AsyncIterator[Callable]:
    nodes: list[NknTransport] = []

    async def make(*peers: str) -> tuple[NknTransport, object]:
        nodes.append(NknTransport(settings(network, 100 + len(nodes), *peers)))
        inbox = suite.Inbox()
        await nodes[-1].start(topic, inbox.take)
        await suite.until(lambda: nodes[-1].health().state == "up")
        return nodes[-1], inbox

    yield make
    await asyncio.gather(*(node.stop() for node in nodes))


def is_running(pid: int | None) -> bool:
    return Path(f"/proc/{pid}").exists()


def key_by_the_sdk(secret: bytes) -> str:
    program = "const { default: Key } = require('nkn-sdk/common/key')"
    program += "; console.log(new Key(process.argv[1]).publicKey)"
    command = [servers.program("node"), "-e", program, secret.hex()]
    return subprocess.run(command, cwd=NODE, check=True, capture_output=True, text=True).stdout.strip()


def seen_of(pid: int | None) -> str:
    """What others on this machine may read of a process."""
    return "".join(Path(f"/proc/{pid}/{name}").read_text() for name in ("cmdline", "environ"))


async def test_the_address_is_the_one_that_the_sdk_makes_of_the_seed(network: Network) -> None:
    process = NknProcess(settings(network, 7))
    try:
        assert await process.open() == f"dicast.{key_by_the_sdk(seed(7))}"
        assert seed(7).hex() not in seen_of(process.pid) + repr(settings(network, 7))
    finally:
        await process.close()


async def test_lines_that_are_none_are_answered_and_the_process_goes_on(network: Network) -> None:
    process = await asyncio.create_subprocess_exec(
        *(servers.program("node"), str(TESTS.parent / "src/dicast/transports/nkn_side.mjs")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    first = {"sdk": str(NODE), "seed": seed(8).hex(), "identifier": "dicast", "rpc": network.rpc}
    for line in (b"no JSON", json.dumps(first).encode(), b"null", b"[]", b'{"id":1}', b'{"id":2,"to":["x"]}'):
        process.stdin.write(line + b"\n")
    said: list[dict[str, object]] = []
    async with asyncio.timeout(suite.WAIT_SECONDS_MAX):
        while not any(line.get("done") == 2 for line in said):
            said.append(json.loads(await process.stdout.readline()))
    assert said[0] == {"problem": "a line that is no JSON"}
    assert all(line["why"] for line in said if "done" in line)
    process.stdin.close()
    async with asyncio.timeout(suite.WAIT_SECONDS_MAX):
        assert await process.wait() == 0


async def test_who_knows_one_node_meets_all(make_node, topic) -> None:
    known, _ = await make_node()
    nodes = [await make_node(known.address) for _ in range(2)]
    await suite.until(lambda: all(len(node.peers()) == 2 for node, _ in nodes))
    nodes[0][0].publish(wire := suite.packet(topic))
    await nodes[1][1].until_has([wire])
    await suite.until(lambda: nodes[0][0].health().round_trip_ms is not None)
    nodes[0][0].suggest("no address")
    await nodes[1][0].stop()
    await suite.until(lambda: len(nodes[0][0].peers()) == 1)


async def test_a_side_process_that_dies_is_started_again(make_node, topic) -> None:
    known, inbox = await make_node()
    node, _ = await make_node(known.address)
    former = node.pid
    os.kill(former, signal.SIGKILL)
    await suite.until(lambda: node.pid not in (None, former) and node.health().state == "up")
    node.publish(wire := suite.packet(topic))
    await inbox.until_has([wire])
    assert not is_running(former)


async def test_a_network_that_hangs_up_is_joined_again(network: Network, make_node, topic) -> None:
    known, inbox = await make_node()
    node, _ = await make_node(known.address)
    formers = (known.pid, node.pid)
    network.hang_up()
    await suite.until(lambda: known.pid not in (None, formers[0]) and node.pid not in (None, formers[1]))
    node.publish(wire := suite.packet(topic))
    await inbox.until_has([wire])


async def test_what_is_said_while_nobody_is_there_waits_for_the_first(make_node, topic, monkeypatch) -> None:
    monkeypatch.setattr("dicast.transports.newcomers.RECENT_SECONDS", 0.0)  # nothing is said twice
    alone, _ = await make_node()
    alone.publish(wire := suite.packet(topic))
    _, inbox = await make_node(alone.address)
    await inbox.until_has([wire])


async def test_the_doctor_passes_a_packet_between_two_ends(network: Network) -> None:
    here = {"sdk": str(NODE), "rpc": network.rpc, "node": servers.program("node")}
    [check] = await transport_checks(Settings(transports={"nkn": here}), is_running=False)
    assert (check.state, "a packet goes through in" in check.detail) == (State.OK, True), check.detail


async def test_no_process_is_left_behind(network: Network) -> None:
    process = NknProcess(settings(network, 9))
    await process.open()
    pid = process.pid
    await process.close()
    assert not is_running(pid)


async def test_what_strangers_say_is_counted_and_not_answered(network: Network, make_node, topic) -> None:
    node, inbox = await make_node()
    stranger = NknProcess(settings(network, 10))
    try:
        await stranger.open()
        await stranger.connected()
        noise = [b"", b"p", b"x" * 100, b"h" + bytes(32), bytes(PACKET_BYTES_MAX + 100), bytes(1 << 20)]
        for data in noise:
            await stranger.post([node.address], data)
        await suite.until(lambda: node.health().dropped == len(noise))
        await stranger.post([node.address], b"p" + bytes.fromhex(topic) + b"from one who knows the topic")
        await inbox.until_has([b"from one who knows the topic"])
    finally:
        await stranger.close()
    assert (inbox.wires, node.health().state) == ([b"from one who knows the topic"], "up")


async def test_a_peer_that_is_not_there_is_named(network: Network, topic) -> None:
    missing, no_key = f"dicast.{key_by_the_sdk(seed(13))}", f"dicast.{'ab' * 32}"
    node = NknTransport(settings(network, 11, missing, no_key))
    await node.start(topic, suite.Inbox().take)
    await suite.until(lambda: node.health().state == "degraded")
    assert f"0 peers; no answer from {missing}, {no_key}" == node.health().detail
    await node.stop()


async def test_no_network_is_no_end(topic) -> None:
    nowhere = f"http://127.0.0.1:{servers.free_port()}"
    node = NknTransport(NknSettings(seed(12), servers.program("node"), NODE, nowhere))
    await node.start(topic, suite.Inbox().take)
    await suite.until(lambda: node.health().state == "down")
    assert "no NKN node could be reached" in node.health().detail
    await node.stop()


def build(**table: object):
    surroundings = plugins.Surroundings("", Path(), (), KeyPair.from_seed(b"builtin"))
    return plugins.build(plugins.TRANSPORTS, "nkn", table, surroundings)


def test_it_is_built_from_its_table() -> None:
    public = build(sdk=str(NODE), public=True, peers=[f"dicast.{'ab' * 32}"])
    local = build(sdk=str(NODE / "node_modules"), rpc="http://127.0.0.1:30003")
    assert [type(one) for one in (public, local)] == [NknTransport] * 2


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"public": True}, "npm install"),
        ({"public": True, "sdk": "/nowhere"}, "npm install"),
        ({"public": True, "sdk": str(NODE), "node": "no-such-node"}, "Install Node.js"),
        ({"sdk": str(NODE)}, "public = true"),
        ({"sdk": str(NODE), "rpc": "https://rpc.example.org"}, "public = true"),
        ({"public": True, "sdk": str(NODE), "peers": ["somebody"]}, "64 hex digits"),
        ({"public": True, "sdk": str(NODE), "peers": [f"dicast.{'ab' * 32}"] * 17}, "at most 16"),
    ],
)
def test_what_does_not_fit_is_named_with_the_next_step(table: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build(**table)
    assert said in f"{caught.value} {caught.value.next_step}"


async def test_a_round(network: Network) -> None:
    """Over NKN alone; the first is known to all."""
    made: list[NknTransport] = []

    def make(number: int) -> NknTransport:
        made.append(NknTransport(settings(network, 50 + number, *(one.address for one in made[:1]))))
        return made[-1]

    async with asked_over(make):
        pass
