"""What one relay has yet to get from us: bounded, oldest dropped first, unconfirmed sent again."""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum

OUTBOX_PACKETS_MAX = 1024  # half a minute of a busy node; what is older is stale by the time a relay is back
OUTBOX_BYTES_MAX = 4 << 20  # 64 packets of the largest size, or thousands of the usual


class Obstacle(Enum):
    """Why nothing is published just now."""

    UNHEARD = "the relay has not said a word yet: perhaps it asks for our key first"
    UNKNOWN = "it wants to know our key, and the subscription does not stand yet"
    PAUSE = "it wants less of us"


class Outbox:
    """Packets by event id: first waiting, then sent and not yet confirmed, then forgotten."""

    def __init__(self, packets_max: int = OUTBOX_PACKETS_MAX, bytes_max: int = OUTBOX_BYTES_MAX) -> None:
        self._packets_max = packets_max
        self._bytes_max = bytes_max
        self._waiting: OrderedDict[str, bytes] = OrderedDict()
        self._sent: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self.dropped = 0

    def put(self, event_id: str, frame: bytes) -> None:
        """Queue a frame; the oldest make room for it. A packet already there keeps its place."""
        if event_id in self._waiting:
            return
        self._forget(self._sent, event_id)
        self._waiting[event_id] = frame
        self._bytes += len(frame)
        while self._is_over():
            self._drop_oldest()

    def take(self) -> bytes | None:
        """The next frame to send; it counts as sent from here."""
        if not self._waiting:
            return None
        event_id, frame = self._waiting.popitem(last=False)
        self._sent[event_id] = frame
        return frame

    def confirm(self, event_id: str) -> None:
        """The relay has it, or will never take it."""
        self._forget(self._sent, event_id)

    def drop_larger(self, bytes_max: int) -> int:
        """The relay takes no frame larger than that; how many were dropped."""
        count = 0
        for packets in (self._waiting, self._sent):
            for event_id in [name for name, frame in packets.items() if len(frame) > bytes_max]:
                self._forget(packets, event_id)
                count += 1
        return count

    def send_again(self, event_id: str) -> None:
        """The relay refused it for now: it goes to the front."""
        frame = self._sent.pop(event_id, None)
        if frame is not None:
            self._waiting[event_id] = frame
            self._waiting.move_to_end(event_id, last=False)

    def send_all_again(self) -> None:
        """The connection is gone: whatever was not confirmed goes to the front, in its old order."""
        while self._sent:
            event_id, frame = self._sent.popitem()
            self._waiting[event_id] = frame
            self._waiting.move_to_end(event_id, last=False)

    @property
    def waiting(self) -> int:
        """Packets not yet sent."""
        return len(self._waiting)

    @property
    def unconfirmed(self) -> int:
        """Packets sent and not yet confirmed."""
        return len(self._sent)

    def __len__(self) -> int:
        return len(self._waiting) + len(self._sent)

    @property
    def frame_bytes(self) -> int:
        """Bytes held."""
        return self._bytes

    def _is_over(self) -> bool:
        return len(self) > self._packets_max or (self._bytes > self._bytes_max and len(self) > 1)

    def _drop_oldest(self) -> None:
        """A sent packet has most likely arrived, so those go first and do not count as lost."""
        is_lost = not self._sent
        _, frame = (self._waiting if is_lost else self._sent).popitem(last=False)
        self._bytes -= len(frame)
        self.dropped += is_lost

    def _forget(self, packets: OrderedDict[str, bytes], event_id: str) -> None:
        frame = packets.pop(event_id, None)
        if frame is not None:
            self._bytes -= len(frame)
