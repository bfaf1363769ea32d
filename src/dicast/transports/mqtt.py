"""Packets over an MQTT broker."""

from __future__ import annotations

import asyncio
import math
import time

import aiomqtt

from dicast.transports.mqtt_client import BoundedClient, Broker, connected, others_only
from dicast.transports.queued import QueuedTransport, first_to_end

SETUP_SECONDS_MAX = 10.0  # from the first byte to the subscription
HELLO = "hello"


class MqttTransport(QueuedTransport):
    """One broker; for several, several transports. Nothing is kept at the broker (QoS 0, not retained).

    Who else is there a broker does not tell.
    """

    failures = (aiomqtt.MqttError, OSError, ValueError, TimeoutError)

    def __init__(self, broker: Broker, name: str = "mqtt") -> None:
        super().__init__(name, broker.url)
        self._broker = broker

    async def _converse(self, topic: str) -> None:
        packets, hello = (f"dicast/{topic}/{part}" for part in ("packet", HELLO))
        async with connected(self._broker) as client:
            async with asyncio.timeout(SETUP_SECONDS_MAX):
                began = time.monotonic()
                await client.subscribe([(one, others_only()) for one in (packets, hello)])
                self._round_trip_ms = max(1, round((time.monotonic() - began) * 1000))
                await client.publish(hello)
            self.payload_bytes_max = client.payload_bytes_max

            async def write(wire: bytes) -> None:
                await client.publish(packets, wire, timeout=math.inf)

            with self._standing():
                await first_to_end(self._read(client), self._write_queue(write))

    async def _read(self, client: BoundedClient) -> None:
        async for message in client.messages:
            if str(message.topic).endswith(HELLO):
                self._greeter.somebody_came()
            else:
                self._take(message.payload)
