"""BitTorrent's hash table finds the nodes of a topic (BEP 5); links of the WebSocket mesh carry the packets.

libtorrent has no messages of one's own, so the table is for finding and not for carrying.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from dicast.base.errors import LocalProtocolError
from dicast.base.hashing import tagged
from dicast.base.limits import PACKET_BYTES_MAX
from dicast.ports import TransportHealth
from dicast.torrent_session import Alert, TorrentSession
from dicast.transports.background import end_tasks, start_task
from dicast.transports.bittorrent_finder import BittorrentFinder
from dicast.transports.websocket import MeshSettings, Pages, WebSocketTransport
from dicast.transports.websocket_link import LINK_PACKETS_MAX

TOPIC_TAG = "dicast/dht/topic/1"
LOOK_SECONDS_FIRST = 0.5  # who starts at the same time is found at the second or third look
LOOK_SECONDS_MAX = 600.0  # the table forgets an announcement after half an hour
LONELY_SECONDS_MAX = 30.0  # between looks while there is no link
SETTLE_SECONDS = 1.0  # after the first look: the table has answered, and a link stands if somebody is there
LINK_SECONDS_MAX = 5.0  # those who were found may be gone; a node is not down because of them
PEERS_MAX = 64  # taken of one answer; the list of the mesh is bounded too


class TopicFinder:
    """Announces this node's mesh under a topic, and suggests to the mesh whoever else did."""

    def __init__(self, session: TorrentSession, mesh: WebSocketTransport) -> None:
        self._session = session
        self._mesh = mesh
        self._infohash = b""
        self.found: set[str] = set()
        """Addresses that the last answers held, at most as many as one answer."""
        self.has_looked = asyncio.Event()

    async def run(self, topic: str) -> None:
        """Announce and look, soon again at first, then now and then; until cancelled."""
        self._infohash = infohash_of(topic)
        self._session.on("dht_get_peers_reply_alert", self._take)
        try:
            await self._session.start()
            await self._session.joined()
            pause = LOOK_SECONDS_FIRST
            while True:
                self._look()
                await asyncio.sleep(min(pause, SETTLE_SECONDS))
                self.has_looked.set()
                lonely = not self._mesh.peers()
                pause = min(2 * pause, LONELY_SECONDS_MAX if lonely else LOOK_SECONDS_MAX)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)
        finally:
            self._session.off(self._take)
            await self._session.stop()

    def _look(self) -> None:
        self._session.nodes()  # so that health knows of late how many there are
        for address in self._mesh.addresses():
            parts = urlsplit(address)
            if parts.scheme == "ws" and parts.port:  # a hash table holds a port, and no names
                self._session.announce(self._infohash, parts.port)
        self._session.get_peers(self._infohash)

    def _take(self, alert: Alert) -> None:
        """Whoever answered may lie: what it says is hearsay."""
        if alert.info_hash.to_bytes() != self._infohash:
            return
        for host, port in alert.peers()[:PEERS_MAX]:
            address = f"ws://[{host}]:{port}" if ":" in host else f"ws://{host}:{port}"
            if address not in self._mesh.addresses():
                if len(self.found) < PEERS_MAX:
                    self.found.add(address)
                self._mesh.suggest(address)


class Companion(Protocol):
    """What lives as long as the transport does, on the same session."""

    async def start(self) -> None:
        """Begin."""
        ...

    async def stop(self) -> None:
        """End; harmless when repeated."""
        ...


class BittorrentTransport:
    """The mesh, among nodes that the table finds."""

    payload_bytes_max = PACKET_BYTES_MAX

    def __init__(
        self,
        session: TorrentSession,
        settings: MeshSettings,
        name: str = "bittorrent",
        pages: Pages | None = None,
    ) -> None:
        self.name = name
        self.session = session
        self.finder = BittorrentFinder(session, name)
        """Records in the same table; started by whoever wants them."""
        self.companion: Companion | None = None
        self._mesh = WebSocketTransport(settings, name, pages)
        self._topic_finder = TopicFinder(session, self._mesh)
        self._waiting: deque[bytes] = deque(maxlen=LINK_PACKETS_MAX)
        self._tasks: list[asyncio.Task[None]] = []
        self._state = "new"
        self._sent = 0

    async def start(self, topic: str, on_packet: Callable[[bytes], None]) -> None:
        """Begin to listen and to look; returns at once."""
        if self._state != "new":
            return
        self._state = "joining"
        await self._mesh.start(topic, on_packet)
        if self.companion is not None:
            await self.companion.start()
        self._tasks = [
            start_task(self._topic_finder.run(topic), "bittorrent finder"),
            asyncio.create_task(self._settle(), name="bittorrent settling"),
        ]

    def publish(self, wire: bytes) -> None:
        """Queue one packet; kept while the first look is under way, then for every link."""
        if len(wire) > PACKET_BYTES_MAX:
            raise LocalProtocolError("not_a_packet", "Only packets of at most 64 KiB can be published.")
        if self._state in ("new", "joining"):
            self._waiting.append(wire)
        elif self._state == "running":
            self._sent += 1
            self._mesh.publish(wire)

    def peers(self) -> Sequence[str]:
        """Addresses of the links."""
        return self._mesh.peers()

    def addresses(self) -> Sequence[str]:
        """Where others reach the mesh."""
        return self._mesh.addresses()

    def suggest(self, address: str) -> None:
        """Somebody may be there."""
        self._mesh.suggest(address)

    def health(self) -> TransportHealth:
        """As the mesh does, once the first look is over."""
        mesh = self._mesh.health()
        names = {"new": "starting", "joining": "starting", "stopped": "down"}
        known = self.session.nodes()
        detail = f"{mesh.detail}; {known} nodes of the table; {len(self._topic_finder.found)} found"
        state = names.get(self._state) or ("degraded" if mesh.state == "down" else "up")
        return msgspec.structs.replace(mesh, state=state, detail=detail, sent=self._sent)

    async def stop(self) -> None:
        """Flush for at most a second, then leave the table and close the links."""
        self._state = "stopped"
        await self._mesh.stop()
        if self.companion is not None:
            await self.companion.stop()
        tasks, self._tasks = self._tasks, []
        await end_tasks(*tasks)

    async def _settle(self) -> None:
        """Until the first look is over, and somebody who was found is linked, or nobody answers."""
        await self._topic_finder.has_looked.wait()
        end = time.monotonic() + LINK_SECONDS_MAX
        while self._topic_finder.found and not self._mesh.peers() and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        self._state = "running"
        while self._waiting:
            self.publish(self._waiting.popleft())


def infohash_of(topic: str) -> bytes:
    """Where a topic is in the table: 20 bytes that tell nothing of it."""
    return tagged(TOPIC_TAG, bytes.fromhex(topic))[:20]
