"""Only what proves itself: two signed packets of one key that contradict each other."""

from __future__ import annotations

from dicast.base.errors import RemoteProtocolError
from dicast.base.limits import PACKET_BYTES_MAX
from dicast.base.types import NodeId
from dicast.protocol.envelope import Packet, PacketReader
from dicast.protocol.messages import Evidence, Kind, Refusal
from dicast.protocol.round import Conflict

ENVELOPE_BYTES = 2_048
"""Room for the event around two quoted packets."""

EXCLUSIVE = frozenset({Kind.PANEL, Kind.COMMIT, Kind.QUORUM, Kind.REVEAL, Kind.CLOSE, Kind.SIGNATURE})
"""Kinds of which a key may sign one for each predecessor."""


def evidence_of(conflict: Conflict) -> Evidence | None:
    """The message that proves a conflict; None when two packets are too large to quote."""
    first, second = sorted((conflict.first, conflict.second), key=lambda packet: packet.id)
    wires = (first.wire.decode(), second.wire.decode())
    # Quotation marks and backslashes are escaped twice inside: measure the escaped length.
    quoted = sum(len(wire.encode()) + 3 * wire.count("\\") + 2 * wire.count('"') for wire in wires)
    if quoted + ENVELOPE_BYTES > PACKET_BYTES_MAX:
        return None
    return Evidence(v=1, packets=wires)


def accused_by(evidence: Evidence, topic: str, reader: PacketReader) -> NodeId:
    """Whom the evidence convicts; raises `RemoteProtocolError`, code `body`, when it convicts nobody."""
    first, second = (_checked(wire, topic, reader) for wire in evidence.packets)
    same = first.author == second.author and first.kind == second.kind
    if not same or first.predecessor != second.predecessor or first.id == second.id:
        raise RemoteProtocolError(Refusal.BODY, "The two packets do not contradict each other.")
    if first.kind not in EXCLUSIVE:
        raise RemoteProtocolError(Refusal.BODY, "A key may sign several packets of this kind.")
    return first.author


def _checked(wire: str, topic: str, reader: PacketReader) -> Packet:
    packet = reader.parse(wire.encode())
    if packet.topic != topic or not reader.is_signed(packet):
        raise RemoteProtocolError(Refusal.BODY, "A quoted packet is not signed or of another network.")
    reader.body(packet)
    return packet
