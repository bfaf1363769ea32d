"""Coverage-guided fuzzing of what libp2p's peers say to gossip, and to the muxer: `python fuzz/gossip.py`.

Options are libFuzzer's. Needs the extra `libp2p`. A crash is any exception, a packet over its bound, or
anything kept for a topic or a peer that is not ours. Time jumps wherever a peer has to wait.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import atheris
import trio
import trio.testing
from harness.loop import fuzz

with atheris.instrument_imports(include=["dicast"]):
    from dicast.base.limits import PACKET_BYTES_MAX
    from dicast.transports.libp2p_gossip import Gossip
    from dicast.transports.libp2p_host import check_packages
    from dicast.transports.libp2p_muxer import HELD_BYTES_MAX, BoundedYamux

TOPIC = "dicast/" + "ab" * 32
KEYS = [import_module("libp2p.crypto.ed25519").create_new_key_pair(bytes([n]) * 32) for n in (1, 2)]
HOST = import_module("libp2p").new_host(key_pair=KEYS[0])
PEER = import_module("libp2p.peer.id").ID.from_pubkey(KEYS[1].public_key)
EOF = import_module("libp2p.network.stream.exceptions").StreamEOF
RPC = import_module("libp2p.pubsub.pb.rpc_pb2").RPC
SERVICE = import_module("libp2p.tools.anyio_service").background_trio_service
FRAMED = import_module("libp2p.utils").encode_varint_prefixed


class Peer:
    """A connection, a stream on it, and what is read from both."""

    peer_id, metric_send_channel, is_initiator = PEER, None, False

    def __init__(self, said: bytes) -> None:
        self.muxed_conn, self._said = self, said

    async def read(self, count: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        read, self._said = self._said[:count], self._said[count or len(self._said) :]
        if not read:
            raise EOF
        return read

    async def write(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()

    async def reset(self) -> None:
        self._said = b""

    async def close(self) -> None:
        self._said = b""


async def read_gossip(data: bytes) -> None:
    """Frames of a peer: heard is what fits, kept is what is ours."""
    heard = list[bytes]()
    HOST.get_network().notifees.clear()
    gossip = Gossip(HOST, TOPIC, heard.append)
    async with gossip.closing(), SERVICE(gossip), SERVICE(gossip.router):
        await gossip.subscribe(TOPIC)
        await gossip.stream_handler(Peer(data))
        await trio.testing.wait_all_tasks_blocked()
        assert all(len(wire) <= PACKET_BYTES_MAX for wire in heard)
        router: Any = gossip.router
        kept = (gossip.peer_topics, router.back_off, router.mesh, router.fanout)
        assert all(set(one) <= {TOPIC} for one in kept)
        assert all(set(topics) <= {TOPIC} for topics in router.graft_flood_tracking.values())
        assert len(router.mcache.msgs) == len(heard)
        gossip.tidy()


async def read_muxer(data: bytes) -> None:
    """Frames of a connection: nobody reads its streams, and little is held."""
    muxer = BoundedYamux(Peer(data), PEER, is_initiator=False)
    with trio.move_on_after(120):
        await muxer.start()
    assert sum(map(len, muxer.stream_buffers.values())) <= 2 * HELD_BYTES_MAX


READERS = (read_gossip, read_muxer)


def seeds() -> list[bytes]:
    """A signed message, a subscription, each control message; a stream that is opened, written and ended."""
    signed = RPC()
    own = {"from_id": PEER.to_bytes(), "seqno": bytes(8), "key": KEYS[1].public_key.serialize()}
    message = signed.publish.add(data=b"packet", topicIDs=[TOPIC], **{**own, "key": b""})
    message.signature = KEYS[1].private_key.sign(b"libp2p-pubsub:" + message.SerializeToString())
    message.key = own["key"]
    control = RPC()
    control.subscriptions.add(subscribe=True, topicid=TOPIC)
    control.control.graft.add(topicID=TOPIC)
    control.control.prune.add(topicID=TOPIC, backoff=9)
    control.control.ihave.add(topicID=TOPIC, messageIDs=[b"1", b"2"])
    control.control.iwant.add(messageIDs=[PEER.to_bytes() + bytes(8)])
    other = RPC()
    other.subscriptions.add(subscribe=True, topicid="elsewhere")
    other.control.graft.add(topicID="elsewhere")
    frames = b"\0\1\0\1\0\0\0\1\0\0\0\0" + b"\0\0\0\0\0\0\0\1\0\0\0\4abcd" + b"\0\1\0\4\0\0\0\1\0\0\0\0"
    said = [FRAMED(one.SerializeToString()) for one in (signed, control, other)]
    return [*(b"\0" + one for one in (*said, b"".join(said))), b"\1" + frames]


def one_input(data: bytes) -> None:
    """The first byte chooses the reader."""
    reader = READERS[data[0] % len(READERS) if data else 0]
    trio.run(reader, data[1:], clock=trio.testing.MockClock(autojump_threshold=0))


if __name__ == "__main__":
    check_packages()  # which tells the package to be quiet
    fuzz(one_input, seeds())
