"""Every transport carries packets alike: a node cannot tell which one it has."""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import pytest
from websockets.asyncio.client import connect

from dicast.base.crypto import KeyPair
from dicast.base.events import encode_event, sign_event
from dicast.base.limits import PACKET_BYTES_MAX
from dicast.ports import Transport
from dicast.protocol.messages import Kind
from dicast.torrent_session import SessionSettings, TorrentSession
from dicast.transports.bittorrent import BittorrentTransport
from dicast.transports.memory import MemoryHub
from dicast.transports.nostr import NostrTransport
from dicast.transports.signalling_nostr import NostrSignaller
from dicast.transports.webrtc import WebRtcSettings, WebRtcTransport
from dicast.transports.websocket import MeshSettings, WebSocketTransport
from dicast.transports.zenoh import ZenohSettings, ZenohTransport
from free_ports import free_port
from waiting import WAIT_SECONDS_MAX, until

pytestmark = pytest.mark.anyio
KEY = KeyPair.from_seed(b"conformance".ljust(32))

MakeTransport = Callable[[], Transport]


class Inbox:
    """What a transport handed over, and a way to wait for it."""

    def __init__(self) -> None:
        self.wires: list[bytes] = []
        self._changed = asyncio.Event()

    def take(self, wire: bytes) -> None:
        self.wires.append(wire)
        self._changed.set()

    async def until_has(self, wires: list[bytes]) -> None:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while not set(wires) <= set(self.wires):
                self._changed.clear()
                await self._changed.wait()


def packet(topic: str, content: str = "hello", kind: Kind = Kind.REQUEST, key: KeyPair = KEY) -> bytes:
    tags = [("t", topic)] + ([("d", topic)] if kind == Kind.ANNOUNCEMENT else [])
    return encode_event(sign_event(key, int(time.time()), kind, tags, content))


def numbered(topic: str, count: int) -> list[bytes]:
    return [packet(topic, f"{number} {'x' * 500}") for number in range(count)]


@pytest.fixture
def topic() -> str:
    return secrets.token_hex(32)


KINDS = ["memory", "nostr-embedded", "nostr-embedded-auth", "nostr-peer", "nostr-peer-auth"]
KINDS += ["websocket-hub", "websocket-mesh", "zenoh-multicast", "zenoh-connect", "zenoh-process", "webrtc"]
KINDS += ["bittorrent"]


@pytest.fixture(params=KINDS)
async def make_transport(
    request: pytest.FixtureRequest,
    embedded_relay: Callable[[bool], AbstractAsyncContextManager[str]],
    peer_relay_url: Callable[[bool], str],
    zenoh_process: Callable[[], str],
) -> AsyncIterator[MakeTransport]:
    made = list[Transport]()

    def collected(make: MakeTransport) -> MakeTransport:
        def made_and_kept() -> Transport:
            made.append(make())
            return made[-1]

        return made_and_kept

    async with AsyncExitStack() as stack:
        with_auth = request.param.endswith("auth")
        if request.param.startswith("nostr-embedded"):
            yield collected(nostr_nodes(await stack.enter_async_context(embedded_relay(with_auth))))
        elif request.param.startswith("nostr"):
            yield collected(nostr_nodes(peer_relay_url(with_auth)))
        elif request.param == "webrtc":
            url = await stack.enter_async_context(embedded_relay(False))
            yield collected(lambda: WebRtcTransport(WebRtcSettings(), [NostrSignaller(url)]))
        elif request.param == "websocket-hub":
            made.append(await websocket_hub())
            yield collected(websocket_nodes(made[:1]))
        elif request.param == "websocket-mesh":
            yield collected(websocket_nodes(made, is_hub=True))
        elif request.param == "zenoh-multicast":
            yield collected(lambda: ZenohTransport(ZenohSettings(interface="lo")))
        elif request.param == "zenoh-connect":
            made.append(await known_zenoh_node(endpoint := f"tcp/127.0.0.1:{free_port()}"))
            yield collected(lambda: ZenohTransport(ZenohSettings(connect=(endpoint,))))
        elif request.param == "zenoh-process":
            endpoint = zenoh_process()
            yield collected(lambda: ZenohTransport(ZenohSettings(connect=(endpoint,))))
        elif request.param == "bittorrent":
            table = await stack.enter_async_context(hash_table())
            settings = SessionSettings(bootstrap=table)
            mesh = MeshSettings(("127.0.0.1", 0))
            yield collected(lambda: BittorrentTransport(TorrentSession(settings), mesh))
        else:
            yield collected(MemoryHub().transport)
        for transport in made:
            await transport.stop()


