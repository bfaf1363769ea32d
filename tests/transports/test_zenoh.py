"""Zenoh peers: who is there, what newcomers hear, and a flood from its threads."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import zenoh

from dicast.base.limits import PACKET_BYTES_MAX
from dicast.protocol.messages import Kind
from dicast.transports.zenoh import ZenohSettings, ZenohTransport

pytestmark = pytest.mark.anyio


class Peer:
    """A transport and what it handed over."""

    def __init__(self, settings: ZenohSettings) -> None:
        self.transport = ZenohTransport(settings)
        self.wires: list[bytes] = []


MakePeer = Callable[..., Awaitable[Peer]]


@pytest.fixture
def endpoint() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp/127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
async def make_peer(topic: str, wait_until) -> AsyncIterator[MakePeer]:
    peers: list[Peer] = []

    async def make(listen: str = "tcp/127.0.0.1:0", *connect: str, wait: bool = True) -> Peer:
        peers.append(Peer(ZenohSettings((listen,), connect)))
        await peers[-1].transport.start(topic, peers[-1].wires.append)
        if wait:
            await wait_until(lambda: peers[-1].transport.health().state == "up")
        return peers[-1]

    yield make
    await asyncio.gather(*(peer.transport.stop() for peer in peers))


async def test_who_is_there_and_who_went(make_peer: MakePeer, endpoint: str, wait_until) -> None:
    first = await make_peer(endpoint)
    second = await make_peer("tcp/127.0.0.1:0", endpoint)
    third = await make_peer("tcp/127.0.0.1:0", endpoint)
    every = (first, second, third)
    await wait_until(lambda: [len(peer.transport.peers()) for peer in every] == [2, 2, 2])
    await second.transport.stop()
    await wait_until(lambda: len(first.transport.peers()) == len(third.transport.peers()) == 1)


async def test_a_newcomer_hears_announcements_and_the_latest_packets(
    make_peer: MakePeer, endpoint: str, make_packet, wait_until
) -> None:
    first = await make_peer(endpoint)
    announcement, request = make_packet("offer", Kind.ANNOUNCEMENT), make_packet("question")
    first.transport.publish(announcement)
    first.transport.publish(request)
    newcomer = await make_peer("tcp/127.0.0.1:0", endpoint)
    await wait_until(lambda: {announcement, request} <= set(newcomer.wires))
    assert first.transport.health().sent == 2


async def test_a_peer_that_is_not_there_yet_is_found_later(
    make_peer: MakePeer, endpoint: str, make_packet, wait_until
) -> None:
    early = await make_peer("tcp/127.0.0.1:0", endpoint)
    late = await make_peer(endpoint)
    await wait_until(lambda: bool(early.transport.peers() and late.transport.peers()))
    wire = make_packet("hello")
    late.transport.publish(wire)
    await wait_until(lambda: early.wires == [wire])


async def test_an_address_that_is_taken_is_tried_again(
    make_peer: MakePeer, endpoint: str, wait_until
) -> None:
    first = await make_peer(endpoint)
    second = await make_peer(endpoint, wait=False)
    await wait_until(lambda: second.transport.health().state == "down")
    assert second.transport.health().detail
    await first.transport.stop()
    await wait_until(lambda: second.transport.health().state == "up")


async def test_a_stranger_may_send_anything(
    make_peer: MakePeer, endpoint: str, topic: str, wait_until
) -> None:
    peer = await make_peer(endpoint)
    config = zenoh.Config()
    config.insert_json5("connect/endpoints", f'["{endpoint}"]')
    config.insert_json5("scouting/multicast/enabled", "false")
    config.insert_json5("listen/endpoints", '["tcp/127.0.0.1:0"]')

    def shout() -> None:
        block = zenoh.CongestionControl.BLOCK
        with zenoh.open(config) as session:
            session.put(f"dicast/{topic}/packet", bytes(PACKET_BYTES_MAX + 1), congestion_control=block)
            session.put(f"dicast/{topic}/at/\u00fc", b"", congestion_control=block)
            session.delete(f"dicast/{topic}/packet", congestion_control=block)
            for number in range(500):
                noise = b"noise %d" % number
                session.put(f"dicast/{topic}/packet", noise, congestion_control=block)

    await asyncio.to_thread(shout)
    await wait_until(lambda: b"noise 499" in peer.wires)
    health = peer.transport.health()
    assert (health.state, health.dropped, max(map(len, peer.wires)) < 20) == ("up", 1, True)


async def test_a_burst_arrives_whole(make_peer: MakePeer, endpoint: str, make_packet, wait_until) -> None:
    first = await make_peer(endpoint)
    second = await make_peer("tcp/127.0.0.1:0", endpoint)
    await wait_until(lambda: bool(first.transport.peers() and second.transport.peers()))
    wires = [make_packet(f"{number} " + "x" * 500) for number in range(800)]
    for wire in wires:
        first.transport.publish(wire)
    await wait_until(lambda: set(wires) <= set(second.wires))
