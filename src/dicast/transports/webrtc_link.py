"""A link to one peer over a data channel: a queue out, messages in, a heartbeat of our own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec

from dicast.base.limits import PACKET_BYTES_MAX
from dicast.transports import trystero_frames as wire_format
from dicast.transports.announcements import Announcements
from dicast.transports.background import end_tasks, start_task
from dicast.transports.packet_queue import PacketQueue
from dicast.transports.trystero import is_id, is_node
from dicast.transports.trystero_frames import Assembler, Chunk, Message
from dicast.transports.webrtc_connection import PeerConnection

HOPS_MAX = 8  # a mesh in which everybody knows three others reaches thousands in fewer
LINK_PACKETS_MAX = 512  # waiting on one link; what is older is stale
LINK_BYTES_MAX = 1 << 20
BUFFERED_BYTES_MAX = 128 * 1024  # handed to the library; the rest waits where the oldest is dropped
HEARTBEAT_SECONDS = 5.0  # a question that every peer answers, pages too
SILENCE_SECONDS_MAX = 10.5  # two questions without an answer: the peer is gone
LOOK_SECONDS = 0.5  # how often silence and limits are looked at
ASLEEP_SECONDS = 3.0  # between two looks: the machine slept, or was busy
HANDSHAKE_SECONDS_MAX = 10.0  # from the open channel to the peer's word that it is ready
GARBAGE_FRAMES_MAX = 64  # of one link; then it is closed
MESSAGES_A_SECOND = 4_000  # of one link: more than the library carries; a second's worth at once
BYTES_A_SECOND = 16 << 20  # of one link
EXCESS_MESSAGES_MAX = 4_000  # dropped over the pace; then the link is closed
NEIGHBOURS_MAX = 64  # ids that a peer may name as its neighbours
REPEATED = 0x80  # set beside the hops of a packet that is said again, and not counted as sent

OnPacket = Callable[["PeerLink", int, bytes], bool]


class Hops(msgspec.Struct, frozen=True):
    """How many links a packet may still go; metadata beside a packet that was passed on."""

    hops: int


class PeerLink:
    """The other side of an open channel. `on_packet` says False to garbage."""

    def __init__(self, peer_id: str, connection: PeerConnection, token: bytes, on_packet: OnPacket) -> None:
        self.peer_id = peer_id
        self.connection = connection
        self.is_node = is_node(peer_id)
        self.queue = PacketQueue(LINK_PACKETS_MAX, LINK_BYTES_MAX)
        self.is_up = False
        self.problem = ""
        self.sent = 0
        self.garbage = 0
        self.neighbours: frozenset[str] = frozenset()
        """Peers that this one says it is connected to."""
        self.round_trip_ms: int | None = None
        self.ready = asyncio.Event()
        self.announcements = Announcements()
        self._token = token
        self._on_packet = on_packet
        self._assembler = Assembler()
        self._numbers: dict[str, int] = {}
        self._may_write = asyncio.Event()
        self._ponged = asyncio.Event()
        self._pinged_at = 0.0
        self._heard_at = time.monotonic()
        self._spent = 0.0
        self._spent_at = self._heard_at
        self._excess = 0

    async def run(self) -> None:
        """Carry packets both ways until the link ends; `problem` says why it did."""
        connection = self.connection
        channel = connection.channel
        assert channel is not None, "the channel is open"
        channel.bufferedAmountLowThreshold = BUFFERED_BYTES_MAX // 2
        channel.on("bufferedamountlow", self._may_write.set)
        self._heard_at = time.monotonic()
        self._say(wire_format.READY)
        connection.listen(self.take)
        working = [
            start_task(self._write(), f"webrtc to {self.peer_id}"),
            start_task(self._watch(), f"webrtc watch of {self.peer_id}"),
        ]
        try:
            await connection.lost.wait()
            self.problem = self.problem or "the peer closed it"
        finally:
            self.is_up = False
            await end_tasks(*working)
            await connection.close()

    def take(self, frame: bytes) -> None:
        """A frame of the peer. Never raises, whatever the bytes."""
        self._heard_at = time.monotonic()
        if self._is_over_pace(len(frame)):
            return
        part = wire_format.parse_frame(frame, self._token)
        if part is None:
            self._note_garbage()
        elif isinstance(part, Chunk):
            message = self._assembler.take(part)
            if message is not None and not self._take_message(message):
                self._note_garbage()

    def tell_neighbours(self, ids: list[str]) -> None:
        """Tell a node whom else we are connected to, so that it passes on less; pages keep no such thing."""
        if self.is_up and self.is_node:
            self._say(wire_format.PEERS, msgspec.json.encode(ids[:NEIGHBOURS_MAX]))

    async def flush(self, seconds: float) -> None:
        """Wait until the peer has all that was queued, at most so long: it answers after it."""
        try:
            async with asyncio.timeout(seconds):
                await self.queue.drained.wait()
                self._ponged.clear()
                self._say(wire_format.PING)
                await self._ponged.wait()
        except TimeoutError:
            pass

    def leave(self) -> None:
        """Tell the peer that we go."""
        self._say(wire_format.LEAVE)

    def close(self, problem: str) -> None:
        """End the link."""
        self.problem = self.problem or problem
        self.connection.lost.set()

    @property
    def dropped(self) -> int:
        """Packets that found no room, and frames that were nothing."""
        return self.queue.dropped + self.garbage + self._excess + self._assembler.dropped

    def _take_message(self, message: Message) -> bool:
        """Do what a message asks for; False when it is out of place."""
        match message.action:
            case wire_format.PACKET:
                return self._take_packet(message)
            case wire_format.PING:
                self._say(wire_format.PONG)
            case wire_format.PONG:
                self._take_pong()
            case wire_format.READY:
                self.is_up = True
                self.ready.set()
            case wire_format.LEAVE:
                self.close("the peer left")
            case wire_format.PEERS:
                return self._take_neighbours(message.payload)
            case action:
                return action == wire_format.HANDSHAKE
        return True

    def _take_packet(self, message: Message) -> bool:
        if len(message.payload) > PACKET_BYTES_MAX:
            return False
        return self._on_packet(self, _hops(message.metadata), message.payload)

    def _take_pong(self) -> None:
        self._ponged.set()
        if self._pinged_at:
            self.round_trip_ms = round((time.monotonic() - self._pinged_at) * 1000)
            self._pinged_at = 0.0

    def _take_neighbours(self, payload: bytes) -> bool:
        try:
            ids = _IDS.decode(payload)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return False
        if len(ids) > NEIGHBOURS_MAX or not all(map(is_id, ids)):
            return False
        self.neighbours = frozenset(ids)
        return True

    async def _write(self) -> None:
        await self.ready.wait()
        while True:
            frame = (await self.queue.take())[0]
            flags, wire = frame[0], frame[1:]
            hops = flags & ~REPEATED
            metadata = b"" if hops >= HOPS_MAX else msgspec.json.encode(Hops(hops))
            for part in self._frames(Message(wire_format.PACKET, wire, metadata), is_binary=True):
                await self._until_room()
                self._send(part)
            self.sent += not flags & REPEATED
            self.queue.done()

    async def _until_room(self) -> None:
        channel = self.connection.channel
        assert channel is not None, "the channel is open"
        while channel.bufferedAmount > BUFFERED_BYTES_MAX:
            self._may_write.clear()
            await self._may_write.wait()

    async def _watch(self) -> None:
        """Ask for a sign of life, and end a link whose peer gives none or too much."""
        opened_at = asked_at = looked_at = time.monotonic()
        self._ask()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = time.monotonic()
            if now - looked_at > ASLEEP_SECONDS:
                self._heard_at = now  # it was us who heard nothing
            looked_at = now
            if now - self._heard_at > SILENCE_SECONDS_MAX:
                self.close("the peer went silent")
            elif not self.is_up and now - opened_at > HANDSHAKE_SECONDS_MAX:
                self.close("the peer does not say that it is ready")
            elif self.connection.is_overfull():
                self.close("the peer sent beginnings without an end")
            elif now - asked_at >= HEARTBEAT_SECONDS:
                asked_at = now
                self._ask()

    def _ask(self) -> None:
        self._pinged_at = time.monotonic()
        self._say(wire_format.PING)

    def _is_over_pace(self, frame_bytes: int) -> bool:
        self._spent = max(0.0, self._spent - (self._heard_at - self._spent_at))
        self._spent_at = self._heard_at
        self._spent += max(1 / MESSAGES_A_SECOND, frame_bytes / BYTES_A_SECOND)
        if self._spent <= 1.0:
            return False
        self._spent = 1.0
        self._excess += 1
        if self._excess > EXCESS_MESSAGES_MAX:
            self.close("the peer sent more than a node does")
        return True

    def _note_garbage(self) -> None:
        self.garbage += 1
        if self.garbage > GARBAGE_FRAMES_MAX:
            self.close("the peer sent too much that no peer sends")

    def _say(self, action: str, payload: bytes = b"") -> None:
        channel = self.connection.channel
        if channel is not None and channel.bufferedAmount > 2 * BUFFERED_BYTES_MAX:
            return  # who asks much and reads nothing gets no answer
        for part in self._frames(Message(action, payload), is_binary=False):
            self._send(part)

    def _frames(self, message: Message, *, is_binary: bool) -> list[bytes]:
        number = self._numbers.get(message.action, 0)
        self._numbers[message.action] = number + 1
        return list(wire_format.frames(self._token, message, number, is_binary=is_binary))

    def _send(self, frame: bytes) -> None:
        channel = self.connection.channel
        if channel is not None and channel.readyState == "open":
            channel.send(frame)


def queued(hops: int, wire: bytes, *, is_repeated: bool = False) -> bytes:
    """A packet as it waits on a link."""
    return bytes([hops | (REPEATED if is_repeated else 0)]) + wire


def _hops(metadata: bytes) -> int:
    """How far a packet may go: one without metadata comes from its author's own node or page."""
    if not metadata:
        return HOPS_MAX
    try:
        return max(0, min(HOPS_MAX - 1, _HOPS.decode(metadata).hops))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return HOPS_MAX


_IDS = msgspec.json.Decoder(list[str])
_HOPS = msgspec.json.Decoder(Hops)
