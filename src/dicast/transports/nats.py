"""Packets over a NATS server."""

from __future__ import annotations

import asyncio

from dicast.base.limits import PACKET_BYTES_MAX
from dicast.transports.nats_client import NatsClient, NatsServer
from dicast.transports.queued import QueuedTransport, first_to_end
from dicast.transports.websocket_link import Pace

PACKET, HELLO = 1, 2  # subscriptions


class NatsTransport(QueuedTransport):
    """One server of a cluster, or a server alone. Nothing is kept there."""

    def __init__(self, server: NatsServer, name: str = "nats") -> None:
        super().__init__(name, server.url)
        self._server = server

    async def _converse(self, topic: str) -> None:
        client = NatsClient(self._server)
        try:
            await client.open()
            await client.subscribe(f"dicast.{topic}.packet", PACKET)
            await client.subscribe(f"dicast.{topic}.hello", HELLO)
            await client.publish(f"dicast.{topic}.hello")
            self.payload_bytes_max = min(PACKET_BYTES_MAX, client.greeting.max_payload)
            self._round_trip_ms = client.round_trip_ms
            with self._standing():
                await first_to_end(
                    self._read(client),
                    self._write_queue(lambda wire: client.publish(f"dicast.{topic}.packet", wire)),
                    client.heartbeat(),
                )
        finally:
            await client.close()

    async def _read(self, client: NatsClient) -> None:
        pace = Pace()
        async for delivered in client.deliveries():
            if delivered.payload is None:
                self._refused += 1
            elif delivered.subscription == HELLO:
                self._greeter.somebody_came()
            elif delivered.subscription == PACKET:
                self._take(delivered.payload)
            self._round_trip_ms = client.round_trip_ms
            await asyncio.sleep(pace.pause_seconds(len(delivered.payload or b"")))
