"""A broker that lies, stalls or sends too much: never raised, never grown, tried again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from dicast.base.errors import LocalProtocolError
from dicast.base.limits import PACKET_BYTES_MAX
from dicast.transports.mqtt import MqttTransport
from dicast.transports.mqtt_client import Broker
from dicast.transports.packet_queue import QUEUE_BYTES_MAX, QUEUE_PACKETS_MAX

pytestmark = pytest.mark.anyio
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
CONNACK = bytes([0x20, 3, 0, 0, 0])
DAMAGED = 24
"""Connections with one damaged message each."""
NOT_AUTHORISED = bytes([0x20, 3, 0, 0x87, 0])


def suback(subscribe: bytes) -> bytes:
    start = 1 + next(at for at in range(1, 5) if subscribe[at] < 128)
    return bytes([0x90, 5]) + subscribe[start : start + 2] + bytes([0, 0, 0])


def published(topic: str, payload: bytes) -> bytes:
    name = f"dicast/{topic}/packet".encode()
    body = len(name).to_bytes(2) + name + b"\x00" + payload
    return b"\x30" + length_of(len(body)) + body


def length_of(count: int) -> bytes:
    digits = bytearray()
    while True:
        count, digit = divmod(count, 128)
        digits.append(digit | (128 if count else 0))
        if not count:
            return bytes(digits)


@pytest.fixture
def start(lying_server, monkeypatch) -> Callable[[Talk], Awaitable[tuple[MqttTransport, list[bytes]]]]:
    monkeypatch.setattr("dicast.transports.mqtt_client.CONNECT_SECONDS_MAX", 0.5)
    return lambda script: lying_server(script, lambda port: MqttTransport(Broker(f"mqtt://127.0.0.1:{port}")))


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the connection and its subscription."""
    await reader.read(4096)
    writer.write(CONNACK)
    writer.write(suback(await reader.read(4096)))
    await writer.drain()


async def test_a_message_larger_than_a_packet_ends_the_connection(
    start, topic, make_packet, wait_until
) -> None:
    connections, heard = 0, asyncio.Event()
    wire = make_packet("hello")

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await greet(reader, writer)
        await reader.read(4096)
        writer.write(published(topic, wire))
        await writer.drain()
        await heard.wait()
        writer.write(b"\x30" + length_of(100_000_000) + bytes(100_000))
        await writer.drain()
        await reader.read()

    transport, wires = await start(script)
    await wait_until(lambda: wire in wires)
    heard.set()
    await wait_until(lambda: connections >= 2)
    assert set(wires) == {wire}
    assert transport.health().state in ("up", "down")


async def test_a_broker_that_refuses_us_is_named_and_tried_again(start, wait_until) -> None:
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.read(4096)
        writer.write(NOT_AUTHORISED)
        await writer.drain()
        await reader.read()

    transport, _ = await start(script)
    await wait_until(lambda: connections >= 2)
    assert transport.health().state == "down"
    assert "uthori" in transport.health().detail


@pytest.mark.parametrize("noise", [b"\xff" * 4096, b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\x03\x00", b""])
async def test_noise_in_place_of_a_broker(start, wait_until, noise: bytes) -> None:
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.write(noise)
        await writer.drain()

    transport, wires = await start(script)
    await wait_until(lambda: connections >= 2)
    assert (wires, list(transport.peers())) == ([], [])


async def test_a_broker_that_is_silent_holds_up_neither_publishing_nor_stopping(start, wait_until) -> None:
    connected = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        while await reader.read(4096):
            pass

    transport, _ = await start(script)
    await connected.wait()
    for _ in range(QUEUE_PACKETS_MAX + 10):
        transport.publish(b"{}")
    assert transport.health().dropped == 10
    async with asyncio.timeout(10):
        await transport.stop()
    assert transport.health().state == "down"


async def test_what_waits_is_bounded_by_bytes_and_what_is_no_packet_is_refused() -> None:
    transport = MqttTransport(Broker("mqtt://127.0.0.1:1"))
    for _ in range(QUEUE_BYTES_MAX // PACKET_BYTES_MAX + 5):
        transport.publish(bytes(PACKET_BYTES_MAX))
    assert transport.health().dropped == 5
    with pytest.raises(LocalProtocolError, match="not_a_packet"):
        transport.publish(bytes(PACKET_BYTES_MAX + 1))


def test_a_broker_never_shows_its_password() -> None:
    assert "secret" not in repr(Broker("mqtt://127.0.0.1", "me", "secret"))


def damaged(chance: random.Random, whole: bytes) -> bytes:
    """A message with bytes changed, cut, doubled or replaced by noise."""
    match chance.randrange(4):
        case 0:
            at = chance.randrange(len(whole))
            return whole[:at] + bytes([chance.randrange(256)]) + whole[at + 1 :]
        case 1:
            return whole[: chance.randrange(len(whole))] + b"\xff" * 8
        case 2:
            return bytes([chance.randrange(256)]) + whole[1:] + whole
        case _:
            return chance.randbytes(chance.randint(1, 200))


async def test_whatever_a_broker_sends_the_next_connection_works(
    start, topic, make_packet, wait_until, monkeypatch
) -> None:
    monkeypatch.setattr("dicast.transports.backoff.RETRY_SECONDS_MAX", 0.001)
    monkeypatch.setattr("dicast.transports.backoff.RETRY_SECONDS_FIRST", 0.001)
    chance, wire, connections = random.Random(11), make_packet("the real one"), 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await greet(reader, writer)
        is_over = connections > DAMAGED
        writer.write(published(topic, wire) if is_over else damaged(chance, published(topic, wire)))
        await writer.drain()
        while is_over and await reader.read(4096):
            pass

    _, wires = await start(script)
    await wait_until(lambda: wire in wires)
    assert all(len(one) <= PACKET_BYTES_MAX for one in wires)
