"""gossipsub as the package has it, on one topic: cheaper for each packet, and within bounds for each peer.

Imported where libp2p is installed alone.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import Any

from dicast.base.limits import PACKET_BYTES_MAX

RPC_BYTES_MAX = 256 * 1024  # what a peer may say at once: a packet, or several small ones
READ_BYTES = 64 * 1024
MERGED_BYTES = 64 * 1024  # what waits for a neighbour is said at once, up to this and one packet more
NEIGHBOUR_QUEUE_MAX = 256  # messages: a burst of everybody's; the package's own queue drops the 33rd
PEER_MESSAGES_A_SECOND = 1_000  # of one peer, those of many nodes: half of what a core reads
PEER_BYTES_A_SECOND = 4 << 20  # 64 packets of the largest size
BURST_SECONDS = 2.0  # of that, before a peer has to wait
PAUSE_SECONDS_MAX = 1.0  # it may owe: what one message of the largest size holds beyond that is dropped
GARBAGE_SECONDS = 0.05  # of its share, for what is not signed: looking at it costs us as much as a packet
PENDING_MAX = 32  # messages for whoever has not said its topics yet; those who never do cost as much
CONTROL_MAX = 32  # entries of a kind in one message; heartbeats need one
IDS_MAX = 512  # message ids in one entry; those of a second
HEARTBEAT_SECONDS = 1  # the mesh mends itself as other implementations do; the default is 120
DEGREE, DEGREE_LOW, DEGREE_HIGH = 6, 4, 12  # neighbours of a topic, as in the specification
PROTOCOLS = ("/meshsub/1.1.0", "/meshsub/1.0.0")
HISTORY, WINDOW = 4, 3  # heartbeats: what is kept for those who ask, and what they are told of
ORIGIN_BYTES_MAX, PROOF_BYTES_MAX = 64, 1024  # of a message's author and number; of a key or a signature

_trio: Any = import_module("trio")
_pubsub: Any = import_module("libp2p.pubsub.pubsub")
_Pubsub: Any = _pubsub.Pubsub
_GossipSub: Any = import_module("libp2p.pubsub.gossipsub").GossipSub
_rpc: Any = import_module("libp2p.pubsub.pb.rpc_pb2")
_queues: Any = import_module("libp2p.pubsub.rpc_queue")


class Meter:
    """What one peer's words cost us, in seconds of its share; who is ahead of it waits to be read."""

    def __init__(self) -> None:
        self._due = 0.0
        self.streams = 0
        self.writing: Any = _trio.Lock()

    def spend(self, seconds: float) -> None:
        """It said something."""
        self._due = max(self._due, _trio.current_time() - BURST_SECONDS) + seconds

    @property
    def is_needed(self) -> bool:
        """Whether it says anything that a new one would not."""
        return bool(self.streams or self.pause or self.writing.statistics().locked)

    @property
    def pause(self) -> float:
        """Seconds until it may be read again."""
        return max(0.0, self._due - _trio.current_time())


