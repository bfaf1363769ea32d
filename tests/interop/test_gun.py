"""GunDB against npm gun: its relay and its peers, ours as relay and peer, restarts, a round."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

import servers
from dicast.ports import Transport
from dicast.protocol.messages import Kind
from dicast.transports.gun import GunSettings, GunTransport
from dicast.transports.gun_frames import SLOTS, soul_of
from driven import asked_over
from loading import load, suite_of_transports

pytestmark = pytest.mark.anyio
TESTS = Path(__file__).resolve().parents[1]
NODE = TESTS / "interop/node"


suite = load("tests/conformance/test_transports.py")
globals().update(suite_of_transports())


class Relay:
    """npm gun as a relay, on a port that stays the same when it is killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = servers.free_port()
        self.url = f"ws://127.0.0.1:{self.port}/gun"
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [servers.program("node"), str(NODE / "gun_relay.mjs"), str(self.port), str(self.folder / "kept")],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        assert "ready\n" in iter(self.process.stdout.readline, "")

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.communicate()
            self.process = None


@pytest.fixture(scope="module")
def shared_relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """One relay for all tests that leave it in peace."""
    made = Relay(tmp_path_factory.mktemp("gun"))
    made.start()
    yield made
    made.kill()


@pytest.fixture
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    made = Relay(tmp_path_factory.mktemp("gun"))
    made.start()
    yield made
    made.kill()


@pytest.fixture(params=["relay", "peers"])
async def make_transport(
    request: pytest.FixtureRequest, shared_relay: Relay
) -> AsyncIterator[Callable[[], Transport]]:
    made = list[GunTransport]()

    def make() -> Transport:
        writer = f"node {len(made)}"
        others = tuple(one.address for one in made if one.address)
        if request.param == "relay":
            made.append(GunTransport(GunSettings(writer, (shared_relay.url,))))
        else:
            made.append(GunTransport(GunSettings(writer, others, ("127.0.0.1", 0))))
        return made[-1]

    yield make
    for transport in made:
        await transport.stop()


@pytest.fixture
async def make_node(topic: str) -> AsyncIterator[Callable]:
    nodes: list[GunTransport] = []

    async def make(*peers: str, listen: tuple[str, int] | None = None) -> tuple[GunTransport, object]:
        nodes.append(GunTransport(GunSettings(f"node {len(nodes)}", peers, listen)))
        inbox = suite.Inbox()
        await nodes[-1].start(topic, inbox.take)
        await suite.until(lambda: nodes[-1].health().state == "up")
        return nodes[-1], inbox

    yield make
    await asyncio.gather(*(node.stop() for node in nodes))


