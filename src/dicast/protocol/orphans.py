"""Packets that came before the one they follow; bounded by bytes, oldest dropped, never trusted."""

from __future__ import annotations

from collections import OrderedDict

from dicast.base.limits import PACKET_BYTES_MAX

ORPHAN_BYTES_MAX = 64 * PACKET_BYTES_MAX
"""4 MiB: a burst of a full round's commits and a few dozen reveals; what is dropped is repeated anyway."""


class Orphans:
    """Wires by the predecessor they wait for. Unverified: they are screened like any other when it comes."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, dict[bytes, str]] = OrderedDict()
        self._bytes = 0

    def add(self, predecessor: str, wire: bytes, carrier: str) -> None:
        """Keep a wire until its predecessor comes; a copy is kept once."""
        wires = self._waiting.setdefault(predecessor, {})
        if wire in wires:
            return
        wires[wire] = carrier
        self._bytes += len(wire)
        while self._bytes > ORPHAN_BYTES_MAX:
            _, dropped = self._waiting.popitem(last=False)
            self._bytes -= sum(map(len, dropped))

    def take(self, predecessor: str) -> list[tuple[bytes, str]]:
        """Everything that waited for a packet, in the order it came."""
        wires = self._waiting.pop(predecessor, {})
        self._bytes -= sum(map(len, wires))
        return list(wires.items())

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))
