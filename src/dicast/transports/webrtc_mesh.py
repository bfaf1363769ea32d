"""The links of one node of the WebRTC mesh, and what goes over which."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections import deque
from collections.abc import Callable

from dicast.base.expiring import SeenIds
from dicast.protocol.messages import Kind
from dicast.transports.newcomers import Recent, head_of
from dicast.transports.webrtc_connection import PeerConnection
from dicast.transports.webrtc_link import HOPS_MAX, LINK_PACKETS_MAX, PeerLink, queued

COPY_WINDOW_MS = 450  # kept for one to two of these: a repetition comes after a second, and must get through
COPIES_KNOWN_MAX = 32_768  # about 6 MB; when full, copies pass, and hops end them
TELL_SECONDS = 0.2  # after links changed, for often several do
KEPT_SHARE = 2  # of the links one in so many, the oldest, makes room for nobody


class Mesh:
    """Takes open connections, floods packets over them; what nobody could take yet waits for the first."""

    def __init__(self, on_lost: Callable[[], None]) -> None:
        self._on_lost = on_lost
        self._token = b""
        self._on_packet: Callable[[bytes], None] | None = None
        self._links: dict[str, PeerLink] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._recent = Recent()
        self._waiting: deque[bytes] = deque(maxlen=LINK_PACKETS_MAX)
        self._copies = SeenIds(COPY_WINDOW_MS, COPIES_KNOWN_MAX)
        self._telling: asyncio.TimerHandle | None = None
        self.idle = asyncio.Event()
        """Set while every link is in use."""
        self.idle.set()
        self.received = 0
        self._sent_before = 0
        self._dropped_before = 0

    def open(self, token: bytes, on_packet: Callable[[bytes], None]) -> None:
        """From now on links may be taken; `token` names the room in every frame."""
        self._token, self._on_packet = token, on_packet

    def is_linked(self, peer_id: str) -> bool:
        """Whether there is a link to this peer, in use or about to be."""
        return peer_id in self._links

    def count(self) -> int:
        """How many links there are, in use or about to be."""
        return len(self._links)

    def up(self) -> list[PeerLink]:
        """Links in use."""
        return [link for link in self._links.values() if link.is_up]

    def take(self, peer_id: str, connection: PeerConnection) -> None:
        """A new link over an open channel."""
        link = PeerLink(peer_id, connection, self._token, self._take_packet)
        self._links[peer_id] = link
        self.idle.clear()
        for work in (self._run(link), self._welcome(link)):
            task = asyncio.create_task(work)
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    def make_room(self) -> None:
        """End a link that is not among the oldest half."""
        young = list(self._links.values())[len(self._links) // KEPT_SHARE :]
        if young:
            random.choice(young).close("it made room for somebody who found none")  # noqa: S311

    def publish(self, wire: bytes) -> None:
        """Queue a packet of our own for every link."""
        self._recent.add(wire)
        self._is_copy(wire)
        links = self.up()
        if not links:
            self._waiting.append(wire)
        for link in links:
            link.queue.put(queued(HOPS_MAX, wire))

    @property
    def sent(self) -> int:
        """Packets written, on all links together; repetitions for newcomers left out."""
        return self._sent_before + sum(link.sent for link in self._links.values())

    @property
    def dropped(self) -> int:
        """Packets that found no room, and frames that were nothing."""
        return self._dropped_before + sum(link.dropped for link in self._links.values())

    async def close(self, flush_seconds: float) -> None:
        """Give what is queued so long, say goodbye, end all links."""
        self._on_packet = None
        links = self.up()
        await asyncio.gather(*(link.flush(flush_seconds) for link in links))
        for link in links:
            link.leave()
        if self._telling is not None:
            self._telling.cancel()
        for link in list(self._links.values()):
            link.close("stopped")
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _run(self, link: PeerLink) -> None:
        try:
            await link.run()
        finally:
            if self._links.get(link.peer_id) is link:
                del self._links[link.peer_id]
            self._sent_before += link.sent
            self._dropped_before += link.dropped
            link.ready.set()
            if self._on_packet is not None:
                self._tell_soon()
                self._on_lost()

    async def _welcome(self, link: PeerLink) -> None:
        """Once the peer is ready: what waited, what it may have missed, and everybody's announcements."""
        await link.ready.wait()
        if all(one.is_up for one in self._links.values()):
            self.idle.set()
        if not link.is_up:
            return
        waited = set(self._waiting)
        while self._waiting:
            link.queue.put(queued(HOPS_MAX, self._waiting.popleft()))
        for wire in self._recent.again():
            if wire not in waited:
                link.queue.put(queued(HOPS_MAX, wire, is_repeated=True))
        for other in self.up():
            if other is not link:
                for frame in other.announcements.all():
                    link.queue.put(frame)
        self._tell_soon()

    def _take_packet(self, link: PeerLink, hops: int, wire: bytes) -> bool:
        """A packet of a link: ours to hear and to pass on, unless it went through a moment ago."""
        if not hops or not link.is_up:
            return False
        if self._is_copy(wire):
            return True
        head = head_of(wire)
        if head is None:
            return False
        if hops > 1:
            if head.kind == Kind.ANNOUNCEMENT:
                link.announcements.remember(head.pubkey, queued(hops - 1, wire, is_repeated=True))
            self._pass_on(link, queued(hops - 1, wire))
        if self._on_packet is not None:
            self.received += 1
            self._on_packet(wire)
        return True

    def _pass_on(self, link: PeerLink, frame: bytes) -> None:
        """To those who are not linked to where it came from, as far as they or it say so."""
        for other in self.up():
            knows = link.peer_id in other.neighbours or other.peer_id in link.neighbours
            if other is not link and not knows:
                other.queue.put(frame)

    def _tell_soon(self) -> None:
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(TELL_SECONDS, self._tell)

    def _tell(self) -> None:
        self._telling = None
        links = self.up()
        for link in links:
            link.tell_neighbours([other.peer_id for other in links if other is not link])

    def _is_copy(self, wire: bytes) -> bool:
        """Whether the same bytes went through a moment ago; a forged copy differs, and shadows nothing."""
        digest = hashlib.sha256(wire).digest()
        return not self._copies.add(digest, int(time.monotonic() * 1000))
