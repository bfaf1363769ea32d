"""Relay lists: a node tells which relays it is on, and another that heard of it goes there, within bounds."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import timedelta

import nostr_sdk
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.base.crypto import KeyPair
from dicast.base.events import encode_event, parse_event, sign_event
from dicast.protocol.messages import Kind
from dicast.transports.nostr_frames import LIVE, Relayed
from dicast.transports.nostr_hearsay import SUGGESTED_LINKS_MAX, ListedNostrTransport
from dicast.transports.nostr_lists import (
    AUTHORS_ASKED_MAX,
    AUTHORS_KNOWN_MAX,
    LIST_KIND,
    LISTS,
    RELAYS_TOLD_MAX,
    RelayLists,
    relays_of,
    tellable_relays,
)
from waiting import WAIT_SECONDS_MAX

ALICE, BOB = KeyPair.from_seed(b"alice".ljust(32)), KeyPair.from_seed(b"bob".ljust(32))


def list_of(key: KeyPair, *relays: tuple[str, ...], kind: int = LIST_KIND) -> bytes:
    return encode_event(sign_event(key, int(time.time()), kind, [("r", *relay) for relay in relays], ""))


def test_told_is_what_others_can_reach_and_no_secret() -> None:
    public = ["wss://a.example", "ws://b.example", "wss://c.example?token=1", "wss://u:p@d.example"]
    assert tellable_relays([*public, "ws://127.0.0.1:1"]) == ("wss://a.example",)
    assert tellable_relays(["ws://127.0.0.1:1", "ws://localhost:2"]) == (
        "ws://127.0.0.1:1",
        "ws://localhost:2",
    )
    assert len(tellable_relays([f"wss://{number}.example" for number in range(9)])) == RELAYS_TOLD_MAX


def test_a_list_counts_when_its_author_was_asked_for_and_signed_it() -> None:
    genuine = list_of(ALICE, ("wss://a.example",), ("wss://b.example", "read"), ("wss://c.example", "write"))
    assert relays_of(genuine, (ALICE.node_id,)) == ("wss://a.example", "wss://c.example")
    assert relays_of(genuine, (BOB.node_id,)) == ()
    assert relays_of(genuine.replace(b"a.example", b"x.example"), (ALICE.node_id,)) == ()
    assert relays_of(list_of(ALICE, ("wss://a.example",), kind=1), (ALICE.node_id,)) == ()
    forged = genuine.replace(parse_event(genuine).sig.encode(), b"0" * 128)
    assert relays_of(forged, (ALICE.node_id,)) == ()
    many = list_of(ALICE, *((f"wss://{number}.example",) for number in range(60)))
    assert len(relays_of(many, (ALICE.node_id,))) == RELAYS_TOLD_MAX


@given(st.binary(max_size=300))
def test_theorem_20_8_whatever_comes_as_a_list_raises_nothing_and_names_at_most_four_relays(
    data: bytes,
) -> None:
    heard = list[str]()
    lists = RelayLists(BOB, ["wss://a.example"], heard.append)
    lists.note(ALICE.node_id)
    lists.question()
    for wire in (data, list_of(ALICE, ("wss://b.example",)).replace(b"wss", data[:9])):
        lists.answer(Relayed(LISTS, wire, LIST_KIND, 0))
    assert len(heard) <= RELAYS_TOLD_MAX


def test_authors_and_answers_are_bounded() -> None:
    lists = RelayLists(BOB, ["wss://a.example"], lambda _: None)
    assert lists.question() is None
    assert not lists.answer(Relayed(LISTS, b"{}", LIST_KIND, 0)), "nothing was asked for"
    for number in range(2 * AUTHORS_KNOWN_MAX):
        lists.note(f"{number:064x}")
    asked = json.loads(lists.question() or b"")[2]["authors"]
    assert asked == [
        f"{number:064x}" for number in range(2 * AUTHORS_KNOWN_MAX - AUTHORS_ASKED_MAX, 2 * AUTHORS_KNOWN_MAX)
    ]
    answered = [lists.answer(Relayed(LISTS, b"{}", LIST_KIND, 0)) for _ in range(AUTHORS_ASKED_MAX + 1)]
    assert answered == [True] * AUTHORS_ASKED_MAX + [False]


@pytest.mark.anyio
async def test_what_may_not_be_dialled_on_a_strangers_word() -> None:
    near = ListedNostrTransport(["ws://127.0.0.1:9"], BOB)
    far = ListedNostrTransport(["wss://relay.example.org"], BOB)
    for address in (
        "ws://relay.example.net",
        "ws://127.example.net",
        "wss://relay.example.net/?token=x",
        "wss://u:p@relay.example.net",
        "wss://relay.example.net:22",
        "http://relay.example.net",
        "wss://[::1",
        "x" * 5000,
    ):
        near.suggest(address)
        far.suggest(address)
    far.suggest("ws://127.0.0.1:8")
    far.suggest("wss://relay.example.org")
    assert (len(near._hearsay), len(far._hearsay)) == (0, 0)
    near.suggest("ws://127.0.0.1:8001")
    far.suggest("wss://relay.example.net")
    assert (len(near._hearsay), len(far._hearsay)) == (1, 1)
    far._hearsay.take()
    for private in ("wss://127.0.0.1:8001", "wss://10.0.0.1", "wss://169.254.1.1"):
        with pytest.raises((ValueError, KeyError)):
            await far._checked_host(private)


@pytest.mark.anyio
async def test_a_node_is_led_to_the_relay_of_another_and_stays_out_of_further_ones(
    make_relay, topic, wait_until, make_packet
) -> None:
    shared, other, third = make_relay(), make_relay(), make_relay()
    alice = ListedNostrTransport([shared.url, other.url], ALICE)
    bob, heard = ListedNostrTransport([shared.url], BOB), list[bytes]()
    card = encode_event(
        sign_event(ALICE, int(time.time()), Kind.ANNOUNCEMENT, [("t", topic), ("d", topic)], "{}")
    )
    try:
        await alice.start(topic, lambda _: None)
        await wait_until(lambda: alice.health().state == "up")
        assert list(alice.addresses()) == [shared.url, other.url]
        alice.publish(card)
        await bob.start(topic, heard.append)
        await wait_until(lambda: set(bob.peers()) == {shared.url, other.url})
        assert "1 that others told of" in bob.health().detail
        shared.kill()
        alice.publish(wire := make_packet("over the relay that bob was told of"))
        await wait_until(lambda: wire in heard)
        bob.publish(back := make_packet("and back"))
        bob.suggest(third.url)
        await wait_until(lambda: third.url in bob.peers())
        assert len(bob._found) == SUGGESTED_LINKS_MAX
        assert back != wire
    finally:
        await asyncio.gather(alice.stop(), bob.stop())
    assert (alice.peers(), bob.peers(), list(alice.addresses())) == ([], [], [])


@pytest.mark.anyio
async def test_the_list_is_one_that_other_software_reads(make_relay, topic, wait_until) -> None:
    relay = make_relay()
    alice = ListedNostrTransport([relay.url], ALICE)
    await alice.start(topic, lambda _: None)
    try:
        await wait_until(lambda: alice.health().state == "up")
        client = nostr_sdk.Client()
        await client.add_relay(nostr_sdk.RelayUrl.parse(relay.url))
        await client.connect()
        author = nostr_sdk.PublicKey.parse(ALICE.node_id)
        wanted = nostr_sdk.Filter().author(author).kind(nostr_sdk.Kind(LIST_KIND))
        target = nostr_sdk.ReqTarget.auto([wanted])
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            found = list[nostr_sdk.Event]()
            while not found:
                found = await client.fetch_events(target, timedelta(seconds=2))
        told = nostr_sdk.extract_relay_list(found[0])
        assert [str(url) for url in told] == [relay.url]
        await client.shutdown()
    finally:
        await alice.stop()


@pytest.mark.anyio
async def test_events_of_other_kinds_do_not_come_in(lying_relay, topic, wait_until) -> None:
    note = json.loads(encode_event(sign_event(ALICE, int(time.time()), 1, [("t", topic)], "hello")))
    own = json.loads(encode_event(sign_event(ALICE, int(time.time()), Kind.COMMIT, [("t", topic)], "{}")))

    async def lie(connection) -> None:
        await connection.recv()
        for event in (note, json.loads(list_of(ALICE, ("wss://a.example",))), own):
            await connection.send(json.dumps(["EVENT", LIVE, event]))
        await connection.send(json.dumps(["EOSE", LIVE]))
        await connection.wait_closed()

    bob, heard = ListedNostrTransport([await lying_relay(lie)], BOB), list[bytes]()
    await bob.start(topic, heard.append)
    try:
        await wait_until(lambda: bool(heard))
        assert [parse_event(wire).kind for wire in heard] == [Kind.COMMIT]
    finally:
        await bob.stop()
