"""Packets over an MQTT broker."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence

import aiomqtt

from dicast.base.errors import LocalProtocolError
from dicast.base.limits import PACKET_BYTES_MAX
from dicast.ports import TransportHealth
from dicast.transports.background import described, end_tasks, start_task
from dicast.transports.backoff import Backoff
from dicast.transports.mqtt_client import BoundedClient, Broker, connected, others_only
from dicast.transports.newcomers import SETTLE_SECONDS, Greeter, Recent, Repeated
from dicast.transports.packet_queue import PacketQueue

FLUSH_SECONDS_MAX = 1.0  # what `stop` gives to packets on their way
WRITE_SECONDS_MAX = 20.0  # a broker that takes nothing for so long is gone
SETUP_SECONDS_MAX = 10.0  # from the first byte to the subscription
HELLO = "hello"


class MqttTransport:
    """One broker; for several, several transports. Nothing is kept at the broker (QoS 0, not retained)."""

    def __init__(self, broker: Broker, name: str = "mqtt") -> None:
        self.name = name
        self.payload_bytes_max = PACKET_BYTES_MAX
        self._broker = broker
        self._queue = PacketQueue()
        self._recent = Recent()
        self._topic = ""
        self._on_packet: Callable[[bytes], None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._greeter = Greeter(self._recent, self._queue.put)
        self._is_connected = False
        self._state = "starting"
        self._problem = ""
        self._sent = 0
        self._received = 0
        self._refused = 0
        self._round_trip_ms: int | None = None

    async def start(self, topic: str, on_packet: Callable[[bytes], None]) -> None:
        """Begin to connect; returns at once."""
        if self._task is not None or self._state == "stopped":
            return
        self._topic = f"dicast/{topic}"
        self._on_packet = on_packet
        self._task = start_task(self._run(), f"mqtt {self._broker.url}")

    def publish(self, wire: bytes) -> None:
        """Queue one packet; never blocks."""
        if len(wire) > PACKET_BYTES_MAX:
            raise LocalProtocolError("not_a_packet", "Only packets of at most 64 KiB can be published.")
        if self._state != "stopped":
            self._recent.add(wire)
            self._queue.put(wire)

    def peers(self) -> Sequence[str]:
        """The broker, while it is connected; who else is there it does not tell."""
        return [self._broker.url] if self._is_connected and self._state != "stopped" else []

    def health(self) -> TransportHealth:
        """Whether the broker is connected, and what is wrong with it."""
        return TransportHealth(
            state="down" if self._state == "stopped" else self._state,
            detail=f"{self._broker.url}: {self._problem}" if self._problem else self._broker.url,
            sent=self._sent,
            received=self._received,
            dropped=self._queue.dropped + self._refused,
            round_trip_ms=self._round_trip_ms if self._is_connected else None,
        )

    async def stop(self) -> None:
        """Give what is queued a second, then disconnect."""
        self._state = "stopped"
        if self._is_connected:
            await self._queue.flush(FLUSH_SECONDS_MAX)
        self._greeter.stop()
        task, self._task = self._task, None
        await end_tasks(task)

    async def _run(self) -> None:
        backoff = Backoff()
        while True:
            try:
                await self._converse(backoff)
            except (aiomqtt.MqttError, OSError, ValueError, TimeoutError) as error:
                self._problem = described(error)
            if self._state != "stopped":
                self._state = "down"
            await asyncio.sleep(backoff.next_seconds())

    async def _converse(self, backoff: Backoff) -> None:
        """One connection from its opening to its end."""
        async with connected(self._broker) as client:
            async with asyncio.timeout(SETUP_SECONDS_MAX):
                began = time.monotonic()
                await client.subscribe(
                    [(f"{self._topic}/{part}", others_only()) for part in ("packet", HELLO)]
                )
                self._round_trip_ms = max(1, round((time.monotonic() - began) * 1000))
                await client.publish(f"{self._topic}/{HELLO}")
            self.payload_bytes_max = client.payload_bytes_max
            self._is_connected = True
            self._problem = ""
            backoff.connected()
            self._greeter.somebody_came()
            settling = asyncio.get_running_loop().call_later(SETTLE_SECONDS, self._settled)
            try:
                await self._read_and_write(client)
            finally:
                settling.cancel()
                self._is_connected = False

    async def _read_and_write(self, client: BoundedClient) -> None:
        reading = asyncio.create_task(self._read(client))
        writing = asyncio.create_task(self._write(client))
        try:
            done, _ = await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await end_tasks(reading, writing)

    async def _read(self, client: BoundedClient) -> None:
        async for message in client.messages:
            if str(message.topic).endswith(HELLO):
                self._greeter.somebody_came()
            elif len(message.payload) <= PACKET_BYTES_MAX:
                self._take(message.payload)
            else:
                self._refused += 1

    async def _write(self, client: BoundedClient) -> None:
        while True:
            wires = await self._queue.take()
            if len(wires[0]) > client.payload_bytes_max:
                # this broker would hang up; the other transports carry it
                self._refused += not isinstance(wires[0], Repeated)
            else:
                await self._write_one(client, wires)
            self._queue.done()

    async def _write_one(self, client: BoundedClient, wires: list[bytes]) -> None:
        try:
            async with asyncio.timeout(WRITE_SECONDS_MAX):
                await client.publish(f"{self._topic}/packet", wires[0], timeout=math.inf)
        except BaseException:
            self._queue.put_back(wires)
            raise
        self._sent += not isinstance(wires[0], Repeated)

    def _settled(self) -> None:
        """Who is there has said so by now: whoever asks knows whom to ask."""
        if self._state != "stopped":
            self._state = "up"

    def _take(self, wire: bytes) -> None:
        if self._on_packet is not None and self._state != "stopped":
            self._received += 1
            self._on_packet(wire)
