"""What strangers say of addresses: bounded, spread, tried, forgotten; a mesh grows by it, undeceived."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.transports.websocket import MeshSettings, WebSocketTransport
from dicast.transports.websocket_hearsay import (
    FAILURES_MAX,
    HEARSAY_LINKS_MAX,
    HEARSAY_MAX,
    KNOWN_A_SUBNET_MAX,
    LAN,
    LINKS_A_SUBNET_MAX,
    Hearsay,
    subnet_of,
)

pytestmark = pytest.mark.anyio
LOOPBACK = ("127.0.0.1", 0)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


Start = Callable[..., Awaitable[WebSocketTransport]]


@pytest.fixture
async def start(topic: str) -> AsyncIterator[Start]:
    made: list[WebSocketTransport] = []

    async def one(topic: str = topic, wires: list[bytes] | None = None, **settings) -> WebSocketTransport:
        made.append(WebSocketTransport(MeshSettings(**({"listen": LOOPBACK} | settings))))
        await made[-1].start(topic, [].append if wires is None else wires.append)
        return made[-1]

    yield one
    await asyncio.gather(*(each.stop() for each in made))


def global_address(number: int, subnet: int = 0) -> str:
    return f"ws://8.{subnet >> 8}.{subnet & 255}.{number}:7780"


GOOD = [
    "ws://8.8.8.8:7780",
    "wss://[2606:4700::1111]:443/mesh",
    "wss://hub.example.org",
    "ws://10.0.0.7:1024",
]
BAD = [
    *("", "ws://", "http://8.8.8.8:7780", "ws://8.8.8.8:25", "ws://8.8.8.8:x", "ws://user@8.8.8.8:7780"),
    *("ws://127.0.0.1:7780", "ws://[::1]:7780", "ws://[::ffff:127.0.0.1]:7780", "ws://localhost:7780"),
    *("ws://[64:ff9b::7f00:1]:7780", "ws://[2002:7f00:1::]:7780", "ws://[64:ff9b::a9fe:a9fe]:80"),
    *("ws://0.0.0.0:7780", "ws://224.0.0.1:7780", "ws://169.254.169.254:80", "ws://[fe80::1]:7780"),
    *("ws://8.8.8.8:7780/\r\nX: y", "ws://8.8.8.8:7780?q", "ws://h\u00fc.example.org", "wss://" + "a." * 99),
]  # fmt: skip


@pytest.mark.parametrize(("address", "is_good"), [(a, True) for a in GOOD] + [(a, False) for a in BAD])
def test_what_may_be_dialled_on_a_strangers_word(address: str, is_good: bool) -> None:
    assert Hearsay(with_loopback=False).add(address) is is_good


@given(st.lists(st.one_of(st.text(max_size=80), st.sampled_from(GOOD + BAD)), max_size=30))
def test_whatever_is_suggested_nothing_is_raised(texts: list[str]) -> None:
    hearsay = Hearsay(with_loopback=True)
    for text in texts:
        hearsay.add(text)
    assert len(hearsay) <= len(set(texts))


@given(st.lists(st.tuples(st.integers(1, 250), st.integers(0, 300)), max_size=600))
def test_the_list_is_bounded_in_all_and_by_subnet(places: list[tuple[int, int]]) -> None:
    hearsay, taken = Hearsay(with_loopback=False), []
    for number, subnet in places:
        if hearsay.add(global_address(number, subnet)):
            taken.append(subnet)
    assert len(taken) == len(hearsay) <= HEARSAY_MAX
    assert all(taken.count(subnet) <= KNOWN_A_SUBNET_MAX for subnet in taken)


def test_of_a_subnet_few_are_dialled_at_once_and_of_the_lan_all() -> None:
    hearsay = Hearsay(with_loopback=False)
    for number in range(1, 9):
        hearsay.add(global_address(number))
        hearsay.add(f"ws://192.168.0.{number}:7780")
    taken = [hearsay.take() for _ in range(20)]
    dialled = [address for address in taken if address is not None]
    assert sum(address.startswith("ws://8.") for address in dialled) == LINKS_A_SUBNET_MAX
    assert len(dialled) == LINKS_A_SUBNET_MAX + 8


def test_a_silent_address_is_tried_again_later_and_then_forgotten() -> None:
    clock = Clock()
    hearsay = Hearsay(with_loopback=False, clock=clock)
    hearsay.add(address := global_address(1))
    for attempt in range(FAILURES_MAX):
        assert hearsay.take() == address, attempt
        hearsay.failed(address)
        assert hearsay.take() is None
        clock.now += 100
    assert len(hearsay) == 0


def test_new_words_push_out_only_what_failed() -> None:
    hearsay = Hearsay(with_loopback=False)
    for subnet in range(HEARSAY_MAX):
        assert hearsay.add(global_address(1, subnet))
    assert not hearsay.add(global_address(1, 5000))
    failed = hearsay.take()
    assert failed is not None
    hearsay.failed(failed)
    assert hearsay.add(global_address(1, 5000))
    assert len(hearsay) == HEARSAY_MAX


def test_a_name_is_judged_by_where_it_leads() -> None:
    hearsay = Hearsay(with_loopback=False)
    hearsay.add(name := "wss://rebound.example.org")
    assert hearsay.take() == name
    assert not hearsay.resolved(name, ipaddress.ip_address("127.0.0.1"))
    assert hearsay.resolved(name, ipaddress.ip_address("8.8.8.8"))


def test_subnets() -> None:
    texts = ("8.8.8.8", "::ffff:8.8.8.8", "2606:4700:1:2::1", "10.1.2.3", "127.0.0.1", "fd00::1")
    assert [subnet_of(ipaddress.ip_address(text)) for text in texts] == [
        *("8.8.8.0/24", "8.8.8.0/24", "2606:4700:1::/48"),
        *(LAN, LAN, LAN),
    ]


async def test_nodes_that_are_suggested_are_linked_and_carry(start: Start, make_packet, wait_until) -> None:
    heard: list[list[bytes]] = [[] for _ in range(6)]
    nodes = [await start(wires=wires) for wires in heard]
    await wait_until(lambda: all(node.addresses() for node in nodes))
    for number, node in enumerate(nodes):
        for other in (nodes[number - 1], nodes[(number + 2) % 6]):
            node.suggest(other.addresses()[0])
    await wait_until(lambda: all(len(node.peers()) >= 2 for node in nodes))
    nodes[0].publish(wire := make_packet())
    await wait_until(lambda: all(wire in wires for wires in heard[1:]))
    assert all(len(node.health().detail.split(";")) == 2 for node in nodes)


async def test_no_more_than_a_few_are_dialled_and_a_dead_one_makes_room(start: Start, wait_until) -> None:
    others = [await start() for _ in range(HEARSAY_LINKS_MAX + 2)]
    await wait_until(lambda: all(node.addresses() for node in others))
    node = await start(peers=())
    for other in others:
        node.suggest(other.addresses()[0])
    await wait_until(lambda: len(node.peers()) == HEARSAY_LINKS_MAX)
    linked = [other for other in others if other.addresses()[0] in node.peers()]
    await linked[0].stop()
    left = {other.addresses()[0] for other in others if other is not linked[0]}
    await wait_until(lambda: len(node.peers()) == HEARSAY_LINKS_MAX and set(node.peers()) <= left)


async def test_strangers_words_lead_to_nobody_and_nothing_breaks(
    start: Start, topic: str, make_packet, wait_until
) -> None:
    heard: list[bytes] = []
    elsewhere, node, friend = await start("f" * 64), await start(), await start(wires=heard)
    await wait_until(lambda: bool(elsewhere.addresses() and friend.addresses() and node.addresses()))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        dead = f"ws://127.0.0.1:{silent.getsockname()[1]}"
        for address in ("nonsense", dead, elsewhere.addresses()[0], node.addresses()[0], *BAD):
            node.suggest(address)
        node.suggest(friend.addresses()[0])
        await wait_until(lambda: len(node.peers()) == 1 and node.peers()[0] == friend.addresses()[0])
        node.publish(wire := make_packet())
        await wait_until(lambda: wire in heard)
    assert elsewhere.peers() == []


async def test_what_may_be_told_to_others(start: Start, wait_until) -> None:
    announced = await start(announce="wss://node.example.org")
    everywhere = await start(listen=("0.0.0.0", 0))
    nowhere = await start(listen=None)
    await wait_until(lambda: bool(everywhere.address))
    assert announced.addresses() == ["wss://node.example.org"]
    assert (everywhere.addresses(), nowhere.addresses()) == ([], [])
    assert nowhere.health().state == "starting"
