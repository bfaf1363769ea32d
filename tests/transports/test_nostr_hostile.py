"""Relays that lie, flood, stall and refuse: others carry on, and nothing raises, blocks or grows."""

from __future__ import annotations

import asyncio
import http
import io
import json
import random
import resource
import time
from itertools import pairwise

import pytest

from dicast.base.crypto import KeyPair
from dicast.base.events import Event, encode_event, is_signed, parse_event
from dicast.daemon.inbox import PACKETS_WAITING_MAX, Inbox
from dicast.daemon.logs import Log
from dicast.daemon.multiplexer import Multiplexer
from dicast.transports.memory import MemoryHub
from dicast.transports.nostr import COPY_WINDOW_MS, NostrTransport
from dicast.transports.nostr_link import CHALLENGES_MAX, GARBAGE_FRAMES_MAX
from dicast.transports.nostr_outbox import OUTBOX_BYTES_MAX, OUTBOX_PACKETS_MAX
from waiting import WAIT_SECONDS_MAX

pytestmark = pytest.mark.anyio


def relayed(wire: bytes, subscription: str = "live") -> str:
    return f'["EVENT","{subscription}",{wire.decode()}]'


async def read_frames(connection, seen: list) -> None:
    """A relay that only listens; the frames it was sent land in `seen`."""
    async for frame in connection:
        seen.append(json.loads(frame))


def garbage() -> list[str | bytes]:
    chance = random.Random(7)
    shapes = [
        "[]",
        "{}",
        "null",
        '["EVENT"]',
        '["EVENT","live",{}]',
        '["OK"]',
        "[" * 50_000,
        '["WHAT",1]',
        "",
    ]
    return [
        *shapes,
        *(chance.randbytes(chance.randint(1, 500)) for _ in range(20)),
        *('["EVENT","other",' + json.dumps({"id": number}) + "]" for number in range(10)),
        '["EVENT","live",{"id":' + "9" * 5000 + "}]",
        '["NOTICE","' + "\\ud800" + '"]',
    ]


async def test_garbage_ends_the_connection_and_nothing_else(
    lying_relay, make_relay, make_node, make_packet, wait_until
):
    connections = 0

    async def lie(connection) -> None:
        nonlocal connections
        connections += 1
        for frame in garbage() * 3:
            await connection.send(frame)
        await connection.wait_closed()

    liar, relay = await lying_relay(lie), make_relay()
    sender = await make_node(relay.url)
    receiver = await make_node(liar, relay.url, wait=False)
    sender.transport.publish(wire := make_packet())
    await receiver.has([wire])
    await wait_until(lambda: connections >= 2)
    assert receiver.wires == [wire]
    assert receiver.transport.health().dropped >= GARBAGE_FRAMES_MAX


async def test_a_forged_copy_does_not_shadow_the_real_packet(lying_relay, make_relay, make_node, make_packet):
    relay = make_relay()
    sender = await make_node(relay.url)
    real = make_packet("the answer")
    event = parse_event(real)
    other_signature = "0" * 128
    forged = [
        encode_event(
            Event(event.id, event.pubkey, event.created_at, event.kind, event.tags, "a lie", event.sig)
        ),
        real.replace(event.sig.encode(), other_signature.encode()),
    ]

    async def lie(connection) -> None:
        await connection.send('["EOSE","live"]')
        for wire in forged:
            await connection.send(relayed(wire))
        await connection.wait_closed()

    receiver = await make_node(await lying_relay(lie), relay.url)
    await receiver.has(forged)
    sender.transport.publish(real)
    await receiver.has([real])
    genuine = [wire for wire in receiver.wires[2:] if is_signed(parse_event(wire))]
    assert genuine == [real]


async def test_an_oversized_event_is_skipped_and_the_connection_stays(lying_relay, make_node, make_packet):
    small = make_packet("small")
    large = make_packet("large").replace(b'"large"', b'"' + b"x" * 200_000 + b'"')

    async def lie(connection) -> None:
        await connection.send('["EOSE","live"]')
        await connection.send(relayed(large))
        await connection.send(relayed(small))
        await connection.wait_closed()

    node = await make_node(await lying_relay(lie))
    await node.has([small])
    assert (node.wires, node.transport.health().dropped) == ([small], 1)


async def test_a_stored_frame_too_large_to_read_is_not_asked_for_again(lying_relay, make_node, wait_until):
    asked = []

    async def lie(connection) -> None:
        asked.append(json.loads(await connection.recv()))
        if asked[-1][4].get("since") is None:
            await connection.send("x" * 3_000_000)
        else:
            await connection.send('["EOSE","live"]')
        await connection.wait_closed()

    node = await make_node(await lying_relay(lie), wait=False)
    await wait_until(lambda: node.transport.health().state == "up")
    assert len(asked) == 2
    assert all(part["since"] >= time.time() - 60 for part in asked[1][2:])


