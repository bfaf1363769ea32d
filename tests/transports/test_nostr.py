"""Several relays at once: they die, come back, forget; what was published is complete in the end."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from dicast.base.crypto import KeyPair
from dicast.base.errors import ConfigurationError, LocalProtocolError
from dicast.base.events import parse_event
from dicast.base.limits import RELAYS_MAX
from dicast.protocol.messages import Kind
from dicast.transports.nostr import NostrTransport
from dicast.transports.nostr_outbox import OUTBOX_PACKETS_MAX
from dicast.transports.nostr_socket import OPEN_SECONDS_MAX
from waiting import WAIT_SECONDS_MAX

pytestmark = pytest.mark.anyio
KEY = KeyPair.from_seed(bytes(32))
DEAD = "ws://127.0.0.1:1"  # nobody listens on the first port


async def test_one_of_two_relays_is_killed_mid_stream_and_nothing_is_lost(
    make_relay, make_node, make_packet, wait_until
):
    first, second = make_relay(), make_relay()
    receiver = await make_node(first.url, second.url)
    sender = await make_node(first.url, second.url)
    wires = [make_packet(f"{number} {'x' * 700}") for number in range(300)]
    for number, wire in enumerate(wires):
        sender.transport.publish(wire)
        if number == 150:
            await receiver.has(wires[:50])
            first.kill()
    await receiver.has(wires)
    assert len(receiver.wires) == len(wires)  # copies of two relays were the same bytes
    await wait_until(lambda: receiver.transport.health().state == "degraded")
    assert receiver.transport.peers() == [second.url]


async def test_both_ends_resume_when_the_relay_comes_back_on_its_port(
    make_relay, make_node, make_packet, wait_until
):
    relay = make_relay()
    sender, receiver = await make_node(relay.url), await make_node(relay.url)
    before, during = [make_packet("before")], [make_packet(f"during {number}") for number in range(20)]
    sender.transport.publish(before[0])
    await receiver.has(before)
    relay.kill()
    await wait_until(lambda: sender.transport.health().state == "down")
    for wire in during:
        sender.transport.publish(wire)
    relay.start()
    await receiver.has(before + during)
    after = [make_packet("after")]
    receiver.transport.publish(after[0])
    await sender.has(after)
    await wait_until(lambda: sender.transport.health().state == receiver.transport.health().state == "up")


async def test_a_node_that_was_cut_off_gets_what_it_missed(
    make_relay, make_wire, make_node, make_packet, wait_until
):
    relay = make_relay()
    wire = await make_wire(relay.port)
    sender, receiver = await make_node(relay.url), await make_node(wire.url)
    sender.transport.publish(first := make_packet("first"))
    await receiver.has([first])
    wire.cut()
    await wait_until(lambda: receiver.transport.peers() == [])
    missed = [make_packet(f"missed {number}") for number in range(10)]
    for packet in missed:
        sender.transport.publish(packet)
    await wait_until(lambda: not len(sender.transport._links[0].outbox))
    assert receiver.wires == [first]
    wire.mend()
    await receiver.has(missed)


async def test_a_cut_in_mid_stream_loses_nothing_that_was_published(
    make_relay, make_wire, make_node, make_packet
):
    relay = make_relay()
    wire = await make_wire(relay.port)
    sender, receiver = await make_node(wire.url), await make_node(relay.url)
    wires = [make_packet(f"{number} {'x' * 5000}") for number in range(200)]
    for number, packet in enumerate(wires):
        sender.transport.publish(packet)
        if number == 100:
            await receiver.has(wires[:5])
            wire.cut()
            wire.mend()
    await receiver.has(wires)


async def test_a_late_node_gets_the_rounds_in_the_order_in_which_they_happened(
    make_relay, make_node, make_packet
):
    relay = make_relay()
    sender = await make_node(relay.url)
    kinds = [Kind.REQUEST, Kind.COMMIT, Kind.QUORUM, Kind.REVEAL, Kind.CLOSE, Kind.SIGNATURE]
    stored = [make_packet(f"round {age}", kind, age_seconds=age) for age in (30, 20) for kind in kinds]
    early = await make_node(relay.url)
    for wire in reversed(stored):
        sender.transport.publish(wire)
    await early.has(stored)
    late = await make_node(relay.url)
    await late.has(stored)
    assert late.wires == stored


async def test_a_late_node_turns_pages_until_it_has_all(make_relay, make_node, make_packet):
    relay = make_relay()  # cuts every answer at 500
    sender = await make_node(relay.url)
    stored = [make_packet(f"{age}", Kind.COMMIT, age_seconds=age) for age in range(1300, 0, -1)]
    for start in range(0, len(stored), 500):
        for wire in stored[start : start + 500]:
            sender.transport.publish(wire)
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            await sender.transport._links[0]._drained.wait()
    late = await make_node(relay.url)
    await late.has(stored)
    assert late.wires == stored


async def test_an_old_packet_published_anew_still_arrives(make_relay, make_node, make_packet):
    relay = make_relay()
    sender, receiver = await make_node(relay.url), await make_node(relay.url)
    old = make_packet("a commit of an hour ago", Kind.COMMIT, age_seconds=3 * 3600)
    sender.transport.publish(old)
    await receiver.has([old])


async def test_a_want_fetches_from_the_relay_what_it_will_not_forward_twice(
    make_relay, make_node, make_packet
):
    relay = make_relay()
    sender = await make_node(relay.url)
    lost = make_packet("lost", Kind.COMMIT, age_seconds=3 * 3600)  # before any look-back
    sender.transport.publish(lost)
    receiver = await make_node(relay.url)
    receiver.transport.publish(make_packet("newest", Kind.COMMIT))
    receiver.wires.clear()
    receiver.transport.publish(make_packet(json.dumps({"v": 1, "ids": [parse_event(lost).id]}), Kind.WANT))
    await receiver.has([lost])


async def test_publishing_while_down_is_bounded_and_never_blocks(make_node, make_packet, wait_until):
    node = await make_node(DEAD, wait=False)
    wires = [make_packet(str(number)) for number in range(200)]
    started = time.perf_counter()
    for turn in range(20):
        for wire in wires:
            node.transport.publish(wire.replace(b'"content":"', b'"content":"%d ' % turn, 1))
    outbox = node.transport._links[0].outbox
    assert len(outbox) == 200  # the same ids: a repetition takes no room
    for number in range(2 * OUTBOX_PACKETS_MAX):
        node.transport.publish(
            wires[0].replace(
                b'"id":"' + wires[0][wires[0].index(b'"id":"') + 6 :][:8], b'"id":"%08d' % number
            )
        )
    assert (len(outbox), outbox.dropped) == (OUTBOX_PACKETS_MAX, 200 + OUTBOX_PACKETS_MAX)
    assert time.perf_counter() - started < 8, "it waited for the relay"
    await wait_until(lambda: node.transport.health().state == "down")
    assert node.transport.health().dropped == 200 + OUTBOX_PACKETS_MAX
    assert DEAD in node.transport.health().detail


async def test_a_dead_relay_does_not_disturb_a_living_one(make_relay, make_node, make_packet, wait_until):
    relay = make_relay()
    sender = await make_node(DEAD, relay.url, wait=False)
    receiver = await make_node(relay.url, DEAD, wait=False)
    sender.transport.publish(wire := make_packet())
    await receiver.has([wire])
    await wait_until(lambda: sender.transport.health().state == "degraded")
    assert sender.transport.peers() == [relay.url]


async def test_starting_returns_at_once_and_stopping_interrupts_connecting(make_node):
    started = time.perf_counter()
    node = await make_node("ws://192.0.2.1:9", wait=False)  # an address that answers nothing
    assert time.perf_counter() - started < OPEN_SECONDS_MAX / 2
    async with asyncio.timeout(OPEN_SECONDS_MAX / 2):
        await node.transport.stop()


@pytest.mark.parametrize(
    "url", ["", "relay.example.org", "http://relay.example.org", "ws://", "ws://a:99999", "ws://[::1"]
)
def test_an_address_that_is_none_is_refused_by_name(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        NostrTransport([url], KEY)
    assert caught.value.code == "relay_url"
    assert repr(url) in caught.value.message


def test_no_relay_or_too_many_are_refused_and_the_same_twice_is_one() -> None:
    for urls in ([], [f"ws://127.0.0.1:{port}" for port in range(1, RELAYS_MAX + 2)]):
        with pytest.raises(ConfigurationError) as caught:
            NostrTransport(urls, KEY)
        assert caught.value.code == "relay_count"
    assert "0 of 1" in NostrTransport([DEAD, DEAD], KEY).health().detail


@pytest.mark.parametrize("junk", [b"", b"junk", b"{}", b'{"id":1,"kind":1,"content":""}', b"x" * 70_000])
def test_publishing_what_is_no_packet_is_our_own_mistake(junk: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        NostrTransport([DEAD], KEY).publish(junk)


async def test_a_mistake_of_our_own_is_seen_and_not_swallowed(
    make_relay, topic, make_packet, make_node, wait_until
):
    relay = make_relay()
    sender = await make_node(relay.url)
    complaints = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: complaints.append(context["exception"])
    )

    def stumble(wire: bytes) -> None:
        raise AssertionError(wire)

    transport = NostrTransport([relay.url], KEY)
    await transport.start(topic, stumble)
    await wait_until(lambda: transport.health().state == "up")
    sender.transport.publish(wire := make_packet())
    await wait_until(lambda: len(complaints) == 1)
    assert complaints[0].args == (wire,)
    await transport.stop()
