"""One network among others: its own line of packets, its own counts, and what keeps it out of others' way."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from time import perf_counter

import msgspec

from dicast.daemon.arrivals import Arrival, Lag, Lags
from dicast.ports import Transport, TransportHealth

PACKETS_WAITING_MAX = 1024
"""Half a minute of a busy node; what is older is stale."""
PACKET_BYTES_WAITING_MAX = 4 << 20
"""64 packets of the largest size, or thousands of the usual."""
PACKETS_A_TURN = 32
"""Handed to one transport before another gets its turn: less than a millisecond where `publish` queues."""
BLOCKED_S = 0.25
"""`publish` queues and returns; a busy machine may stop any call for a tenth of a second, not for this."""
REST_TIMES = 20
"""A transport whose `publish` blocked rests so many times as long: it costs the node a twentieth at most."""
REST_S_MAX = 60.0


class LaneCounts(msgspec.Struct):
    """What went over one transport: `first` packets came by it before any other, `copies` after."""

    published: int = 0
    oversized: int = 0
    dropped: int = 0
    failed: int = 0
    first: int = 0
    copies: int = 0


class Lane:
    """Hands packets to one transport, on the loop's next turn; one that breaks its contract harms itself."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.counts = LaneCounts()
        self.start_problem = ""
        """Why it has not started; empty once it has."""
        self._fault = ""
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._next: asyncio.Handle | None = None
        self._lags = Lags()

    @property
    def problem(self) -> str:
        """What is wrong with it that it does not know of; empty once it works."""
        return self.start_problem or self._fault

    def put(self, wire: bytes) -> None:
        """Queue a packet; the oldest make room for it. Never waits, never raises."""
        self._waiting.append(wire)
        self._bytes += len(wire)
        while len(self._waiting) > PACKETS_WAITING_MAX or self._bytes > PACKET_BYTES_WAITING_MAX:
            self._bytes -= len(self._waiting.popleft())
            self.counts.dropped += 1
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._hand_over)

    def flush(self) -> None:
        """Hand over all that waits, unless the transport rests."""
        if self._next is not None and not isinstance(self._next, asyncio.TimerHandle):
            while self._waiting:
                self._publish(self._take())
        self.close()

    def close(self) -> None:
        """Forget what waits."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._waiting.clear()
        self._bytes = 0

    def arrived(self, arrival: Arrival) -> None:
        """A packet came over it."""
        if arrival.lag_ms == 0 and arrival.is_new:
            self.counts.first += 1
        else:
            self.counts.copies += 1
        if arrival.lag_ms is not None:
            self._lags.add(arrival.lag_ms)

    def lag(self) -> Lag | None:
        """How far behind the first copies its packets come."""
        return self._lags.read()

    def health(self) -> TransportHealth:
        """The transport's own word, unless it has a problem that it does not know of."""
        try:
            health = self.transport.health()
        except Exception as error:
            return TransportHealth("down", _bug("health", error))
        if self.problem:
            return msgspec.structs.replace(health, state="down", detail=self.problem)
        return health

    def peers(self) -> Sequence[str]:
        """Addresses it is connected to."""
        try:
            return tuple(self.transport.peers())
        except Exception as error:
            self._fault = _bug("peers", error)
            return ()

    def _hand_over(self) -> None:
        self._next = None
        loop = asyncio.get_running_loop()
        for _ in range(min(PACKETS_A_TURN, len(self._waiting))):
            began = perf_counter()
            self._publish(self._take())
            took = perf_counter() - began
            if took > BLOCKED_S:
                rest = min(REST_TIMES * took, REST_S_MAX)
                self._fault = f"publishing blocked the node for {took:.1f} s: it rests for {rest:.0f} s"
                self._next = loop.call_later(rest, self._hand_over)
                return
        if self._waiting:
            self._next = loop.call_soon(self._hand_over)

    def _take(self) -> bytes:
        wire = self._waiting.popleft()
        self._bytes -= len(wire)
        return wire

    def _publish(self, wire: bytes) -> None:
        """Hand it one packet, unless that is over its limit."""
        try:
            if len(wire) > self.transport.payload_bytes_max:
                self.counts.oversized += 1
                return
            self.transport.publish(wire)
        except Exception as error:
            self._fault = _bug("publish", error)
            self.counts.failed += 1
        else:
            self.counts.published += 1
            self._fault = ""


def _bug(call: str, error: Exception) -> str:
    return f"{call} failed: {error!r}"[:200]
