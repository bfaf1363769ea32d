"""The log says when a transport is down and when it is back, once each."""

from __future__ import annotations

import io

from dicast.daemon.health_log import HealthLog
from dicast.daemon.lane import Lane
from dicast.daemon.logs import Log
from dicast.ports import TransportHealth
from dicast.transports.memory import MemoryHub


class Ailing:
    """A transport whose health a test sets."""

    name = "ailing"
    payload_bytes_max = 1
    state = "starting"

    async def start(self, topic, on_packet) -> None: ...

    def publish(self, wire: bytes) -> None: ...

    def peers(self) -> list[str]:
        return []

    def health(self) -> TransportHealth:
        return TransportHealth(self.state, f"the relay is {self.state}")

    async def stop(self) -> None: ...


def lines_of(states: list[str]) -> list[str]:
    transport, stream = Ailing(), io.StringIO()
    log = HealthLog([Lane(transport)], Log("info", stream=stream))
    for state in states:
        transport.state = state
        log.look()
    return [" ".join(line.split()[1:3]) for line in stream.getvalue().splitlines()]


def test_a_state_that_lasts_is_said_once() -> None:
    assert lines_of(["starting", "up", "up", "up"]) == []
    assert lines_of(["down", "down", "down", "down"]) == ["warning transport_down"]
    assert lines_of(["up", "down", "up", "degraded", "up", "up"]) == []
    assert lines_of(["degraded", "degraded", "down", "down", "up", "up", "up"]) == [
        "warning transport_degraded",
        "warning transport_down",
        "info transport_up",
    ]


def test_a_transport_that_does_not_start_is_said_with_its_reason() -> None:
    lane, stream = Lane(MemoryHub().transport()), io.StringIO()
    lane.start_problem = "it does not start: no broker"
    log = HealthLog([lane], Log("info", stream=stream))
    log.look()
    log.look()
    assert "transport_down" in stream.getvalue()
    assert "no broker" in stream.getvalue()
    assert "dicast doctor" in stream.getvalue()
