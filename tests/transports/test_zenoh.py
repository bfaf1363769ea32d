"""Zenoh peers: who is there, what newcomers hear, and a flood from its threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import zenoh

from dicast.base.limits import PACKET_BYTES_MAX
from dicast.protocol.messages import Kind
from dicast.transports.zenoh import ZenohSettings, ZenohTransport
from dicast.transports.zenoh_places import is_endpoint, tellable, with_ports
from free_ports import free_port

pytestmark = pytest.mark.anyio


class Peer:
    """A transport and what it handed over."""

    def __init__(self, settings: ZenohSettings) -> None:
        self.transport = ZenohTransport(settings)
        self.wires: list[bytes] = []


MakePeer = Callable[..., Awaitable[Peer]]


@pytest.fixture
def endpoint() -> str:
    return f"tcp/127.0.0.1:{free_port()}"


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
    await wait_until(lambda: wire in early.wires)


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


async def test_a_node_that_is_told_of_another_finds_it_and_who_is_with_it(
    make_peer: MakePeer, wait_until, make_packet
) -> None:
    first = await make_peer()
    (told,) = first.transport.addresses()
    second = await make_peer("tcp/127.0.0.1:0", told)
    await wait_until(lambda: first.transport.peers() and second.transport.peers() == [told])
    newcomer = await make_peer()
    assert newcomer.transport.addresses() != first.transport.addresses()
    newcomer.transport.suggest(told)
    await wait_until(lambda: len(newcomer.transport.peers()) == 2)
    await wait_until(lambda: told in newcomer.transport.peers())
    newcomer.transport.publish(wire := make_packet("found by hearsay"))
    await wait_until(lambda: wire in first.wires and wire in second.wires)
    await wait_until(lambda: (newcomer.transport.health().round_trip_ms or 0) >= 1)
    await newcomer.transport.stop()
    assert list(newcomer.transport.addresses()) == []


async def test_what_is_suggested_is_an_address_and_a_port_within_the_bounds_of_hearsay() -> None:
    near = ZenohTransport(ZenohSettings(("tcp/127.0.0.1:0",)))
    far = ZenohTransport(ZenohSettings(("tcp/192.0.2.1:7447",)))
    client = ZenohTransport(ZenohSettings((), ("tcp/192.0.2.2:7447",)))
    for transport in (near, far, client):
        for address in (
            "tcp/host.example:7447",
            "tcp/8.8.8.8:7447#iface=eth0",
            "tcp/8.8.8.8:0",
            "tcp/8.8.8.8:22",
            "tcp/999.8.8.8:7447",
            "udp/8.8.8.8:7447",
            "tcp/224.0.0.1:7447",
            "unixsock-stream//tmp/a",
            "x" * 9000,
        ):
            transport.suggest(address)
        assert len(transport._suggestions) == 0
        transport.suggest("tcp/127.0.0.1:7447")
        transport.suggest("tcp/8.8.8.8:7447")
    assert [len(transport._suggestions) for transport in (near, far, client)] == [2, 1, 0]
    for number in range(5000):
        far.suggest(f"tcp/8.{number % 200}.{number // 200}.8:7447")
        far.suggest(f"tcp/8.8.8.{number % 250}:7447")
    assert len(far._suggestions) <= 256
    assert len(far._suggestions.take()) == 4


async def test_told_is_where_one_machine_listens_with_the_port_that_it_has() -> None:
    assert tellable(("tcp/0.0.0.0:7447", "tcp/192.168.1.5:7447", "tls/192.168.1.5:7448")) == (
        "tcp/192.168.1.5:7447",
    )
    (chosen,) = with_ports(("tcp/127.0.0.1:0",))
    assert is_endpoint(chosen)
    assert with_ports((chosen, "tls/127.0.0.1:0")) == (chosen, "tls/127.0.0.1:0")
