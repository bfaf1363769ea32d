"""The mesh of WebSockets: floods end, newcomers catch up, links come back, and nobody can harm it."""

from __future__ import annotations

import asyncio
import secrets
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from dicast.protocol.messages import Kind
from dicast.transports.websocket import MeshSettings, WebSocketTransport
from dicast.transports.websocket_link import FRAME_BYTES_MAX, GARBAGE_FRAMES_MAX, HOPS_MAX
from free_ports import free_port
from waiting import WAIT_SECONDS_MAX

pytestmark = pytest.mark.anyio
LOOPBACK = ("127.0.0.1", 0)


class MeshNode:
    """A transport of the mesh and what it handed over."""

    def __init__(self, settings: MeshSettings) -> None:
        self.transport = WebSocketTransport(settings)
        self.wires: list[bytes] = []


MakeMesh = Callable[..., Awaitable[MeshNode]]


@pytest.fixture
async def make_mesh(topic: str, wait_until) -> AsyncIterator[MakeMesh]:
    nodes, complaints = list[MeshNode](), list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))

    async def make(*peers: MeshNode, wait: bool = True, **settings: Any) -> MeshNode:
        listen = settings.pop("listen", LOOPBACK)
        addresses = tuple(peer.transport.address for peer in peers)
        node = MeshNode(MeshSettings(listen, peers=addresses, **settings))
        nodes.append(node)
        await node.transport.start(topic, node.wires.append)
        if wait:
            await wait_until(lambda: node.transport.health().state == "up")
        return node

    yield make
    await asyncio.gather(*(node.transport.stop() for node in nodes))
    assert complaints == []


async def test_a_packet_floods_a_ring_once_over_each_node(
    make_mesh: MakeMesh, make_packet, wait_until
) -> None:
    ring = [await make_mesh()]
    for _ in range(4):
        ring.append(await make_mesh(ring[-1]))
    chord = await make_mesh(ring[-1], ring[0])
    wires = [make_packet(f"{number}") for number in range(20)]
    for wire in wires:
        ring[2].transport.publish(wire)
    others = [node for node in (*ring, chord) if node is not ring[2]]
    await wait_until(lambda: all(len(node.wires) >= 20 for node in others))
    assert [sorted(node.wires) for node in others] == [sorted(wires)] * 5
    assert ring[2].wires == []


async def test_a_newcomer_hears_announcements_from_far_and_the_latest_packets(
    make_mesh: MakeMesh, make_packet, wait_until
) -> None:
    far = await make_mesh()
    middle = await make_mesh(far)
    announcement, request = make_packet("offer", Kind.ANNOUNCEMENT), make_packet("question")
    far.transport.publish(announcement)
    middle.transport.publish(request)
    await wait_until(lambda: announcement in middle.wires)
    newcomer = await make_mesh(middle)
    await wait_until(lambda: {announcement, request} <= set(newcomer.wires))


async def test_a_link_comes_back_and_what_waited_is_sent(
    make_mesh: MakeMesh, make_packet, wait_until
) -> None:
    first = await make_mesh(listen=("127.0.0.1", port := free_port()))
    dialling = await make_mesh(first, listen=None)
    await first.transport.stop()
    await wait_until(lambda: dialling.transport.health().state == "down")
    wire = make_packet("meanwhile")
    dialling.transport.publish(wire)
    again = await make_mesh(listen=("127.0.0.1", port))
    await wait_until(lambda: wire in again.wires)
    await wait_until(lambda: dialling.transport.health().state == "up")


async def test_a_port_that_is_taken_is_tried_again(make_mesh: MakeMesh, wait_until) -> None:
    first = await make_mesh(listen=("127.0.0.1", port := free_port()))
    waiting = await make_mesh(listen=("127.0.0.1", port), wait=False)
    await wait_until(lambda: waiting.transport.health().state == "down")
    await first.transport.stop()
    await wait_until(lambda: waiting.transport.health().state == "up")


async def test_a_node_that_dials_itself_says_so(wait_until) -> None:
    address = f"ws://127.0.0.1:{(port := free_port())}"
    own = WebSocketTransport(MeshSettings(("127.0.0.1", port), peers=(address,)))
    await own.start("a" * 64, lambda wire: None)
    await wait_until(lambda: "our own address" in own.health().detail)
    assert own.health().state == "degraded"
    await own.stop()


