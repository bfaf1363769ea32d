"""Meeting at an MQTT broker: nothing is kept there (QoS 0, not retained)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import aiomqtt

from dicast.transports.background import described, end_tasks, start_task
from dicast.transports.backoff import Backoff
from dicast.transports.mqtt_client import BoundedClient, Broker, connected, others_only
from dicast.transports.packet_queue import PacketQueue
from dicast.transports.queued import first_to_end
from dicast.transports.signalling import WAITING_BYTES_MAX, WAITING_MAX, Offer, Party, Signaller, Throttle
from dicast.transports.trystero import Signal, encode_signal, parse_signal

SETUP_SECONDS_MAX = 10.0  # from the connection to the subscription
WRITE_SECONDS_MAX = 20.0  # a broker that takes nothing for so long is gone


class MqttSignaller:
    """A broker; it sees hashes as topics, and sealed descriptions."""

    takes_offers = False

    def __init__(self, broker: Broker) -> None:
        self.url = broker.url
        self.problem = ""
        self.is_up = False
        self._broker = broker
        self._queue = PacketQueue(WAITING_MAX, WAITING_BYTES_MAX)
        self._party: Party | None = None
        self._task: asyncio.Task[None] | None = None
        self._throttle = Throttle()

    def start(self, party: Party, on_up: Callable[[Signaller], None]) -> None:
        """Begin to connect; returns at once."""
        self._party = party
        self._task = start_task(self._run(party, on_up), f"signalling {self.url}")

    def announce(self, offers: Sequence[Offer]) -> None:
        """Say to everybody that we are there."""
        if self._party is not None:
            self._publish(self._party.room.topic, Signal(self._party.peer_id))

    def tell(self, peer_id: str, signal: Signal) -> None:
        """Say something to one peer."""
        if self._party is not None:
            self._publish(self._party.room.topic_of(peer_id), signal)

    async def stop(self) -> None:
        """Disconnect."""
        task, self._task = self._task, None
        await end_tasks(task)
        self.is_up = False

    def _publish(self, topic: str, signal: Signal) -> None:
        if self.is_up:
            self._queue.put(topic.encode() + b"\n" + encode_signal(signal))

    async def _run(self, party: Party, on_up: Callable[[Signaller], None]) -> None:
        backoff = Backoff()
        while True:
            try:
                await self._converse(party, on_up, backoff)
            except (aiomqtt.MqttError, OSError, ValueError, TimeoutError) as error:
                self.problem = described(error)
            await asyncio.sleep(backoff.next_seconds())

    async def _converse(self, party: Party, on_up: Callable[[Signaller], None], backoff: Backoff) -> None:
        self._queue = PacketQueue(WAITING_MAX, WAITING_BYTES_MAX)
        topics = (party.room.topic, party.room.topic_of(party.peer_id))
        async with connected(self._broker) as client:
            async with asyncio.timeout(SETUP_SECONDS_MAX):
                await client.subscribe([(topic, others_only()) for topic in topics])
            self.is_up, self.problem = True, ""
            backoff.connected()
            on_up(self)
            try:
                await first_to_end(self._read(party, client), self._write(client))
            finally:
                self.is_up = False

    async def _read(self, party: Party, client: BoundedClient) -> None:
        loop = asyncio.get_running_loop()
        async for message in client.messages:
            if not self._throttle.lets_through(loop.time()):
                continue
            signal = parse_signal(bytes(message.payload))
            if signal is not None:
                party.heard(self, signal)

    async def _write(self, client: BoundedClient) -> None:
        while True:
            topic, _, payload = (await self._queue.take())[0].partition(b"\n")
            async with asyncio.timeout(WRITE_SECONDS_MAX):
                await client.publish(topic.decode(), payload)
            self._queue.done()
