"""The way in from threads that are not ours: bounded, one wake-up of the loop for many packets."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable

from dicast.base.limits import PACKET_BYTES_MAX

INLET_PACKETS_MAX = 4096  # as many as the node keeps waiting itself
INLET_BYTES_MAX = 16 << 20  # a flood of large packets is dropped before it fills memory
PACKETS_A_TURN = 64  # handed over before the loop does anything else


class Inlet:
    """`put` comes from any thread; `on_packet` is called on the loop, never after `close`."""

    def __init__(self, on_packet: Callable[[bytes], None]) -> None:
        self._on_packet = on_packet
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._packets: deque[bytes] = deque()
        self._bytes = 0
        self._is_scheduled = False
        self._is_closed = False
        self.received = 0
        self.dropped = 0

    def put(self, wire: bytes) -> None:
        """Queue one packet for the loop; dropped where there is no room or it is too large."""
        with self._lock:
            is_full = len(self._packets) >= INLET_PACKETS_MAX or self._bytes + len(wire) > INLET_BYTES_MAX
            if self._is_closed or is_full or len(wire) > PACKET_BYTES_MAX:
                self.dropped += 1
                return
            self._packets.append(wire)
            self._bytes += len(wire)
            if self._is_scheduled:
                return
            self._is_scheduled = True
        self._schedule()

    def close(self) -> None:
        """Hand over nothing more."""
        with self._lock:
            self._is_closed = True
            self._packets.clear()
            self._bytes = 0

    def _schedule(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._drain)
        except RuntimeError:  # the loop has ended
            self.close()

    def _drain(self) -> None:
        with self._lock:
            count = min(PACKETS_A_TURN, len(self._packets))
            packets = [self._packets.popleft() for _ in range(count)]
            self._bytes -= sum(map(len, packets))
            self._is_scheduled = bool(self._packets)
            has_more = self._is_scheduled
        if has_more:
            self._loop.call_soon(self._drain)
        for wire in packets:
            self.received += 1
            self._on_packet(wire)