class PacedStream:
    """A stream of a peer, read at its pace, in large pieces: for each the package says that there is room."""

    def __init__(self, stream: Any, meter: Meter) -> None:
        self._stream = stream
        self._meter = meter
        self._held = bytearray()

    async def read(self, count: int) -> bytes:
        """At most so many bytes; raises what the package raises."""
        if not self._held:
            await _trio.sleep(self._meter.pause)  # what is over waits on its side
            self._held += await self._stream.read(READ_BYTES)
            self._meter.spend(len(self._held) / PEER_BYTES_A_SECOND)
        read = bytes(self._held[:count])
        del self._held[: len(read)]
        return read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Router(_GossipSub):
    """The mesh of one topic; of what peers say about it, what a heartbeat says."""

    def __init__(self, topic: str) -> None:
        super().__init__(
            protocols=list(PROTOCOLS),
            degree=DEGREE,
            degree_low=DEGREE_LOW,
            degree_high=DEGREE_HIGH,
            gossip_window=WINDOW,
            gossip_history=HISTORY,
            heartbeat_interval=HEARTBEAT_SECONDS,
            adaptive_gossip_enabled=False,
            spam_protection_enabled=False,  # a meter is cheaper, and comes before the signature
            max_pending_messages_per_peer=PENDING_MAX,
        )
        self._topic = topic

    async def handle_rpc(self, rpc: Any, sender_peer_id: Any) -> None:
        """Grafts, prunes, and who has or wants which messages."""
        said, kept = rpc.control, _rpc.RPC()
        self.pubsub.meter(sender_peer_id).spend(_entries(said) / PEER_MESSAGES_A_SECOND)
        for graft in said.graft[:CONTROL_MAX]:
            if graft.topicID == self._topic and not kept.control.graft:
                kept.control.graft.add(topicID=self._topic)
        for prune in said.prune[:CONTROL_MAX]:
            if prune.topicID == self._topic and not kept.control.prune:  # whom else to dial is hearsay
                kept.control.prune.add(topicID=self._topic, backoff=min(prune.backoff, self.prune_back_off))
        for have in said.ihave[:CONTROL_MAX]:
            if have.topicID == self._topic:
                kept.control.ihave.add(topicID=self._topic, messageIDs=_ids(have.messageIDs))
        for want in said.iwant[:CONTROL_MAX]:
            kept.control.iwant.add(messageIDs=_ids(want.messageIDs))
        await super().handle_rpc(kept, sender_peer_id)

    async def handle_iwant(self, iwant_msg: Any, sender_peer_id: Any) -> None:
        """What it costs to send is the peer's to pay."""
        wanted = (self.mcache.get(bytes(one)) for one in iwant_msg.messageIDs)
        cost = sum(len(message.data) for message in wanted if message is not None)
        self.pubsub.meter(sender_peer_id).spend(cost / PEER_BYTES_A_SECOND)
        await super().handle_iwant(iwant_msg, sender_peer_id)

    def send_rpc(self, peer_id: Any, rpc: Any, priority: bool = False) -> None:
        """A packet goes without the host's own addresses: everybody would check them each time."""
        if rpc.publish:
            rpc.ClearField("senderRecord")
        super().send_rpc(peer_id, rpc, priority)

    def tidy(self) -> None:
        """Forget what the package only ever adds to."""
        self.recent_message_deliveries.clear()
        self.equivocation_detection.clear()  # who repeats a number is not heard: it was seen


class _Host:
    """A host whose addresses are asked once a second: the package asks with each message."""

    def __init__(self, host: Any) -> None:
        self._host = host
        self._addresses: list[Any] = []
        self._asked_at = -1.0

    def get_addrs(self) -> list[Any]:
        """Where it listens."""
        if (now := _trio.current_time()) - self._asked_at > 1 or self._asked_at < 0:
            self._addresses, self._asked_at = self._host.get_addrs(), now
        return self._addresses

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)


