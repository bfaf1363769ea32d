"""What a broker by other people does to the MQTT transport: restarts, refusals, limits."""

from __future__ import annotations

import asyncio
import gc
import secrets
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from dicast.base.crypto import KeyPair
from dicast.base.events import encode_event, sign_event
from dicast.protocol.messages import Kind
from dicast.transports.mqtt import MqttTransport
from dicast.transports.mqtt_client import Broker
from waiting import until

pytestmark = pytest.mark.anyio
KEY = KeyPair.from_seed(b"interop".ljust(32))


@pytest.fixture
def topic() -> str:
    return secrets.token_hex(32)


@pytest.fixture
def make_packet(topic: str) -> Callable[..., bytes]:
    def make(content: str, kind: Kind = Kind.REQUEST) -> bytes:
        return encode_event(sign_event(KEY, int(time.time()), kind, [("t", topic)], content))

    return make


class Node:
    """A transport and what it handed over."""

    def __init__(self, broker: Broker) -> None:
        self.transport = MqttTransport(broker)
        self.wires: list[bytes] = []


@pytest.fixture
async def make_node(topic: str) -> AsyncIterator[Callable[..., Node]]:
    nodes: list[Node] = []

    async def make(
        broker, kind: str = "tcp", password: str = "a password", ca_file: Path | None = None
    ) -> Node:
        nodes.append(Node(Broker(broker.url(kind), "node", password, ca_file)))
        await nodes[-1].transport.start(topic, nodes[-1].wires.append)
        return nodes[-1]

    yield make
    await asyncio.gather(*(node.transport.stop() for node in nodes))


async def test_a_broker_that_is_killed_and_comes_back(make_broker, make_node, make_packet) -> None:
    broker = make_broker()
    sender, receiver = await make_node(broker), await make_node(broker)
    await until(lambda: sender.transport.health().state == receiver.transport.health().state == "up")
    broker.kill()
    await until(lambda: sender.transport.health().state == receiver.transport.health().state == "down")
    wires = [make_packet(f"{number}") for number in range(20)]
    for wire in wires:
        sender.transport.publish(wire)
    broker.start()
    back_at = time.monotonic()
    await until(lambda: set(wires) <= set(receiver.wires))
    assert time.monotonic() - back_at < 20
    assert sender.transport.health().dropped == 0


async def test_a_newcomer_hears_announcements(broker, make_node, make_packet) -> None:
    first = await make_node(broker)
    await until(lambda: first.transport.health().state == "up")
    announcement = make_packet("offer", Kind.ANNOUNCEMENT)
    first.transport.publish(announcement)
    await until(lambda: first.transport.health().sent == 1)
    assert first.transport.health().round_trip_ms is not None
    newcomer = await make_node(broker, "websocket")
    await until(lambda: announcement in newcomer.wires)
    assert first.transport.health().sent == 1


async def test_a_wrong_password_is_said(broker, make_node) -> None:
    node = await make_node(broker, password="wrong")
    await until(lambda: node.transport.health().state == "down")
    assert "uthori" in node.transport.health().detail
    assert "wrong" not in node.transport.health().detail


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # paho leaves the socket to the collector
async def test_a_certificate_that_nobody_vouches_for_is_refused(broker, make_node) -> None:
    node = await make_node(broker, "tls")
    await until(lambda: node.transport.health().state == "down")
    assert "certificate" in node.transport.health().detail.lower()
    await node.transport.stop()
    gc.collect()


async def test_a_packet_over_the_limit_of_the_broker_is_left_to_others(
    make_broker, make_node, make_packet
) -> None:
    broker = make_broker(more="max_packet_size 20000")
    sender, receiver = await make_node(broker), await make_node(broker)
    await until(lambda: sender.transport.health().state == receiver.transport.health().state == "up")
    assert 18_000 < sender.transport.payload_bytes_max < 20_000
    small, large = make_packet("x" * 15_000), make_packet("x" * 30_000)
    sender.transport.publish(large)
    sender.transport.publish(small)
    await until(lambda: small in receiver.wires)
    assert large not in receiver.wires
    assert (sender.transport.health().state, sender.transport.health().dropped) == ("up", 1)
