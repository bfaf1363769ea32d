"""Looks once a second for what nobody reports by itself: peers that left, counts, transports, downloads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from dicast.daemon.downloads import downloads
from dicast.daemon.lane import Lane
from dicast.daemon.packet_kinds import PacketKinds, growth
from dicast.daemon.tellings import DownloadMoved, PacketsCounted, PeerGone, Telling, TransportChanged
from dicast.protocol.node import Node

LOOK_S = 1.0
"""Often enough for a person who watches; comparing 2,000 peers takes less than a millisecond."""


class Watch:
    """Compares what is with what was, and tells the difference."""

    def __init__(
        self, node: Node, lanes: Sequence[Lane], kinds: PacketKinds, tell: Callable[[Telling], None]
    ) -> None:
        self._node = node
        self._lanes = lanes
        self._kinds = kinds
        self._tell = tell
        self._peers: frozenset[str] = frozenset()
        self._counts = kinds.read()
        self._states: dict[str, str] = {}
        self._downloads: dict[str, DownloadMoved] = {}

    async def follow(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        """Tell what changed since the last look."""
        peers = frozenset(peer.node_id for peer in self._node.peers())
        for node_id in sorted(self._peers - peers):
            self._tell(PeerGone(node_id))
        self._peers = peers
        counts = self._kinds.read()
        if grown := growth(self._counts, counts):
            self._tell(PacketsCounted(grown))
        self._counts = counts
        for lane in self._lanes:
            self._look_at(lane)
        for moved in downloads():
            if self._downloads.setdefault(moved.name, moved) != moved:
                self._downloads[moved.name] = moved
                self._tell(moved)

    def _look_at(self, lane: Lane) -> None:
        health = lane.health()
        name = lane.transport.name
        if self._states.get(name) != health.state:
            self._states[name] = health.state
            self._tell(TransportChanged(name, health.state, health.detail))
