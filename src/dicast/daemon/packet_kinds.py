"""How many packets of each kind went over each transport, read off their bytes without parsing them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dicast.protocol.messages import Kind

KIND_NAMES = {str(kind.value).encode(): kind.name.lower() for kind in Kind} | {
    str(Kind.STATUS.value).encode(): "status"
}
OTHER = "other"
"""What is no kind of ours: anybody may send anything."""
_KIND = re.compile(rb'"kind": ?([0-9]{1,5})[,}]')
"""Inside the content every quotation mark has a backslash before it, so this finds the event's own field."""

Counts = dict[str, dict[str, tuple[int, int]]]


class PacketKinds:
    """Counts since the node started: transport -> kind -> (received, sent)."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, list[int]]] = {}

    def received(self, wire: bytes, carrier: str) -> None:
        """A packet came in."""
        self._of(carrier, kind_of(wire))[0] += 1

    def sent(self, wire: bytes, carriers: Iterable[str]) -> None:
        """A packet went out over all of these."""
        kind = kind_of(wire)
        for carrier in carriers:
            self._of(carrier, kind)[1] += 1

    def read(self) -> Counts:
        """The counts so far."""
        return {
            carrier: {kind: (both[0], both[1]) for kind, both in sorted(kinds.items())}
            for carrier, kinds in sorted(self._counts.items())
        }

    def _of(self, carrier: str, kind: str) -> list[int]:
        return self._counts.setdefault(carrier, {}).setdefault(kind, [0, 0])


def kind_of(wire: bytes) -> str:
    """The name of a packet's kind; `other` for what is none of ours."""
    found = _KIND.search(wire)
    return OTHER if found is None else KIND_NAMES.get(found.group(1), OTHER)


def growth(before: Counts, now: Counts) -> Counts:
    """What was counted between two readings; what stood still is left out."""
    grown: Counts = {}
    for carrier, kinds in now.items():
        for kind, (received, sent) in kinds.items():
            old = before.get(carrier, {}).get(kind, (0, 0))
            if (received, sent) != old:
                grown.setdefault(carrier, {})[kind] = (received - old[0], sent - old[1])
    return grown
