"""libp2p against those who mean harm: garbage, floods, crowds, connections in the clear."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from dicast.transports import libp2p_host, libp2p_links
from dicast.transports.libp2p import Libp2pTransport
from dicast.transports.libp2p_host import Libp2pHost, Libp2pSettings
from dicast.transports.trio_thread import TrioThread
from fuzzing import finds_nothing
from loading import load

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
MESHSUB = "/meshsub/1.1.0"


suite = load("tests/conformance/test_transports.py")
topic = suite.topic


def seed(number: int) -> bytes:
    return bytes([number]) * 32


@pytest.fixture
async def nodes(topic: str) -> AsyncIterator[tuple[Libp2pTransport, Any, Libp2pTransport]]:
    """A node, what it heard, and a friend of it."""
    node, inbox = Libp2pTransport(Libp2pSettings(seed(1))), suite.Inbox()
    await node.start(topic, inbox.take)
    await suite.until(lambda: bool(node.addresses()))
    friend = Libp2pTransport(Libp2pSettings(seed(2), peers=(node.addresses()[0],)))
    await friend.start(topic, lambda _: None)
    await suite.until(lambda: friend.health().state == "up" and "1 on the topic" in node.health().detail)
    yield node, inbox, friend
    await asyncio.gather(node.stop(), friend.stop())


async def attack(work: Callable[[Libp2pHost], Awaitable[None]]) -> str:
    """On a host of the attacker's; what ended it, "" when it was done."""
    host = Libp2pHost(Libp2pSettings(seed(3), listen=()))

    async def run() -> None:
        async with host.running():
            await work(host)

    thread = TrioThread(run, "attacker")
    thread.start()
    async with asyncio.timeout(suite.WAIT_SECONDS_MAX):
        return await thread.ended


async def say(host: Libp2pHost, said: bytes, protocol: str = MESHSUB) -> None:
    """Open a stream and say it; that the other side hangs up is what it should do."""
    trio = import_module("trio")
    with contextlib.suppress(Exception), trio.move_on_after(5):
        [peer] = host.host.get_connected_peers()
        stream = await host.host.new_stream(peer, [protocol])
        await stream.write(said)


def framed(rpc: Any) -> bytes:
    return import_module("libp2p.utils").encode_varint_prefixed(rpc.SerializeToString())


def messages(topic: str, count: int, **named: bytes) -> Any:
    rpc = import_module("libp2p.pubsub.pb.rpc_pb2").RPC()
    for number in range(count):
        fields = {"from_id": b"\0garbage", "seqno": b"%08d" % number, "key": b"k", "signature": b"s"} | named
        rpc.publish.add(data=b"x" * 50, topicIDs=[f"dicast/{topic}"], **fields)
    return rpc


def control(count: int) -> Any:
    rpc = import_module("libp2p.pubsub.pb.rpc_pb2").RPC()
    for number in range(count):
        rpc.control.graft.add(topicID=f"graft {number}")
        rpc.control.prune.add(topicID=f"prune {number}", backoff=1 << 62)
        rpc.control.ihave.add(topicID=f"have {number}", messageIDs=[b"%d" % number] * 3)
        rpc.control.iwant.add(messageIDs=[b"%d" % number] * 3)
    return rpc


def test_theorem_20_37_whatever_is_said_to_gossip_or_the_muxer_raises_nothing(tmp_path: Path) -> None:
    finds_nothing("gossip", tmp_path)


async def test_garbage_ends_its_own_stream_alone(nodes, topic) -> None:
    node, inbox, friend = nodes
    thread = node._thread

    async def work(host: Libp2pHost) -> None:
        await host.connect(node.addresses()[0])
        for said in (
            b"\x64" + b"\xff" * 100,  # no protobuf
            b"\xff\xff\xff\x7f" + bytes(1000),  # a frame of 256 MiB
            framed(messages(topic, 3)),  # keys that are none
            framed(messages(topic, 3, from_id=bytes(100_000))),
            framed(control(1000)),
        ):
            await say(host, said)
        for protocol in ("id/1.0.0", "id/push/1.0.0", "ping/1.0.0", "kad/1.0.0"):
            await say(host, b"\xff" * 3000, f"/ipfs/{protocol}")
        await say(host, b"\xff" * 3000, "/libp2p/circuit/relay/0.2.0/stop")
        await say(host, b"\xff" * 3000, "/dicast/record/1")

    assert await attack(work) == ""
    friend.publish(wire := suite.packet(topic))
    await inbox.until_has([wire])
    assert (node._thread is thread, inbox.wires, node.health().state) == (True, [wire], "up")


