"""Peers of GunDB that lie, flood or speak of other things: never raised, never grown, never passed on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from dicast.base.errors import LocalProtocolError
from dicast.base.limits import PACKET_BYTES_MAX
from dicast.transports import gun_memory
from dicast.transports.gun import GunSettings, GunTransport
from dicast.transports.gun_frames import (
    FRAME_BYTES_MAX,
    Get,
    Hi,
    Put,
    hi_frame,
    put_frame,
    read_frame,
    soul_of,
    writer_of,
)
from dicast.transports.gun_memory import GunMemory
from dicast.transports.websocket_link import GARBAGE_FRAMES_MAX

pytestmark = pytest.mark.anyio
SOUL = soul_of("a")
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), words, st.just(SOUL)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.sampled_from(["#", "@", "put", "get", "dam", ".", "_", ">", SOUL]), words), inner
        ),
    ),
    max_leaves=20,
)
puts = st.builds(Put, st.just("m"), words, words, st.floats(0, 2**50).map(float))


@given(st.binary(max_size=200))
def test_theorem_20_12_any_bytes_are_read_or_refused(frame: bytes) -> None:
    read_frame(frame, SOUL)


@given(json_values)
def test_theorem_20_12_any_json_is_read_or_refused(value: Any) -> None:
    for one in read_frame(json.dumps(value).encode(), SOUL) or []:
        assert isinstance(one, Put | Get | Hi)


@given(st.lists(puts, min_size=1, max_size=4, unique_by=lambda put: put.key))
def test_theorem_20_12_what_is_put_is_read(made: list[Put]) -> None:
    own = [put for put in made if put.key != "_"]
    if own:
        assert read_frame(put_frame(SOUL, own), SOUL) == own
        assert read_frame(b"[" + put_frame(SOUL, own) + b"," + hi_frame("h", "x") + b"]", SOUL) == [
            *own,
            Hi("h"),
        ]
        assert read_frame(put_frame(SOUL, own), soul_of("b")) == []


@given(st.lists(puts, max_size=60))
def test_theorem_20_12_what_is_remembered_is_bounded_and_the_latest(made: list[Put]) -> None:
    memory = GunMemory()
    for put in made:
        memory.keep(put)
    held = memory.under("")
    assert len(held) <= gun_memory.KEYS_MAX
    for put in held:
        assert put.state == max(one.state for one in made if one.key == put.key)


def test_large_values_push_out_the_oldest() -> None:
    memory = GunMemory()
    for number in range(200):
        memory.keep(Put("m", str(number), "x" * PACKET_BYTES_MAX, 1.0))
    held = memory.under("")
    assert len(held) == gun_memory.BYTES_MAX // (PACKET_BYTES_MAX + 3)
    assert held[-1].key == "199"


def test_a_node_writes_to_the_same_keys_whenever_it_starts() -> None:
    assert writer_of("a", "me") == writer_of("a", "me")
    assert len({writer_of(topic, who) for topic in "ab" for who in "ab"}) == 4


@pytest.fixture
async def make_peer(topic: str, wait_until) -> AsyncIterator[Callable]:
    peers, complaints = list[GunTransport](), list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))

    async def make(*relays: str, wait: bool = True) -> tuple[GunTransport, list[bytes]]:
        listen = None if relays else ("127.0.0.1", 0)
        peers.append(GunTransport(GunSettings(f"node {len(peers)}", relays, listen)))
        wires: list[bytes] = []
        await peers[-1].start(topic, wires.append)
        if wait:
            await wait_until(lambda: peers[-1].health().state == "up")
        return peers[-1], wires

    yield make
    await asyncio.gather(*(peer.stop() for peer in peers))
    assert complaints == []


async def test_a_stranger_that_sends_garbage_is_let_go(make_peer, wait_until) -> None:
    peer, wires = await make_peer()
    async with connect(peer.address) as stranger:
        for number in range(GARBAGE_FRAMES_MAX + 1):
            await stranger.send(f"noise {number}")
        await stranger.wait_closed()
    await wait_until(lambda: peer.health().dropped == GARBAGE_FRAMES_MAX)
    assert (wires, peer.health().state) == ([], "up")


async def test_a_frame_that_is_too_large_ends_the_link(make_peer) -> None:
    peer, wires = await make_peer()
    async with connect(peer.address) as stranger:
        await stranger.send("x" * (FRAME_BYTES_MAX + 1))
        await stranger.wait_closed()
    assert (wires, peer.health().state) == ([], "up")


async def test_a_forged_copy_shadows_nothing_and_only_packets_of_the_topic_go_on(
    make_peer, wait_until, topic, make_packet
) -> None:
    relay, wires = await make_peer()
    _, others = await make_peer(relay.address)
    soul, wire = soul_of(topic), make_packet("genuine").decode()
    async with connect(relay.address) as stranger:
        for value in ("forged", wire):
            await stranger.send(put_frame(soul, [Put("same name", "same.1", value, 5.0)]).decode())
        await stranger.send(put_frame(soul_of("other"), [Put("m", "k", "elsewhere", 5.0)]).decode())
        await stranger.send(put_frame(soul, [Put("m2", "k", "x" * (PACKET_BYTES_MAX + 1), 5.0)]).decode())
        await stranger.send(
            json.dumps({"#": "m3", "put": {soul: {"_": {"#": soul, ">": {"k": "now"}}, "k": "v"}}})
        )
        await stranger.send(put_frame(soul, [Put("m4", "last", "last", 5.0)]).decode())
        await wait_until(lambda: b"last" in others)
    assert wires == others == [b"forged", wire.encode(), b"last"]


async def test_a_page_is_kept_out_unless_pages_were_asked_for(make_peer) -> None:
    peer, _ = await make_peer()
    with pytest.raises(InvalidStatus):
        await connect(peer.address, origin="https://example.org")


async def test_a_flood_is_read_at_a_pace(make_peer, wait_until, topic) -> None:
    peer, wires = await make_peer()
    soul, count = soul_of(topic), 8_000
    async with connect(peer.address, ping_interval=None) as stranger:
        for number in range(count):
            await stranger.send(
                put_frame(soul, [Put(f"m{number}", f"k.{number}", f"v{number}", 5.0)]).decode()
            )
        began = asyncio.get_running_loop().time()
        await wait_until(lambda: len(wires) == count)
        await stranger.send(json.dumps({"#": "ask", "get": {"#": soul, ".": "k.7999"}}))
        async for frame in stranger:
            if "ask" in str(frame):
                break
    assert asyncio.get_running_loop().time() - began < 10
    assert json.loads(frame)["put"][soul]["k.7999"] == "v7999"


async def test_a_relay_that_lies_is_tried_again(make_peer, lying_relay, wait_until) -> None:
    connections = 0

    async def script(connection) -> None:
        nonlocal connections
        connections += 1
        await connection.send(b"\xff\xfe")
        await connection.send('[[[[{"put":[]},null')

    node, wires = await make_peer(await lying_relay(script), wait=False)
    await wait_until(lambda: connections >= 3)
    assert (wires, node.health().state in ("starting", "down")) == ([], True)


async def test_a_relay_that_is_silent_holds_up_neither_publishing_nor_stopping(
    make_peer, lying_relay
) -> None:
    connected = asyncio.Event()

    async def script(connection) -> None:
        connected.set()
        await connection.wait_closed()

    node, _ = await make_peer(await lying_relay(script), wait=False)
    await connected.wait()
    for number in range(2_000):
        node.publish(b"%d" % number)
    node.publish(b"\xff")
    assert node.health().dropped > 1_000
    with pytest.raises(LocalProtocolError, match="not_a_packet"):
        node.publish(bytes(PACKET_BYTES_MAX + 1))
    async with asyncio.timeout(10):
        await node.stop()
    assert node.health().state == "down"
