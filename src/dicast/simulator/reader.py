"""A reader that parses, decodes and verifies every wire once in a world, however many nodes receive it."""

from __future__ import annotations

from dicast.base.errors import RemoteProtocolError
from dicast.protocol.envelope import Packet, PacketReader
from dicast.protocol.messages import Body
from dicast.protocol.network import NetworkSecret


class RememberingReader(PacketReader):
    """Shared by the nodes of one world; forgotten with it. What it answers never depends on who asks."""

    def __init__(self, secret: NetworkSecret | None = None) -> None:
        super().__init__(secret)
        self._packets: dict[bytes, Packet | RemoteProtocolError] = {}
        self._signed: dict[bytes, bool] = {}
        self._bodies: dict[bytes, Body | RemoteProtocolError] = {}

    def parse(self, wire: bytes) -> Packet:
        """The packet in `wire`, parsed the first time only."""
        found = self._packets.get(wire)
        if found is None:
            try:
                found = super().parse(wire)
            except RemoteProtocolError as error:
                found = error
            self._packets[wire] = found
        if isinstance(found, RemoteProtocolError):
            raise RemoteProtocolError(found.code, found.message)
        return found

    def is_signed(self, packet: Packet) -> bool:
        """Whether the signature holds, checked the first time only."""
        found = self._signed.get(packet.wire)
        if found is None:
            found = self._signed[packet.wire] = super().is_signed(packet)
        return found

    def body(self, packet: Packet) -> Body:
        """The content, decoded the first time only."""
        found = self._bodies.get(packet.wire)
        if found is None:
            try:
                found = super().body(packet)
            except RemoteProtocolError as error:
                found = error
            self._bodies[packet.wire] = found
        if isinstance(found, RemoteProtocolError):
            raise RemoteProtocolError(found.code, found.message)
        return found
