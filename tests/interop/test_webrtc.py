"""WebRTC with programs by other people: trystero in Node over libwebrtc, its trackers, mosquitto, coturn."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

import servers
from dicast.transports.mqtt_client import Broker
from dicast.transports.relay import run_relay
from dicast.transports.signalling import Signaller
from dicast.transports.signalling_mqtt import MqttSignaller
from dicast.transports.signalling_nostr import NostrSignaller
from dicast.transports.signalling_tracker import TrackerSignaller
from dicast.transports.webrtc import WebRtcSettings, WebRtcTransport
from dicast.transports.webrtc_connection import IceSettings, TurnServer
from driven import asked_over
from loading import load, suite_of_transports
from waiting import WAIT_SECONDS_MAX

pytestmark = pytest.mark.anyio
TESTS = Path(__file__).resolve().parents[1]
NODE = TESTS / "interop/node"


suite = load("tests/conformance/test_transports.py")
globals().update(suite_of_transports())


class Program:
    """A Node program that speaks in lines of JSON; stopped by its id."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, object]] = []
        self._changed = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.lines.append(json.loads(line))
            self._changed.set()

    def say(self, **words: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(words).encode() + b"\n")

    async def until(self, condition: Callable[[dict[str, object]], bool]) -> dict[str, object]:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while not (found := [line for line in self.lines if condition(line)]):
                self._changed.clear()
                await self._changed.wait()
        return found[0]

    async def stop(self) -> None:
        if self.process.returncode is None:
            os.kill(self.process.pid, signal.SIGKILL)
        await self.process.wait()
        await self._reading


class World:
    """Meeting points, nodes and trystero peers of one test."""

    def __init__(self, stack: AsyncExitStack, broker) -> None:
        self._stack = stack
        self._broker = broker
        self._url = ""
        self.topic = secrets.token_hex(32)

    async def meeting_point(self, kind: str) -> str:
        if not self._url:
            self._url = await getattr(self, f"_{kind}")()
        return self._url

    async def _nostr(self) -> str:
        stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
        running = asyncio.create_task(run_relay("127.0.0.1", 0, stop=stop, ready=ready.set_result))
        self._stack.push_async_callback(asyncio.gather, running)
        self._stack.callback(stop.set)
        return await ready

    async def _mqtt(self) -> str:
        return self._broker.url("websocket").replace("//", f"//{servers.USER}:a%20password@")

    async def _torrent(self) -> str:
        tracker = await self.program("tracker.mjs")
        return f"ws://127.0.0.1:{(await tracker.until(lambda line: 'port' in line))['port']}"

    async def program(self, *arguments: str) -> Program:
        command = [servers.program("node"), str(NODE / arguments[0]), *arguments[1:]]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        program = Program(await asyncio.create_subprocess_exec(*command, **pipes))
        self._stack.push_async_callback(program.stop)
        return program

    def signaller(self, kind: str) -> Signaller:
        """For a meeting point that there is."""
        if kind == "mqtt":
            return MqttSignaller(Broker(self._broker.url("tcp"), servers.USER, servers.PASSWORD))
        return NostrSignaller(self._url) if kind == "nostr" else TrackerSignaller(self._url)

    async def node(self, kind: str, ice: IceSettings | None = None):
        await self.meeting_point(kind)
        transport = WebRtcTransport(WebRtcSettings(ice or IceSettings()), [self.signaller(kind)])
        inbox = suite.Inbox()
        await transport.start(self.topic, inbox.take)
        self._stack.push_async_callback(transport.stop)
        return transport, inbox

    async def page(self, kind: str, *turn: str) -> Program:
        """Stock trystero; it tells its id first."""
        url = await self.meeting_point(kind)
        return await self.program("trystero_peer.mjs", kind, url, self.topic, *turn)


@pytest.fixture(params=["torrent", "mqtt"])
async def make_transport(request: pytest.FixtureRequest, broker) -> AsyncIterator[Callable[[], object]]:
    """The conformance suite where peers meet at a tracker, and at a broker."""
    async with AsyncExitStack() as stack:
        world = World(stack, broker)
        if request.param == "torrent":
            await world.meeting_point("torrent")

        def make() -> WebRtcTransport:
            signaller = world.signaller(request.param)
            transport = WebRtcTransport(WebRtcSettings(), [signaller])
            stack.push_async_callback(transport.stop)
            return transport

        yield make


