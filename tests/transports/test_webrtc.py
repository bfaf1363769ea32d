"""The WebRTC mesh: packets reach the unlinked, strangers do no harm, whatever bytes come raise nothing."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.base.crypto import KeyPair
from dicast.base.events import encode_event, sign_event
from dicast.transports import trystero_frames as frames
from dicast.transports.relay import run_relay
from dicast.transports.signalling_nostr import NostrSignaller
from dicast.transports.trystero import Room, Signal
from dicast.transports.webrtc import WebRtcSettings, WebRtcTransport
from dicast.transports.webrtc_connection import ConnectingError, IceSettings, PeerConnection
from dicast.transports.webrtc_introductions import ATTEMPTS_MAX
from dicast.transports.webrtc_link import GARBAGE_FRAMES_MAX, PeerLink
from waiting import until

pytestmark = pytest.mark.anyio
TOPIC = "ab" * 32
ROOM = Room(TOPIC)
KEY = KeyPair.from_seed(b"webrtc mesh")


def packet(text: str) -> bytes:
    return encode_event(sign_event(KEY, int(time.time()), 24110, [("t", TOPIC)], text))


MakeNode = Callable[[int], WebRtcTransport]


@pytest.fixture
async def make_node() -> AsyncIterator[MakeNode]:
    """Nodes that meet at one relay."""
    async with AsyncExitStack() as stack:
        stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
        running = asyncio.create_task(run_relay("127.0.0.1", 0, stop=stop, ready=ready.set_result))
        stack.push_async_callback(asyncio.gather, running)
        stack.callback(stop.set)
        url = await ready

        def make(links_max: int) -> WebRtcTransport:
            node = WebRtcTransport(WebRtcSettings(links_max=links_max), [NostrSignaller(url)])
            stack.push_async_callback(node.stop)
            return node

        yield make


async def test_packets_reach_nodes_that_are_not_linked(make_node: MakeNode) -> None:
    nodes, heard = [make_node(4) for _ in range(7)], [list[bytes]() for _ in range(7)]
    for node, inbox in zip(nodes, heard, strict=True):
        await node.start(TOPIC, inbox.append)
        await until(lambda node=node: node.health().state == "up" and bool(node.peers() or node is nodes[0]))
    wires = [packet(f"from {number}") for number in range(7)]
    assert max(len(node.peers()) for node in nodes) <= 4
    for node, wire in zip(nodes, wires, strict=True):
        node.publish(wire)
    everything = set(wires)
    await until(
        lambda: all(everything - {own} <= set(inbox) for own, inbox in zip(wires, heard, strict=True))
    )


async def test_what_strangers_signal_does_no_harm(make_node: MakeNode) -> None:
    node, heard = make_node(16), list[bytes]()
    await node.start(TOPIC, heard.append)
    await until(lambda: node.health().state == "up")
    introductions, signaller = node._introductions, node._signallers[0]
    for number in range(2000):
        peer = f"{'a' if number % 2 else 'z'}{number:019}"
        sealed = ROOM.seal("v=0\r\nm=audio 9 RTP/AVP 0\r\n", secrets.token_bytes(16))
        for signal in (Signal(peer), Signal(peer, offer="1,2$AA"), Signal(peer, offer=sealed, offer_id="o")):
            introductions.heard(signaller, signal)
    assert len(introductions._attempts) <= ATTEMPTS_MAX
    assert len(introductions._working) <= 3 * ATTEMPTS_MAX
    friend, inbox = make_node(16), list[bytes]()
    await friend.start(TOPIC, inbox.append)
    await until(lambda: bool(friend.peers()))
    wire = packet("hello")
    node.publish(wire)
    await until(lambda: wire in inbox)


HOSTILE = ["", "v=0", "m=application 9 x", "m=audio 9 RTP/AVP 0\r\nm=application 9 x", "x" * 40_000]
HOSTILE += [
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"
]


@pytest.mark.parametrize("text", HOSTILE)
async def test_a_description_that_is_none_ends_the_attempt(text: str) -> None:
    offered, answering = PeerConnection(IceSettings()), PeerConnection(IceSettings())
    await offered.offer()
    for attempt in (offered.accept(text), answering.answer(text)):
        with pytest.raises(ConnectingError):
            await attempt
    for connection in (offered, answering):
        await connection.add_candidate("{}")
        await connection.close()


def link_of(connection: PeerConnection) -> PeerLink:
    return PeerLink("node" + "x" * 16, connection, ROOM.token, lambda *_: True)


frame_texts = st.binary(max_size=200) | st.builds(
    lambda action, payload, metadata: next(
        frames.frames(ROOM.token, frames.Message(action, payload, metadata), 0)
    ),
    st.sampled_from(["packet", "peers", "@_ping", "@_pong", "@_hsready", "@_hsdata", "other"]),
    st.binary(max_size=50) | st.sampled_from([b'["a"]', b'["\xff"]', b"[1]"]),
    st.binary(max_size=20) | st.sampled_from([b'{"hops":9}', b'{"hops":-1}', b'{"hops":"x"}']),
)


@given(st.lists(frame_texts, max_size=30))
def test_a_link_takes_any_frames(parts: list[bytes]) -> None:
    async def take() -> None:
        link = link_of(PeerConnection(IceSettings()))
        for part in parts:
            link.take(part)
        await link.connection.close()

    asyncio.run(take())


async def test_a_peer_that_sends_garbage_is_left() -> None:
    link = link_of(PeerConnection(IceSettings()))
    for _ in range(GARBAGE_FRAMES_MAX + 1):
        link.take(b"garbage")
    assert (link.connection.lost.is_set(), link.problem) == (
        True,
        "the peer sent too much that no peer sends",
    )
    await link.connection.close()


async def test_who_went_is_missed_and_who_comes_back_is_found(make_node: MakeNode) -> None:
    stays, heard = make_node(16), list[bytes]()
    await stays.start(TOPIC, heard.append)
    for number in range(2):
        comes, inbox = make_node(16), list[bytes]()
        await comes.start(TOPIC, inbox.append)
        await until(lambda comes=comes: bool(comes.peers() and stays.peers()))
        stays.publish(wire := packet(f"to {number}"))
        await until(lambda wire=wire, inbox=inbox: wire in inbox)
        await comes.stop()
        await until(lambda: not stays.peers())