async def test_a_flood_waits_for_its_share_and_a_friend_is_heard_meanwhile(nodes, topic) -> None:
    node, inbox, friend = nodes
    trio = import_module("trio")
    flooding, heard = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    async def work(host: Libp2pHost) -> None:
        await host.connect(node.addresses()[0])
        [peer] = host.host.get_connected_peers()
        stream = await host.host.new_stream(peer, [MESHSUB])

        async def flood() -> None:
            for _ in range(1000):
                await stream.write(framed(messages(topic, 1000)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            await trio.sleep(0)
            loop.call_soon_threadsafe(flooding.set)
            await trio.to_thread.run_sync(heard.wait)
            nursery.cancel_scope.cancel()

    attacking = asyncio.create_task(attack(work))
    await flooding.wait()
    for wire in (wires := suite.numbered(topic, 20)):
        friend.publish(wire)
    await inbox.until_has(wires)
    heard.set()
    assert await attacking == ""
    assert sorted(inbox.wires) == sorted(wires)


async def test_who_was_here_once_takes_no_place(nodes, topic, monkeypatch) -> None:
    monkeypatch.setattr(libp2p_host, "CONNECTIONS_MAX", 4)
    crowded = Libp2pTransport(Libp2pSettings(seed(9)))
    await crowded.start(topic, lambda _: None)
    await suite.until(lambda: bool(crowded.addresses()))

    async def work(host: Libp2pHost) -> None:
        for _ in range(8):
            while not host.host.get_connected_peers():
                with contextlib.suppress(Exception):  # the one before is about to be noticed
                    await host.connect(crowded.addresses()[0])
            for peer in host.host.get_connected_peers():
                await host.host.disconnect(peer)

    assert await attack(work) == ""
    await crowded.stop()


async def test_a_crowd_is_sent_away_at_the_door(nodes, topic, monkeypatch) -> None:
    node, inbox, friend = nodes
    monkeypatch.setattr(libp2p_links, "INBOUND_MAX", 8)
    port = int(node.addresses()[0].split("/")[4])
    crowd = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
    ends = [asyncio.create_task(reader.read()) for reader, _ in crowd]  # a host would say a word first
    await suite.until(lambda: sum(end.done() for end in ends) >= 40 - 8)
    friend.publish(wire := suite.packet(topic))
    await inbox.until_has([wire])
    for _, writer in crowd:
        writer.close()
    await asyncio.gather(*ends, return_exceptions=True)


async def test_nobody_talks_in_the_clear_or_over_a_muxer_without_windows(nodes) -> None:
    node, _, _ = nodes
    keys = import_module("libp2p.crypto.ed25519").create_new_key_pair(seed(7))
    clear = import_module("libp2p.security.insecure.transport")
    secure = libp2p_host._noise(keys)
    mplex = import_module("libp2p.stream_muxer.mplex.mplex")
    options = (
        {"sec_opt": {clear.PLAINTEXT_PROTOCOL_ID: clear.InsecureTransport(keys)}},
        {"sec_opt": secure, "muxer_opt": {mplex.MPLEX_PROTOCOL_ID: mplex.Mplex}},
    )
    info = import_module("libp2p.peer.peerinfo").info_from_p2p_addr
    address = import_module("multiaddr").Multiaddr(node.addresses()[0])
    refused = list[str]()

    async def run() -> None:
        for chosen in options:
            host = import_module("libp2p").new_host(key_pair=keys, **chosen)
            async with host.run([]):
                try:
                    await host.connect(info(address))
                except Exception as error:
                    refused.append(type(error).__name__)

    thread = TrioThread(run, "attacker")
    thread.start()
    assert await thread.ended == ""
    assert len(refused) == len(options)
