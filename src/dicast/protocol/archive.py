"""The certificates a node keeps: the newest few thousand, in a ring of slots."""

from __future__ import annotations

from dicast.base.limits import CERTIFICATES_KEPT_MAX
from dicast.base.types import RequestId
from dicast.protocol.context import Tables
from dicast.protocol.effects import Effects
from dicast.protocol.records import Table

_COUNT = "certificates"


class Archive:
    """The newest `CERTIFICATES_KEPT_MAX` certificates; a new one forgets the one that lay in its slot."""

    def __init__(self, tables: Tables) -> None:
        self._count = int(tables.get(Table.COUNTER, {}).get(_COUNT, b"0"))
        slots = tables.get(Table.CERTIFICATE_SLOT, {})
        self._slots = {int(slot): request_id.decode() for slot, request_id in sorted(slots.items())}

    def add(self, request_id: RequestId, certificate: bytes, effects: Effects) -> None:
        """Keep a certificate; a round certified again after a restart takes no second slot."""
        effects.put(Table.CERTIFICATE, request_id, certificate)
        if self._slots.get((self._count - 1) % CERTIFICATES_KEPT_MAX) == request_id:
            return
        slot = self._count % CERTIFICATES_KEPT_MAX
        forgotten = self._slots.get(slot)
        if forgotten is not None:
            effects.delete(Table.CERTIFICATE, forgotten)
        self._slots[slot] = request_id
        self._count += 1
        effects.put(Table.CERTIFICATE_SLOT, str(slot), request_id.encode())
        effects.put(Table.COUNTER, _COUNT, str(self._count).encode())