@asynccontextmanager
async def hash_table() -> AsyncIterator[tuple[str, ...]]:
    """Two nodes of a hash table on loopback, to join by."""
    first = TorrentSession(SessionSettings())
    await first.start()
    second = TorrentSession(SessionSettings(bootstrap=(f"127.0.0.1:{first.port}",)))
    await second.start()
    yield (f"127.0.0.1:{first.port}", f"127.0.0.1:{second.port}")
    await first.stop()
    await second.stop()


def nostr_nodes(url: str) -> MakeTransport:
    numbers = itertools.count()
    return lambda: NostrTransport([url], KeyPair.from_seed(bytes([next(numbers)]) * 32))


async def websocket_hub() -> Transport:
    hub = WebSocketTransport(MeshSettings(listen=("127.0.0.1", 0), is_hub=True))
    await hub.start("f" * 64, Inbox().take)
    await until(lambda: hub.health().state == "up")
    return hub


def websocket_nodes(others: list[Transport], is_hub: bool = False) -> MakeTransport:
    """Nodes that dial every other node that listens by then."""

    def make() -> Transport:
        peers = [one.address for one in others if isinstance(one, WebSocketTransport) and one.address]
        return WebSocketTransport(MeshSettings(("127.0.0.1", 0), "", tuple(peers), is_hub))

    return make


async def known_zenoh_node(endpoint: str) -> Transport:
    """The one that others know; what it is interested in does not matter."""
    node = ZenohTransport(ZenohSettings(listen=(endpoint,)))
    await node.start("f" * 64, Inbox().take)
    await until(lambda: node.health().state == "up")
    return node


async def join(make: MakeTransport, topic: str) -> tuple[Transport, Inbox]:
    """A started transport that is up."""
    transport, inbox = make(), Inbox()
    await transport.start(topic, inbox.take)
    await until(lambda: transport.health().state == "up")
    return transport, inbox


async def test_a_packet_reaches_every_other_node(make_transport: MakeTransport, topic: str) -> None:
    sender, _ = await join(make_transport, topic)
    inboxes = [(await join(make_transport, topic))[1] for _ in range(2)]
    wire = packet(topic)
    sender.publish(wire)
    for inbox in inboxes:
        await inbox.until_has([wire])


async def test_a_packet_published_before_the_start_is_carried(
    make_transport: MakeTransport, topic: str
) -> None:
    _, inbox = await join(make_transport, topic)
    sender = make_transport()
    wires = numbered(topic, 5)
    for wire in wires:
        sender.publish(wire)
    await sender.start(topic, Inbox().take)
    await inbox.until_has(wires)


async def test_topics_are_apart(make_transport: MakeTransport, topic: str) -> None:
    other_topic = topic[::-1]
    here, inbox = await join(make_transport, topic)
    there, other_inbox = await join(make_transport, other_topic)
    sent, other_sent = packet(topic), packet(other_topic)
    (await join(make_transport, topic))[0].publish(sent)
    (await join(make_transport, other_topic))[0].publish(other_sent)
    await inbox.until_has([sent])
    await other_inbox.until_has([other_sent])
    assert (other_sent in inbox.wires, sent in other_inbox.wires) == (False, False)
    assert here.payload_bytes_max == there.payload_bytes_max == PACKET_BYTES_MAX