async def test_a_flood_is_read_at_our_own_speed_without_growing(
    lying_relay, make_relay, make_node, make_packet
):
    flood = [relayed(make_packet(f"{number} {'x' * 50_000}")) for number in range(20)]
    finished = asyncio.Event()

    async def lie(connection) -> None:
        for _ in range(100):
            for frame in flood:
                await connection.send(frame)
        finished.set()
        await connection.wait_closed()

    relay = make_relay()
    sender = await make_node(relay.url)
    receiver = await make_node(await lying_relay(lie), relay.url, wait=False)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    sender.transport.publish(wire := make_packet("in the midst of it"))
    await receiver.has([wire])
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        await finished.wait()  # 100 MB went by
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000
    windows = 2 + (time.monotonic() - began) * 1000 / COPY_WINDOW_MS
    assert receiver.transport.health().received <= 1 + len(flood) * windows  # the rest were copies


async def test_a_relay_that_stalls_costs_a_bounded_queue(lying_relay, make_relay, make_node, make_packet):
    over = asyncio.Event()

    async def lie(connection) -> None:
        connection.transport.pause_reading()
        await over.wait()
        connection.transport.resume_reading()

    relay = make_relay()
    receiver = await make_node(relay.url)
    sender = await make_node(await lying_relay(lie), relay.url, wait=False)
    wires = [make_packet(f"{number} {'x' * 20_000}") for number in range(OUTBOX_PACKETS_MAX // 2)]
    for number, wire in enumerate(wires):
        sender.transport.publish(wire)
        if number % 64 == 63:
            await receiver.has([wire])
    await receiver.has(wires)
    outbox = sender.transport._links[0].outbox
    assert len(outbox) < OUTBOX_PACKETS_MAX
    assert outbox.frame_bytes <= OUTBOX_BYTES_MAX
    over.set()


async def test_a_relay_that_hangs_up_at_once_is_tried_ever_less_often(lying_relay, make_node, wait_until):
    times = []

    async def lie(connection) -> None:
        times.append(time.monotonic())
        await connection.close()

    node = await make_node(await lying_relay(lie), wait=False)
    await wait_until(lambda: len(times) == 5)
    pauses = [later - sooner for sooner, later in pairwise(times)]
    assert all(pause > 0.1 * 2**number for number, pause in enumerate(pauses))
    assert node.transport.health().state == "down"


async def test_a_redirection_is_not_followed(lying_relay, make_node, wait_until):
    visitors = []

    async def target(connection) -> None:
        visitors.append(connection)

    elsewhere = await lying_relay(target)

    def redirect(connection, request):
        response = connection.respond(http.HTTPStatus.FOUND, "")
        response.headers["Location"] = elsewhere
        return response

    node = await make_node(await lying_relay(target, process_request=redirect), wait=False)
    await wait_until(lambda: node.transport.health().state == "down")
    assert (visitors, "302" in node.transport.health().detail) == ([], True)


async def test_what_is_no_websocket_at_all_is_a_problem_not_an_error(make_node, wait_until):
    async def babble(reader, writer) -> None:
        writer.write(b"\x00\xff" * 1000)
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    node = await make_node(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", wait=False)
    await wait_until(lambda: node.transport.health().state == "down")
    server.close()
    await server.wait_closed()


async def test_a_relay_that_wants_less_gets_the_packet_later(lying_relay, make_node, make_packet, wait_until):
    times = []

    async def lie(connection) -> None:
        async for frame in connection:
            label, body = json.loads(frame)[:2]
            if label == "REQ":
                await connection.send('["EOSE","live"]')
            else:
                times.append(time.monotonic())
                accepted = len(times) > 2
                await connection.send(
                    json.dumps(["OK", body["id"], accepted, "" if accepted else "rate-limited: no"])
                )

    node = await make_node(await lying_relay(lie))
    node.transport.publish(make_packet())
    await wait_until(lambda: len(times) == 3)
    assert (times[1] - times[0] > 0.9, times[2] - times[1] > 1.9) == (True, True)
    await wait_until(lambda: not len(node.transport._links[0].outbox))


async def test_a_closed_subscription_is_opened_again(lying_relay, make_node, make_packet):
    wire = make_packet()

    async def lie(connection) -> None:
        await connection.recv()
        await connection.send('["CLOSED","live","error: shutting down for a moment"]')
        await connection.recv()
        await connection.send(relayed(wire))
        await connection.send('["EOSE","live"]')
        await connection.wait_closed()

    node = await make_node(await lying_relay(lie), wait=False)
    await node.has([wire])


async def test_who_asks_for_a_key_gets_a_signed_answer_and_the_packets_again(
    lying_relay, make_node, make_packet, topic
):
    told = []

    async def ask(connection) -> None:
        known = False
        async for frame in connection:
            label, *rest = json.loads(frame)
            if label == "AUTH":
                event = parse_event(json.dumps(rest[0]).encode())
                told.append(event)
                known = is_signed(event)
                await connection.send(json.dumps(["OK", event.id, True, ""]))
            elif label == "REQ":
                await connection.send(
                    '["EOSE","live"]' if known else '["CLOSED","live","auth-required: who?"]'
                )
            elif known:
                told.append(rest[0]["content"])
                await connection.send(json.dumps(["OK", rest[0]["id"], True, ""]))
            else:
                await connection.send(json.dumps(["OK", rest[0]["id"], False, "auth-required: who?"]))
                await connection.send('["AUTH","a challenge"]')

    url = await lying_relay(ask)
    node = await make_node(url, wait=False)
    node.transport.publish(make_packet("patience"))
    await node.has([])
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        await node.transport._links[0]._drained.wait()
    event = told[0]
    assert (event.kind, event.content) == (22242, "")
    assert event.tags == (("relay", url), ("challenge", "a challenge"))
    assert told[1:] == ["patience"]
    assert node.transport.health().state == "up"


async def test_endless_challenges_are_not_answered_for_ever(lying_relay, make_node, wait_until):
    seen, closed = [], []

    async def ask(connection) -> None:
        for number in range(10 * CHALLENGES_MAX):
            await connection.send(f'["AUTH","{number}"]')
        await connection.send('["AUTH","\\u0000"]')
        await read_frames(connection, seen)
        closed.append(True)

    await make_node(await lying_relay(ask), wait=False)
    await wait_until(lambda: len(closed) > 0)
    assert 1 <= sum(frame[0] == "AUTH" for frame in seen) <= CHALLENGES_MAX


async def test_a_relay_that_truncates_replays_and_reorders_adds_nothing_and_keeps_nothing_back(
    lying_relay, make_relay, make_node, make_packet
):
    relay = make_relay()
    wires = [make_packet(f"{number} {'x' * 200}") for number in range(30)]

    async def lie(connection) -> None:
        await connection.send('["EOSE","live"]')
        for wire in reversed(wires):
            whole = relayed(wire)
            await connection.send(whole[: len(whole) // 2])
            for _ in range(20):
                await connection.send(whole)
        await connection.wait_closed()

    sender = await make_node(relay.url)
    receiver = await make_node(await lying_relay(lie), relay.url)
    for wire in wires:
        sender.transport.publish(wire)
    await receiver.has(wires)
    assert set(receiver.wires) == set(wires)
    assert len(receiver.wires) <= 3 * len(wires)


async def test_a_flood_over_one_network_delays_no_other(lying_relay, make_packet, topic, wait_until):
    """Two networks and one reader that is slower than the flood: what comes by the calm one is soon read."""
    flood = [relayed(make_packet(f"{number}")) for number in range(500)]
    is_over = asyncio.Event()

    async def lie(connection) -> None:
        await connection.send('["EOSE","live"]')
        while not is_over.is_set():
            for frame in flood:
                await connection.send(frame.replace('"content":"', f'"content":"{time.monotonic_ns()}'))
        await connection.close()

    hub, inbox, taken = MemoryHub(), Inbox(), list[bytes]()
    hostile = NostrTransport([await lying_relay(lie)], KeyPair.from_seed(b"hostile".ljust(32)))
    calm, friend = hub.transport(), hub.transport()
    many = Multiplexer([hostile, calm], inbox.put, Log(stream=io.StringIO()))
    await many.start(topic)
    await friend.start(topic, lambda _: None)

    async def read() -> None:
        while True:
            packet = inbox.take()
            if packet is not None:
                taken.append(packet.wire)
            await asyncio.sleep(0)  # one packet a turn: the flood is faster

    reading = asyncio.create_task(read())
    await wait_until(lambda: len(inbox) > PACKETS_WAITING_MAX // 2)
    for number in range(20):
        wire, before = make_packet(f"calm {number}"), len(taken)
        friend.publish(wire)
        await wait_until(lambda wire=wire: wire in taken[-PACKETS_WAITING_MAX:])
        assert taken.index(wire) - before < PACKETS_WAITING_MAX // 20
    assert len(inbox) <= PACKETS_WAITING_MAX + 1
    is_over.set()
    reading.cancel()
    await many.stop()