class Gossip(_Pubsub):
    """Messages of one topic: signed, of the right shape, not more than a peer's share."""

    def __init__(self, host: Any, topic: str, take: Callable[[bytes], None]) -> None:
        super().__init__(
            _Host(host),
            Router(topic),
            strict_signing=True,  # as others by default: they drop what is not
            validation_cache_size=1,  # what was seen is remembered elsewhere
            max_inbound_rpc_size=RPC_BYTES_MAX,
            allowed_topics={topic},
        )
        self._topic = topic
        self._take = take
        self._own = host.get_id()
        self._meters: dict[Any, Meter] = {}
        self.set_topic_validator(topic, self._hear, False)

    def meter(self, peer: Any) -> Meter:
        """A peer's account."""
        return self._meters.setdefault(peer, Meter())

    async def stream_handler(self, stream: Any) -> None:
        """A peer talks, on as many streams as it likes, at one pace."""
        peer = stream.muxed_conn.peer_id
        meter = self._meters.setdefault(peer, Meter())
        meter.streams += 1
        try:
            await super().stream_handler(PacedStream(stream, meter))
        except Exception:  # garbage, which the package lets end the host
            meter.spend(BURST_SECONDS)
            await _trio.sleep(meter.pause)
            with suppress(Exception):
                await stream.reset()
            self._handle_dead_peer(peer)
        finally:
            meter.streams -= 1

    def handle_subscription(self, origin_id: Any, sub_message: Any) -> None:
        """Who comes is sent the packets of the last seconds: coming and going has its price."""
        is_ours = sub_message.topicid == self._topic
        self.meter(origin_id).spend(BURST_SECONDS / 4 if is_ours else 1 / PEER_MESSAGES_A_SECOND)
        super().handle_subscription(origin_id, sub_message)

    async def push_msg(self, msg_forwarder: Any, msg: Any) -> None:
        """A message: ours goes out as it is, theirs when it is signed and new."""
        if msg_forwarder == self._own:
            self._mark_msg_seen(msg)
            await self.router.publish(msg_forwarder, msg)
            return
        meter = self.meter(msg_forwarder)
        meter.spend(1 / PEER_MESSAGES_A_SECOND)
        if meter.pause > PAUSE_SECONDS_MAX or msg.from_id == self._own.to_bytes():
            return
        if _is_whole(msg, self._topic):
            with suppress(Exception):  # keys and signatures that are none end the package's service
                await super().push_msg(msg_forwarder, msg)
        if not self._is_msg_seen(msg):
            meter.spend(GARBAGE_SECONDS)

    async def handle_sending_messages(self, peer_id: Any, stream: Any, queue: Any) -> None:
        """What waits for a neighbour, several at once, from a longer queue than the package's."""
        longer = _queues.RpcQueue(max_size=NEIGHBOUR_QUEUE_MAX, max_message_size=RPC_BYTES_MAX)
        while len(queue):
            longer.push(await queue.pop())
        if self.peer_queues.get(peer_id) is not queue:
            return
        self.peer_queues[peer_id] = longer
        with suppress(Exception):  # it left
            while (said := await longer.pop()) is not None:
                if not await self.write_msg(stream, await _merged(said, longer)):
                    return
            return
        self._handle_dead_peer(peer_id)

    def tidy(self) -> None:
        """Forget who left, and what the package only ever adds to."""
        self._meters = {peer: one for peer, one in self._meters.items() if one.is_needed}
        self.router.tidy()

    async def write_msg(self, stream: Any, rpc_msg: Any) -> bool:
        """One at a time: the muxer mixes what several write to a stream, where it is more than a frame."""
        async with self.meter(stream.muxed_conn.peer_id).writing:
            is_written: bool = await super().write_msg(stream, rpc_msg)
        return is_written

    @asynccontextmanager
    async def closing(self) -> AsyncGenerator[None]:
        """Its thread, which forgets what was seen, ends with this."""
        try:
            yield
        finally:
            self.seen_messages.stop()

    def _hear(self, _: object, message: Any) -> bool:
        self._take(bytes(message.data))
        return True


async def _merged(first: Any, queue: Any) -> Any:
    """The next messages of a queue as one, as long as they are short."""
    if not len(queue) or (size := first.ByteSize()) >= MERGED_BYTES:
        return first
    merged = _rpc.RPC()
    merged.CopyFrom(first)
    while len(queue) and size < MERGED_BYTES:
        following = await queue.pop()
        size += following.ByteSize()
        merged.MergeFrom(following)
    return merged


def _is_whole(message: Any, topic: str) -> bool:
    is_short = len(message.from_id) <= ORIGIN_BYTES_MAX and len(message.seqno) <= ORIGIN_BYTES_MAX
    is_proof = len(message.key) <= PROOF_BYTES_MAX and 0 < len(message.signature) <= PROOF_BYTES_MAX
    is_packet = len(message.data) <= PACKET_BYTES_MAX
    return is_short and is_proof and is_packet and list(message.topicIDs) == [topic]


def _entries(control: Any) -> int:
    entries = (control.ihave, control.iwant, control.graft, control.prune, control.idontwant)
    ids = sum(len(each.messageIDs) for each in (*control.ihave, *control.iwant))
    return sum(map(len, entries)) + ids // 8


def _ids(said: Any) -> list[bytes]:
    """Each id once."""
    short = (bytes(one) for one in said[:IDS_MAX] if len(one) <= 2 * ORIGIN_BYTES_MAX)
    return list(dict.fromkeys(short))