async def test_who_may_come_in(make_mesh: MakeMesh, topic: str) -> None:
    node = await make_mesh(links_max=1)
    address = node.transport.address

    async def refused(path: str, **options: Any) -> int:
        with pytest.raises(InvalidStatus) as caught:
            await connect(f"{address}{path}", **options)
        return caught.value.response.status_code

    assert await refused(f"/{secrets.token_hex(32)}") == 404
    assert await refused("/") == 404
    assert await refused(f"/{topic}", origin="https://example.org") == 403
    async with connect(f"{address}/behind/a/proxy/{topic}"):
        assert await refused(f"/{topic}") == 503


async def test_the_address_that_is_announced_is_what_peers_show(make_mesh: MakeMesh, wait_until) -> None:
    first = await make_mesh()
    await make_mesh(first, announce="wss://node.example.org/mesh")
    await wait_until(lambda: first.transport.peers() == ["wss://node.example.org/mesh"])


GARBAGE = [b"", b"\x00", b"\x08", b"\x08{", b"\x08[]", b'\x08{"kind":1}', b"\x00" * 100, bytes(range(256))]


async def test_garbage_is_counted_and_its_link_closed(make_mesh: MakeMesh, topic: str, wait_until) -> None:
    node = await make_mesh()
    async with connect(f"{node.transport.address}/{topic}") as hostile:
        with pytest.raises(ConnectionClosed):
            for number in range(10 * GARBAGE_FRAMES_MAX):
                await hostile.send(GARBAGE[number % len(GARBAGE)] + secrets.token_bytes(4))
            await hostile.wait_closed()
            await hostile.send(b"")
    await wait_until(lambda: node.transport.health().dropped >= GARBAGE_FRAMES_MAX)
    assert (node.wires, node.transport.health().state) == ([], "up")


async def test_a_huge_frame_ends_its_link_only(
    make_mesh: MakeMesh, topic: str, make_packet, wait_until
) -> None:
    node = await make_mesh()
    async with (
        connect(f"{node.transport.address}/{topic}") as hostile,
        connect(f"{node.transport.address}/{topic}") as honest,
    ):
        await hostile.send(bytes(FRAME_BYTES_MAX + 1))
        await hostile.wait_closed()
        await honest.send(bytes([255]) + (wire := make_packet("hello")))
        await wait_until(lambda: wire in node.wires)


async def test_hops_end_a_flood_whatever_a_peer_claims(
    make_mesh: MakeMesh, topic: str, make_packet, wait_until
) -> None:
    node = await make_mesh()
    address = f"{node.transport.address}/{topic}"
    async with connect(address) as sender, connect(address) as listener:
        await wait_until(lambda: len(node.transport.peers()) == 2)
        wires = [make_packet(f"{hops}") for hops in (255, 2, 1, 3)]
        for hops, wire in zip((255, 2, 1, 3), wires, strict=True):
            await sender.send(bytes([hops]) + wire)
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            heard = [await listener.recv() for _ in range(3)]
    assert heard == [bytes([HOPS_MAX - 1]) + wires[0], bytes([1]) + wires[1], bytes([2]) + wires[3]]
    assert node.wires == wires


async def test_a_peer_that_reads_nothing_holds_up_nobody_and_grows_nothing(
    make_mesh: MakeMesh, topic: str, make_packet, wait_until
) -> None:
    node = await make_mesh()
    well = await make_mesh(node)
    async with connect(f"{node.transport.address}/{topic}", max_queue=1) as stalled:
        stalled.transport.pause_reading()
        await wait_until(lambda: len(node.transport.peers()) == 2)
        wires = [make_packet(f"{number} " + "x" * 60_000) for number in range(200)]
        tracemalloc.start()
        for wire in wires:
            node.transport.publish(wire)
            await wait_until(lambda wire=wire: bool(well.wires) and well.wires[-1] == wire)
            well.wires[:-1] = []
        grown = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert node.transport.health().dropped > 100
        assert grown < 8_000_000
        stalled.transport.abort()
