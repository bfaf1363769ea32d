"""A mesh of WebRTC data channels, which reach through most NATs; who meets where, signalling says."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from dicast.base.errors import LocalProtocolError
from dicast.base.limits import PACKET_BYTES_MAX
from dicast.ports import TransportHealth
from dicast.transports.background import end_tasks
from dicast.transports.newcomers import SETTLE_SECONDS
from dicast.transports.signalling import Signaller
from dicast.transports.trystero import Room
from dicast.transports.webrtc_connection import IceSettings
from dicast.transports.webrtc_introductions import Introductions, Limits
from dicast.transports.webrtc_link import LINK_PACKETS_MAX, PeerLink
from dicast.transports.webrtc_mesh import Mesh

FLUSH_SECONDS_MAX = 1.0  # what `stop` gives to packets on their way
SETTLE_SECONDS_MAX = 8.0  # for connections to those who were there before us
LINKS_MAX = 16  # each costs what it carries once more; Python's SCTP carries 10 MB/s in all
LINKS_WANTED_MIN = 3  # a mesh of fewer falls apart
LINKS_SHOWN_MAX = 8  # in the line for people


class WebRtcSettings(msgspec.Struct, frozen=True):
    """How addresses are found, and how many links there may be; half of them are sought."""

    ice: IceSettings = IceSettings()
    links_max: int = LINKS_MAX


class WebRtcTransport:
    """A node of the mesh; pages that use trystero are peers like others, but pass nothing on."""

    payload_bytes_max = PACKET_BYTES_MAX

    def __init__(
        self, settings: WebRtcSettings, signallers: Sequence[Signaller], name: str = "webrtc"
    ) -> None:
        self.name = name
        self._signallers = signallers
        self._mesh = Mesh(self._lost_a_link)
        limits = Limits(max(LINKS_WANTED_MIN, settings.links_max // 2), settings.links_max)
        self._introductions = Introductions(settings.ice, signallers, self._mesh, limits)
        self._waiting: deque[bytes] = deque(maxlen=LINK_PACKETS_MAX)
        self._settling: asyncio.Task[None] | None = None
        self._state = "new"
        self._is_settled = False

    async def start(self, topic: str, on_packet: Callable[[bytes], None]) -> None:
        """Begin to meet others; returns at once."""
        if self._state != "new":
            return
        self._state = "running"
        room = Room(topic)
        self._mesh.open(room.token, on_packet)
        self._introductions.start(room)
        self._settling = asyncio.create_task(self._settle())
        while self._waiting:
            self._mesh.publish(self._waiting.popleft())

    def publish(self, wire: bytes) -> None:
        """Queue one packet for every link; never blocks. Without a link it waits for the first."""
        if len(wire) > PACKET_BYTES_MAX:
            raise LocalProtocolError("not_a_packet", "Only packets of at most 64 KiB can be published.")
        if self._state == "new":
            self._waiting.append(wire)
        elif self._state == "running":
            self._mesh.publish(wire)

    def peers(self) -> Sequence[str]:
        """Ids of the nodes and pages that are linked."""
        return [link.peer_id for link in self._mesh.up()]

    def health(self) -> TransportHealth:
        """How many links stand, whether they are direct or relayed, and what is wrong with the signalling."""
        links = self._mesh.up()
        told = [f"{link.peer_id[:8]} {link.connection.route()}" for link in links[:LINKS_SHOWN_MAX]]
        problems = [f"{one.url}: {one.problem}" for one in self._signallers if one.problem]
        if self._introductions.problem and self._state == "running":
            problems.append(self._introductions.problem)
        round_trips = [link.round_trip_ms for link in links if link.round_trip_ms is not None]
        return TransportHealth(
            state=self._state_now(links),
            detail="; ".join([_counted(links) + (f" ({', '.join(told)})" if told else ""), *problems]),
            sent=self._mesh.sent,
            received=self._mesh.received,
            dropped=self._mesh.dropped,
            round_trip_ms=min(round_trips, default=None),
        )

    async def stop(self) -> None:
        """Give packets on their way a second, then leave."""
        was_running, self._state = self._state == "running", "stopped"
        if not was_running:
            return
        await end_tasks(self._settling)
        await self._mesh.close(FLUSH_SECONDS_MAX)
        await self._introductions.stop()

    def _state_now(self, links: list[PeerLink]) -> str:
        if self._state != "running":
            return "starting" if self._state == "new" else "down"
        up = sum(one.is_up for one in self._signallers)
        if not up and not links:
            return "down" if any(one.problem for one in self._signallers) else "starting"
        if not self._is_settled:
            return "starting"
        return "up" if up == len(self._signallers) else "degraded"

    async def _settle(self) -> None:
        """Until those who are there have answered: whoever asks knows whom to ask."""
        await self._introductions.called.wait()
        try:
            async with asyncio.timeout(SETTLE_SECONDS_MAX):
                await asyncio.sleep(SETTLE_SECONDS)
                for idle in (self._introductions.idle, self._mesh.idle):
                    await idle.wait()
        except TimeoutError:
            pass
        self._is_settled = True

    def _lost_a_link(self) -> None:
        self._introductions.look_again()


def _counted(links: list[PeerLink]) -> str:
    relayed = sum(link.connection.route() == "relayed" for link in links)
    return f"{len(links)} links, {len(links) - relayed} direct, {relayed} relayed"
