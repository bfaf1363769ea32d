"""A NATS server that lies, stalls, floods or cuts short: never raised, never grown, tried again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.base.limits import PACKET_BYTES_MAX
from dicast.transports.nats import NatsTransport
from dicast.transports.nats_client import Credentials, NatsServer, read_credentials
from dicast.transports.nats_frames import LINE_BYTES_MAX, Delivered, NatsReader, Said, read_greeting

pytestmark = pytest.mark.anyio
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
INFO = b'INFO {"server_id":"x","max_payload":1048576,"connect_urls":["192.0.2.1:4222"]}\r\n'

lines = st.one_of(
    st.sampled_from([INFO, b"PING\r\n", b"PONG\r\n", b"+OK\r\n", b"-ERR 'no'\r\n", b"MSG a 1 0\r\n\r\n"]),
    st.binary(max_size=40).map(lambda payload: b"MSG a.b 2 reply %d\r\n%b\r\n" % (len(payload), payload)),
    st.integers(PACKET_BYTES_MAX + 1, PACKET_BYTES_MAX + 9).map(
        lambda size: b"msg a 3 %d\r\n" % size + bytes(size) + b"\r\n"
    ),
)


@given(st.lists(lines, max_size=6), st.lists(st.integers(1, 70_000), max_size=20))
def test_theorem_20_11_however_a_stream_is_cut_the_same_frames_come_out(
    said: list[bytes], cuts: list[int]
) -> None:
    stream, frames = b"".join(said), []
    reader, places = NatsReader(), sorted({cut % (len(stream) + 1) for cut in cuts})
    for start, end in zip([0, *places], [*places, len(stream)], strict=True):
        frames += reader.feed(stream[start:end])
    assert frames == list(NatsReader().feed(stream))
    assert len(frames) == len(said)
    assert reader.is_between_lines


@given(st.lists(st.one_of(lines, st.binary(max_size=60)), max_size=8))
def test_theorem_20_11_any_bytes_are_frames_or_one_refusal_and_little_is_held(pieces: list[bytes]) -> None:
    reader = NatsReader()
    try:
        for piece in pieces:
            for frame in reader.feed(piece):
                assert isinstance(frame, Said | Delivered)
    except ValueError:
        return
    assert reader.held_bytes <= max(LINE_BYTES_MAX, PACKET_BYTES_MAX + 2)


@given(st.binary(max_size=80))
def test_theorem_20_11_any_information_is_read_or_refused(rest: bytes) -> None:
    with contextlib.suppress(ValueError):
        read_greeting(rest)


@pytest.fixture
def start(lying_server) -> Callable[[Talk], Awaitable[tuple[NatsTransport, list[bytes]]]]:
    return lambda script: lying_server(
        script, lambda port: NatsTransport(NatsServer(f"nats://127.0.0.1:{port}"))
    )


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Let the client in."""
    writer.write(INFO)
    assert (await reader.readline()).startswith(b"CONNECT {")
    assert await reader.readline() == b"PING\r\n"
    writer.write(b"PONG\r\n")
    await writer.drain()


async def answer_pings(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        if line == b"PING\r\n":
            writer.write(b"PONG\r\n")


@pytest.mark.parametrize(
    "noise",
    [
        b"",
        b"\xff" * 4096,
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"INFO {\r\n",
        b"INFO []\r\n",
        b"INFO " + b"x" * LINE_BYTES_MAX,
        b"-ERR 'not you'\r\n",
        b"PONG\r\n",
        INFO + b"PONG\r\nMSG a 1 5\r\nlonger\r\n",
        INFO + b"PONG\r\nMSG a 1 99999999999\r\n",
        INFO + b"-ERR\r\n",
        INFO.replace(b'"server_id"', b'"tls_required":true,"server_id"') + b"plain",
    ],
)
async def test_noise_in_place_of_a_server(start, wait_until, noise: bytes) -> None:
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.write(noise)
        await writer.drain()

    transport, wires = await start(script)
    await wait_until(lambda: connections >= 2)
    assert (wires, list(transport.peers())) == ([], [])


async def test_a_server_that_sends_us_elsewhere_is_not_followed(start, wait_until, topic) -> None:
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await greet(reader, writer)
        writer.close()

    transport, _ = await start(script)
    await wait_until(lambda: connections >= 3)
    assert "192.0.2.1" not in transport.health().detail


async def test_a_flood_is_read_at_a_pace_and_what_is_too_large_is_passed_over(
    start, wait_until, topic, make_packet
) -> None:
    wire = make_packet("hello")

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greet(reader, writer)
        answering = asyncio.create_task(answer_pings(reader, writer))
        large = PACKET_BYTES_MAX * 40
        writer.write(b"MSG a 1 %d\r\n" % large + bytes(large) + b"\r\n")
        writer.write((b"MSG a 1 %d\r\n" % len(wire) + wire + b"\r\n") * 20_000 + b"PING\r\n" * 20_000)
        await answering

    transport, wires = await start(script)
    began = asyncio.get_running_loop().time()
    await wait_until(lambda: len(wires) >= 8_000)
    assert asyncio.get_running_loop().time() - began > 0.5
    assert (set(wires), transport.health().dropped) == ({wire}, 1)


async def test_a_server_that_is_silent_holds_up_neither_publishing_nor_stopping(start, wait_until) -> None:
    connected = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()

    transport, _ = await start(script)
    await connected.wait()
    for _ in range(1034):
        transport.publish(b"{}")
    assert transport.health().dropped == 10
    async with asyncio.timeout(10):
        await transport.stop()
    assert transport.health().state == "down"


async def test_a_server_that_falls_silent_is_left(start, wait_until, monkeypatch) -> None:
    monkeypatch.setattr("dicast.transports.nats_client.HEARTBEAT_SECONDS", 0.3)
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await greet(reader, writer)
        await reader.read()

    transport, _ = await start(script)
    await wait_until(lambda: connections >= 2)
    assert transport.health().state in ("up", "down")


def test_secrets_are_not_shown() -> None:
    server = NatsServer("nats://127.0.0.1", "me", "secret", Credentials("secret", b"secret"))
    assert "secret" not in repr(server)
    assert "secret" not in repr(server.credentials)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-----BEGIN NATS USER JWT-----\nx\n",
        "-----BEGIN NATS USER JWT-----\nx\n---\n-----BEGIN USER NKEY SEED-----\nSUAAA\n",
    ],
)
def test_what_are_no_credentials_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_credentials(text)
