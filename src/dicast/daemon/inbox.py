"""Packets that the node has not looked at yet: each network waits in a line of its own, served in turn."""

from __future__ import annotations

from collections import deque

from dicast.protocol.inputs import PacketReceived

PACKETS_WAITING_MAX = 2048
"""Of one network: at the usual 2 kB a burst of 4 MB, looked at within a tenth of a second."""
PACKET_BYTES_WAITING_MAX = 16 * 1024 * 1024
"""Of one network: a flood of large packets is dropped before it fills memory."""


class Line:
    """What came over one network."""

    def __init__(self) -> None:
        self.packets: deque[PacketReceived] = deque()
        self.bytes = 0


class Inbox:
    """Networks take turns, packet by packet, so that a flood over one delays no packet of another."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}
        self._turns: deque[Line] = deque()

    def put(self, wire: bytes, carrier: str) -> bool:
        """Let a packet wait; False when its network has no room."""
        line = self._lines.get(carrier)
        if line is None:
            line = self._lines[carrier] = Line()
        packets = line.packets
        if len(packets) >= PACKETS_WAITING_MAX or line.bytes + len(wire) > PACKET_BYTES_WAITING_MAX:
            return False
        if not packets:
            self._turns.append(line)
        packets.append(PacketReceived(wire, carrier))
        line.bytes += len(wire)
        return True

    def take(self) -> PacketReceived | None:
        """The oldest packet of the network whose turn it is."""
        if not self._turns:
            return None
        line = self._turns.popleft()
        packet = line.packets.popleft()
        line.bytes -= len(packet.wire)
        if line.packets:
            self._turns.append(line)
        return packet

    def __len__(self) -> int:
        return sum(len(line.packets) for line in self._turns)