class Page:
    """npm gun as a peer: a page, say."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[object] = []

    async def read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if line.startswith((b"{", b'"')):
                self.lines.append(json.loads(line))

    async def put(self, value: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(value + b"\n")
        await self._process.stdin.drain()

    def heard(self) -> set[bytes]:
        return {line["value"].encode() for line in self.lines if isinstance(line, dict)}


@pytest.fixture
async def make_page(topic: str, tmp_path: Path) -> AsyncIterator[Callable]:
    async with contextlib.AsyncExitStack() as stack:

        async def make(url: str) -> Page:
            process = await asyncio.create_subprocess_exec(
                *(servers.program("node"), str(NODE / "gun_peer.mjs"), url, soul_of(topic)),
                cwd=tmp_path,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                limit=1 << 20,
            )
            page = Page(process)
            reading = asyncio.create_task(page.read())
            stack.push_async_callback(process.wait)
            stack.push_async_callback(asyncio.wait, [reading])
            stack.callback(process.kill)
            await suite.until(lambda: "ready" in page.lines)
            return page

        yield make


@pytest.mark.parametrize("place", ["their relay", "our relay"])
async def test_a_peer_by_others_hears_us_and_is_heard(
    shared_relay: Relay, make_node, make_page, topic, place: str
) -> None:
    ours = place == "our relay"
    node, inbox = await make_node(listen=("127.0.0.1", 0)) if ours else await make_node(shared_relay.url)
    page = await make_page(node.address if ours else shared_relay.url)
    wire = suite.packet(topic, 'said by us, "quoted" \\ \u2028 \U0001f600')
    node.publish(wire)
    await suite.until(lambda: wire in page.heard())
    theirs = [suite.packet(topic, f"said by a page {number}") for number in range(20)]
    for one in theirs:
        await page.put(one)
    await inbox.until_has(theirs)
    assert node.health().dropped == 0


@pytest.mark.parametrize("place", ["their relay", "our relay"])
async def test_a_page_that_comes_later_reads_what_was_said(
    shared_relay: Relay, make_node, make_page, topic, place: str
) -> None:
    ours = place == "our relay"
    node, _ = await make_node(listen=("127.0.0.1", 0)) if ours else await make_node(shared_relay.url)
    wires = suite.numbered(topic, 10)
    for wire in wires:
        node.publish(wire)
    await suite.until(lambda: node.health().sent == 10)
    page = await make_page(node.address if ours else shared_relay.url)
    await suite.until(lambda: set(wires) <= page.heard())


async def test_two_pages_meet_at_our_relay(make_node, make_page, topic) -> None:
    node, inbox = await make_node(listen=("127.0.0.1", 0))
    first, second = await make_page(node.address), await make_page(node.address)
    await first.put(wire := suite.packet(topic))
    await suite.until(lambda: wire in second.heard())
    assert inbox.wires == [wire]


async def test_a_relay_holds_as_many_packets_as_there_are_slots(
    relay: Relay, make_node, make_page, topic
) -> None:
    node, _ = await make_node(relay.url)
    _, inbox = await make_node(relay.url)
    wires = suite.numbered(topic, 3 * SLOTS)
    for wire in wires:
        node.publish(wire)
    await inbox.until_has(wires)
    page = await make_page(relay.url)
    await suite.until(lambda: set(wires[-SLOTS:]) <= page.heard())
    keys = {line["key"] for line in page.lines if isinstance(line, dict)}
    assert len(keys) == SLOTS + 2  # and a greeting of each node


async def test_a_relay_that_is_killed_and_comes_back(relay: Relay, make_node, topic) -> None:
    (sender, _), (receiver, inbox) = [await make_node(relay.url) for _ in range(2)]
    relay.kill()
    await suite.until(lambda: sender.health().state == receiver.health().state == "down")
    wires = suite.numbered(topic, 20)
    for wire in wires:
        sender.publish(wire)
    relay.start()
    back_at = time.monotonic()
    await inbox.until_has(wires)
    assert time.monotonic() - back_at < 20
    assert sender.health().dropped == 0


async def test_a_relay_that_stands_still_is_noticed(relay: Relay, make_node, monkeypatch) -> None:
    monkeypatch.setattr("dicast.transports.websocket_link.HEARTBEAT_SECONDS", 0.2)
    node, _ = await make_node(relay.url)
    assert relay.process is not None
    relay.process.send_signal(signal.SIGSTOP)
    await suite.until(lambda: node.health().state == "down")
    monkeypatch.undo()
    relay.process.send_signal(signal.SIGCONT)
    await suite.until(lambda: node.health().state == "up")


async def test_the_round_trip_is_measured_and_newcomers_are_told(
    shared_relay: Relay, make_node, topic
) -> None:
    first, _ = await make_node(shared_relay.url)
    assert first.health().round_trip_ms is not None
    announcement = suite.packet(topic, "offer", Kind.ANNOUNCEMENT)
    first.publish(announcement)
    await suite.until(lambda: first.health().sent == 1)
    _, inbox = await make_node(shared_relay.url)
    await inbox.until_has([announcement])
    assert first.health().sent == 1


async def test_a_round(shared_relay: Relay) -> None:
    """Over one relay alone."""
    async with asked_over(lambda number: GunTransport(GunSettings(f"node {number}", (shared_relay.url,)))):
        pass