@pytest.fixture
async def world(broker) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(stack, broker)


@pytest.mark.parametrize("kind", ["nostr", "mqtt", "torrent"])
async def test_stock_trystero_and_a_node_share_a_room(world: World, kind: str) -> None:
    node, inbox = await world.node(kind)
    page = await world.page(kind)
    joined = await page.until(lambda line: "join" in line)
    there, back = suite.packet(world.topic, "x" * 60_000), suite.packet(world.topic, "Grüße from a page")
    node.publish(there)
    got = await page.until(lambda line: "packet" in line)
    assert (got["packet"], got["peer"], got["metadata"]) == (there.decode(), joined["join"], None)
    page.say(send=back.decode())
    await inbox.until_has([back])
    assert node.health().detail.startswith("1 links, 1 direct, 0 relayed")
    await node.stop()
    assert (await page.until(lambda line: "leave" in line))["leave"] == joined["join"]


def turn(coturn) -> IceSettings:
    server = TurnServer(coturn.url, servers.USER, servers.PASSWORD)
    return IceSettings(turn=(server,), relay_only=True)


async def test_with_turn_only_everything_is_relayed(world: World, coturn) -> None:
    node, inbox = await world.node("nostr", turn(coturn))
    other, other_inbox = await world.node("nostr", turn(coturn))
    await suite.until(lambda: bool(node.peers() and other.peers()))
    wires = [suite.packet(world.topic, f"{number} {'x' * 30_000}") for number in range(10)]
    for wire in wires[:5]:
        node.publish(wire)
    for wire in wires[5:]:
        other.publish(wire)
    await inbox.until_has(wires[5:])
    await other_inbox.until_has(wires[:5])
    said = [one.health().detail.partition(" (")[0] for one in (node, other)]
    assert said == ["1 links, 0 direct, 1 relayed"] * 2


async def test_a_page_behind_turn_reaches_a_node_behind_turn(world: World, coturn) -> None:
    node, inbox = await world.node("nostr", turn(coturn))
    page = await world.page("nostr", coturn.url, servers.USER, servers.PASSWORD)
    await page.until(lambda line: "join" in line)
    wire = suite.packet(world.topic, "over two servers")
    page.say(send=wire.decode())
    await inbox.until_has([wire])
    assert node.health().detail.startswith("1 links, 0 direct, 1 relayed")


async def test_a_turn_server_that_refuses_is_told(world: World, coturn) -> None:
    wrong = IceSettings(turn=(TurnServer(coturn.url, servers.USER, "wrong"),), relay_only=True)
    node, _ = await world.node("nostr", wrong)
    other, _ = await world.node("nostr", wrong)
    await suite.until(lambda: "TURN" in node.health().detail + other.health().detail)
    assert (node.peers(), other.peers()) == ([], [])


async def test_a_peer_that_goes_silent_is_noticed_and_comes_back(world: World) -> None:
    node, inbox = await world.node("nostr")
    page = await world.page("nostr")
    await page.until(lambda line: "join" in line)
    await suite.until(lambda: bool(node.peers()))
    os.kill(page.process.pid, signal.SIGSTOP)
    began = time.monotonic()
    try:
        await suite.until(lambda: not node.peers())
        print(f"\nnoticed after {time.monotonic() - began:.1f} s")
    finally:
        os.kill(page.process.pid, signal.SIGCONT)
    wire = suite.packet(world.topic, "back")
    await suite.until(lambda: bool(node.peers()))
    page.say(send=wire.decode())
    await inbox.until_has([wire])


async def test_a_round_over_webrtc_alone(world: World) -> None:
    await world.meeting_point("nostr")
    async with asked_over(lambda _: WebRtcTransport(WebRtcSettings(), [world.signaller("nostr")])) as asker:
        wanted = "3 links, 3 direct, 0 relayed"
        await suite.until(lambda: asker.service.status().transports[0].detail.startswith(wanted))