async def test_every_kind_is_carried(make_transport: MakeTransport, topic: str) -> None:
    sender, _ = await join(make_transport, topic)
    _, inbox = await join(make_transport, topic)
    wires = [packet(topic, "{}", kind) for kind in Kind]
    for wire in wires:
        sender.publish(wire)
    await inbox.until_has(wires)


async def test_any_text_arrives_byte_for_byte(make_transport: MakeTransport, topic: str) -> None:
    sender, _ = await join(make_transport, topic)
    _, inbox = await join(make_transport, topic)
    texts = ["", '"quotes" \\ / \n\t', "Grüße, 世界 \U0001f600", "\u2028\u2029\ufeff\u00a0", "<script>&amp;"]
    wires = [packet(topic, text) for text in texts]
    for wire in wires:
        sender.publish(wire)
    await inbox.until_has(wires)


async def test_the_largest_packet_is_carried(make_transport: MakeTransport, topic: str) -> None:
    sender, _ = await join(make_transport, topic)
    _, inbox = await join(make_transport, topic)
    room = PACKET_BYTES_MAX - len(packet(topic, ""))
    wire = packet(topic, "x" * room)
    assert len(wire) == sender.payload_bytes_max
    sender.publish(wire)
    await inbox.until_has([wire])


async def test_a_burst_arrives_whole_at_everybody(make_transport: MakeTransport, topic: str) -> None:
    nodes = [await join(make_transport, topic) for _ in range(3)]
    sent = [numbered(topic, 60), [packet(topic, f"b{number}") for number in range(60)]]
    for pair in zip(*sent, strict=True):
        for (transport, _), wire in zip(nodes, pair, strict=False):
            transport.publish(wire)
    await nodes[0][1].until_has(sent[1])
    await nodes[1][1].until_has(sent[0])
    await nodes[2][1].until_has(sent[0] + sent[1])


async def test_health_says_up_then_down(make_transport: MakeTransport, topic: str) -> None:
    fresh = make_transport()
    assert (fresh.health().state, list(fresh.peers())) == ("starting", [])
    sender, _ = await join(make_transport, topic)
    receiver, inbox = await join(make_transport, topic)
    wire = packet(topic)
    sender.publish(wire)
    await inbox.until_has([wire])
    assert (sender.health().state, sender.health().sent, sender.health().dropped) == ("up", 1, 0)
    assert (receiver.health().state, receiver.health().received >= 1) == ("up", True)
    await sender.stop()
    assert (sender.health().state, list(sender.peers())) == ("down", [])


async def test_stopping_flushes_and_nothing_comes_after_it(make_transport: MakeTransport, topic: str) -> None:
    sender, _ = await join(make_transport, topic)
    stopped, silent = await join(make_transport, topic)
    _, inbox = await join(make_transport, topic)
    await stopped.stop()
    await stopped.stop()
    stopped.publish(packet(topic, "too late"))
    before = list(silent.wires)
    sender.publish(first := packet(topic, "first"))
    await inbox.until_has([first])  # over the one that left it does not go: meshes have linked the others
    wires = numbered(topic, 30)
    for wire in wires:
        sender.publish(wire)
    await sender.stop()
    await inbox.until_has(wires)
    assert silent.wires == before


@pytest.mark.parametrize("kind", ["embedded", "peer"])
async def test_the_relays_that_ask_for_a_key_give_nothing_without_one(
    kind: str,
    embedded_relay: Callable[[bool], AbstractAsyncContextManager[str]],
    peer_relay_url: Callable[[bool], str],
    topic: str,
) -> None:
    wire = packet(topic).decode()
    async with AsyncExitStack() as stack:
        is_ours = kind == "embedded"
        url = await stack.enter_async_context(embedded_relay(True)) if is_ours else peer_relay_url(True)
        socket = await stack.enter_async_context(connect(url))
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            await socket.send(f'["EVENT",{wire}]')
            answers = [json.loads(await socket.recv()) for _ in range(2)]
    assert {answer[0] for answer in answers} == {"AUTH", "OK"}
    assert [answer[2] for answer in answers if answer[0] == "OK"] == [False]
