"""The transports' in-memory twin: nodes of one process, every packet delivered once and in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from dicast.base.limits import PACKET_BYTES_MAX
from dicast.ports import TransportHealth

WAITING_PACKETS_MAX = 1024  # published before `start`; the same bound as a relay's outbox

OnPacket = Callable[[bytes], None]


class MemoryHub:
    """What the transports of one process share: who listens to which topic."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[tuple[MemoryTransport, OnPacket]]] = {}
        self._transports_made = 0

    def transport(self) -> MemoryTransport:
        """A transport of one more node."""
        self._transports_made += 1
        return MemoryTransport(self, f"memory:{self._transports_made}")

    def join(self, topic: str, transport: MemoryTransport, on_packet: OnPacket) -> None:
        """Hand packets of `topic` to `on_packet` from now on."""
        self._listeners.setdefault(topic, []).append((transport, on_packet))

    def leave(self, transport: MemoryTransport) -> None:
        """Hand it nothing more."""
        for listeners in self._listeners.values():
            listeners[:] = [listener for listener in listeners if listener[0] is not transport]

    def send(self, topic: str, sender: MemoryTransport, wire: bytes) -> None:
        """Deliver to everybody else on the topic, each on a later turn of the loop."""
        loop = asyncio.get_running_loop()
        for transport, on_packet in self._listeners.get(topic, ()):
            if transport is not sender:
                loop.call_soon(transport.deliver, on_packet, wire)

    def others(self, topic: str, transport: MemoryTransport) -> list[str]:
        """Addresses of the other transports on a topic."""
        return [other.address for other, _ in self._listeners.get(topic, ()) if other is not transport]


class MemoryTransport:
    """One node's end of a hub."""

    name = "memory"
    payload_bytes_max = PACKET_BYTES_MAX

    def __init__(self, hub: MemoryHub, address: str) -> None:
        self.address = address
        self._hub = hub
        self._topic: str | None = None
        self._waiting: deque[bytes] = deque(maxlen=WAITING_PACKETS_MAX)
        self._state = "starting"
        self._sent = 0
        self._received = 0
        self._dropped = 0

    async def start(self, topic: str, on_packet: OnPacket) -> None:
        """Join the hub and send what was published before."""
        self._topic = topic
        self._state = "up"
        self._hub.join(topic, self, on_packet)
        while self._waiting:
            self.publish(self._waiting.popleft())

    def publish(self, wire: bytes) -> None:
        """Hand one packet to everybody else; before `start` it waits, after `stop` it is dropped."""
        if self._state == "down":
            self._dropped += 1
        elif self._topic is None:
            self._dropped += len(self._waiting) == WAITING_PACKETS_MAX
            self._waiting.append(wire)
        else:
            self._sent += 1
            self._hub.send(self._topic, self, wire)

    def deliver(self, on_packet: OnPacket, wire: bytes) -> None:
        """Called by the hub; nothing arrives after `stop`."""
        if self._state == "up":
            self._received += 1
            on_packet(wire)

    def peers(self) -> list[str]:
        """The other ends on the same topic."""
        return [] if self._topic is None or self._state == "down" else self._hub.others(self._topic, self)

    def health(self) -> TransportHealth:
        """Always well between `start` and `stop`."""
        return TransportHealth(self._state, "", self._sent, self._received, self._dropped)

    async def stop(self) -> None:
        """Leave the hub; what was published is on its way already."""
        self._state = "down"
        self._hub.leave(self)
