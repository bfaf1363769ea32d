"""Many networks as one: every packet goes out over all of them, and comes in once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

from dicast.daemon.arrivals import Arrivals
from dicast.daemon.lane import Lane
from dicast.daemon.logs import Log
from dicast.ports import Transport

START_WAIT_S = 0.5
"""What a transport gets to start before the node goes on without it; starting returns at once by contract."""
RETRY_FIRST_S = 0.5
RETRY_MAX_S = 60.0
"""A transport that cannot start is tried again after half a second, then twice as long, up to a minute."""
STOP_S = 3.0
"""A transport flushes for at most a second; one that hangs must not keep the node from ending."""


class Multiplexer:
    """Starts, feeds and stops the transports; none delays, stops or doubles another."""

    def __init__(
        self, transports: Sequence[Transport], deliver: Callable[[bytes, str], None], log: Log
    ) -> None:
        self.lanes = tuple(Lane(transport) for transport in transports)
        self._deliver = deliver
        self._log = log
        self._arrivals = Arrivals()
        self._starting: list[asyncio.Task[None]] = []

    async def start(self, topic: str) -> None:
        """Start all at once; one that fails is tried again, one that hangs is not waited for."""
        self._starting = [asyncio.create_task(self._start_lane(lane, topic)) for lane in self.lanes]
        if self._starting:
            await asyncio.wait(self._starting, timeout=START_WAIT_S)

    def publish(self, wire: bytes) -> None:
        """Queue a packet for every transport; it is handed over on the loop's next turn."""
        if len(self.lanes) > 1:
            self._arrivals.note_own(wire, _now_ms())
        for lane in self.lanes:
            lane.put(wire)

    async def stop(self) -> None:
        """Hand over what waits, then stop all at once."""
        for task in self._starting:
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        await asyncio.gather(*(self._stop_lane(lane) for lane in self.lanes))

    def _receiver(self, lane: Lane) -> Callable[[bytes], None]:
        carrier = lane.transport.name
        if len(self.lanes) == 1:  # then copies are the transport's to drop
            return lambda wire: self._receive_alone(lane, wire)

        def receive(wire: bytes) -> None:
            arrival = self._arrivals.note(wire, _now_ms())
            lane.arrived(arrival)
            if arrival.is_new:
                self._deliver(wire, carrier)

        return receive

    def _receive_alone(self, lane: Lane, wire: bytes) -> None:
        lane.counts.first += 1
        self._deliver(wire, lane.transport.name)

    async def _start_lane(self, lane: Lane, topic: str) -> None:
        pause = RETRY_FIRST_S
        while True:
            try:
                await lane.transport.start(topic, self._receiver(lane))
            except Exception as error:
                lane.start_problem = f"it does not start: {error}"[:200]
                self._log.warning("transport_start_failed", transport=lane.transport.name, error=repr(error))
            else:
                lane.start_problem = ""
                return
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)
            pause = min(2 * pause, RETRY_MAX_S)

    async def _stop_lane(self, lane: Lane) -> None:
        lane.flush()
        try:
            async with asyncio.timeout(STOP_S):
                await lane.transport.stop()
        except Exception as error:
            self._log.warning("transport_stop_failed", transport=lane.transport.name, error=repr(error))


def _now_ms() -> int:
    return int(asyncio.get_running_loop().time() * 1000)
