"""aiomqtt's client with two bounds that it lacks: what the broker may send, and what the broker will take."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiomqtt
import msgspec
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from dicast.base.limits import PACKET_BYTES_MAX

PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
CONNECT_SECONDS_MAX = 5.0  # name look-up, TCP, TLS; it waits in a thread
HEARTBEAT_SECONDS = 15  # a broker that went silent is noticed within 25
HEADER_BYTES_MAX = 1024  # of MQTT around a packet: topic, properties
GOODBYE_SECONDS_MAX = 0.5  # a broker that does not say goodbye must not hold up stopping
MESSAGES_AHEAD_MAX = 512  # read ahead of the node: at most 32 MB, usually 1; then the newest are dropped

_LOGGER = logging.getLogger("dicast.mqtt")  # the library warns of every message dropped
_LOGGER.addHandler(logging.NullHandler())
_LOGGER.propagate = False


class Broker(msgspec.Struct, frozen=True):
    """Where a broker is (mqtt, mqtts, ws or wss), and who we are there."""

    url: str
    user: str = ""
    password: str = ""
    ca_file: Path | None = None

    def __repr__(self) -> str:
        return f"Broker({self.url!r})"


class BoundedClient(aiomqtt.Client):
    """MQTT 5; `payload_bytes_max` is known once it is connected."""

    def __init__(self, broker: Broker) -> None:
        parts = urlsplit(broker.url)
        is_web = parts.scheme in ("ws", "wss")
        is_secret = parts.scheme in ("mqtts", "wss")
        bounds = Properties(PacketTypes.CONNECT)
        bounds.MaximumPacketSize = PACKET_BYTES_MAX + HEADER_BYTES_MAX
        super().__init__(
            parts.hostname or "",
            parts.port or PORTS[parts.scheme],
            username=broker.user or None,
            password=broker.password or None,
            logger=_LOGGER,
            protocol=aiomqtt.ProtocolVersion.V5,
            transport="websockets" if is_web else "tcp",
            websocket_path=(parts.path or "/") if is_web else None,
            timeout=CONNECT_SECONDS_MAX,
            keepalive=HEARTBEAT_SECONDS,
            max_queued_incoming_messages=MESSAGES_AHEAD_MAX,
            properties=bounds,
            tls_context=ssl.create_default_context(cafile=broker.ca_file) if is_secret else None,
        )
        self.payload_bytes_max = PACKET_BYTES_MAX
        paho: Any = self._client
        paho.connect_timeout = CONNECT_SECONDS_MAX
        receive = paho._sock_recv

        def receive_bounded(size: int) -> bytes:
            """The size is what the broker says that is still to come of one message."""
            if size > PACKET_BYTES_MAX + HEADER_BYTES_MAX:
                raise OSError("the broker sent more than a packet holds")
            return receive(size)

        paho._sock_recv = receive_bounded

    def _on_connect(self, *arguments: Any, **named: Any) -> None:
        properties = arguments[4] if len(arguments) > 4 else named.get("properties")
        largest = getattr(properties, "MaximumPacketSize", PACKET_BYTES_MAX + HEADER_BYTES_MAX)
        self.payload_bytes_max = max(0, min(PACKET_BYTES_MAX, largest - HEADER_BYTES_MAX))
        super()._on_connect(*arguments, **named)

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:
        """As the library does, but for a socket that is closed by the time the loop gets there."""

        def write() -> None:
            try:
                client.loop_write()
            except Exception as error:
                if not self._disconnected.done():
                    self._disconnected.set_exception(error)

        def begin() -> None:
            if sock.fileno() >= 0:
                self._loop.add_writer(sock.fileno(), write)

        self._loop.call_soon_threadsafe(begin)

    def abort(self) -> None:
        """Close the socket without a word; harmless when there is none."""
        paho: Any = self._client
        paho._sock_close()
        if self._misc_task is not None:
            self._misc_task.cancel()
        ended = self._disconnected
        if ended.done() and not ended.cancelled():
            ended.exception()  # why it ended has been said: asyncio must not complain that nobody asked


def others_only() -> SubscribeOptions:
    """Subscribe to what others say: our own packets do not come back."""
    return SubscribeOptions(qos=0, noLocal=True)


@asynccontextmanager
async def connected(broker: Broker) -> AsyncGenerator[BoundedClient]:
    """A client that is connected; whatever happens, no socket is left behind."""
    client = BoundedClient(broker)
    opening = asyncio.ensure_future(client.__aenter__())
    try:
        await asyncio.shield(opening)
        yield client
    finally:
        await _close(client, opening)


async def _close(client: BoundedClient, opening: asyncio.Future[BoundedClient]) -> None:
    """Say goodbye where there is a connection; in any case leave no socket behind."""
    if not opening.done():
        opening.add_done_callback(lambda done: _abandon(client, done))
        return
    is_open = not opening.cancelled() and opening.exception() is None
    try:
        if is_open:
            await _say_goodbye(client)
    finally:
        client.abort()


async def _say_goodbye(client: BoundedClient) -> None:
    with suppress(aiomqtt.MqttError, OSError, ValueError, TimeoutError):
        async with asyncio.timeout(GOODBYE_SECONDS_MAX):
            await client.__aexit__(None, None, None)


def _abandon(client: BoundedClient, opening: asyncio.Future[BoundedClient]) -> None:
    """The connection came up after nobody wanted it any more."""
    if not opening.cancelled():
        opening.exception()
    client.abort()
