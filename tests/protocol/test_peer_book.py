"""The address book: quotas, ping before evict, and that a flood drives nobody out; page 21's theorems."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicast.base.types import Now
from dicast.protocol.peer_book import (
    AVOID_MS,
    FAILURES_MAX,
    HEARSAY_A_SUBNET_MAX,
    HEARSAY_A_TELLER_MAX,
    PROBE_MS,
    PROVEN_A_SUBNET_MAX,
    RETRY_MS,
    PeerBook,
    Source,
)
from dicast.protocol.places import NEAR, UNREADABLE, Place, is_tellable, places_of, subnet_of, tellable

MESH = frozenset({"mesh"})
HEARD = st.sampled_from([source for source in Source if source is not Source.GIVEN])


def at(ms: int) -> Now:
    return Now(ms, ms)


def place(network: int, host: int = 1) -> Place:
    return Place("mesh", f"ws://{network // 200 + 20}.{network % 200}.0.{host}:7780")


def book_with(*places: Place) -> PeerBook:
    """A book in which these have answered."""
    book = PeerBook(b"secret")
    for one in places:
        book.hear(one, Source.GIVEN, "", at(0))
    book.see_links(places, at(0))
    book.see_links((), at(1))
    return book


def proven(book: PeerBook) -> set[Place]:
    return {one.place for one in book.known() if one.is_proven}


@pytest.mark.parametrize(
    ("address", "subnet"),
    [
        ("ws://198.51.100.7:7780", "198.51.0.0/16"),
        ("wss://NODE.eu.Example.org/path", "example.org"),
        ("tcp/203.0.113.9:7447", "203.0.0.0/16"),
        ("tls/[2001:db8:1:2::3]:7447", "2001:db8:1::/48"),
        ("/ip4/203.0.113.9/tcp/4001/p2p/12D3", "203.0.0.0/16"),
        ("/ip6/2001:db8::1/tcp/1", "2001:db8::/48"),
        ("/dns4/a.example.net/tcp/443", "example.net"),
        ("ws://[::ffff:198.51.100.7]:1", "198.51.0.0/16"),
        ("ws://127.0.0.1:1", NEAR),
        ("ws://192.168.7.1:1", NEAR),
        ("tcp/[fe80::1%eth0]:1", NEAR),
        ("ws://machine.local:1", NEAR),
        ("", UNREADABLE),
        ("/p2p-circuit", UNREADABLE),
        ("ws://", UNREADABLE),
        ("ws://.:1", UNREADABLE),
    ],
)
def test_the_subnet_of_an_address(address: str, subnet: str) -> None:
    assert subnet_of(address) == subnet


@given(st.text(max_size=80), st.text(max_size=300))
def test_theorem_21_3_any_text_has_a_subnet_and_only_printable_ascii_is_told(name: str, address: str) -> None:
    assert subnet_of(address)
    told = tellable({name: (address,)})
    assert told == ({name: (address,)} if is_tellable(name, address) else {})
    assert all(one.address.isascii() and " " not in one.address for one in places_of({name: (address,)}))


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 250), HEARD, st.integers(0, 9)), max_size=300))
def test_theorem_21_4_a_flood_fills_its_quota_and_no_more(flood) -> None:
    book = PeerBook(b"secret")
    honest = [place(1_000 + number) for number in range(40)]
    for one in honest:
        assert book.hear(one, Source.ANNOUNCEMENT, str(one), at(0))
    for network, host, source, teller in flood:
        book.hear(place(network, host), source, f"liar {teller}", at(1))
    known = book.known()
    assert {one.place for one in known} >= set(honest)
    for network in range(6):
        assert sum(one.subnet == subnet_of(place(network).address) for one in known) <= HEARSAY_A_SUBNET_MAX
    for teller in range(10):
        assert sum(one.teller == f"liar {teller}" for one in known) <= HEARSAY_A_TELLER_MAX


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(0, 90), max_size=12), max_size=30))
def test_theorem_21_5_who_answers_when_asked_is_never_evicted(rounds) -> None:
    friends = [place(2_000 + number) for number in range(5)]
    book = book_with(*friends)
    ms = 10
    for hosts in rounds:
        strangers = [place(host // 3, host) for host in hosts]
        for one in strangers:
            book.hear(one, Source.RECORD, str(one), at(ms))
        book.see_links(strangers, at(ms))
        asked = book.challenge(at(ms), MESH)
        book.see_links([*strangers, *(one for one in asked if one in friends)], at(ms + 1))
        book.expire(at(ms + PROBE_MS))
        ms += RETRY_MS
        assert proven(book) >= set(friends)
    for network in range(40):
        held = [
            one for one in book.known() if one.is_proven and one.subnet == subnet_of(place(network).address)
        ]
        assert len(held) <= PROVEN_A_SUBNET_MAX


def test_a_proven_address_that_does_not_answer_makes_room_for_one_that_does() -> None:
    old = [place(7, host) for host in range(PROVEN_A_SUBNET_MAX)]
    new, link = place(7, 99), place(8)
    book = PeerBook(b"secret")
    for one in old:
        book.hear(one, Source.RECORD, str(one), at(0))
    book.see_links(old, at(0))
    book.hear(new, Source.RECORD, "x", at(0))
    book.see_links([link], at(1))
    ms, asked = 1, list[Place]()
    while new not in proven(book):
        book.see_links([new, link], at(ms))
        asked += book.challenge(at(ms), MESH)
        book.expire(at(ms + PROBE_MS))
        ms += 8 * RETRY_MS
    assert len(proven(book)) == PROVEN_A_SUBNET_MAX
    assert len(asked) == FAILURES_MAX * len(set(asked)) or len(set(asked)) > 1


def test_without_any_link_nobody_is_blamed_for_silence() -> None:
    friends = [place(number) for number in range(3)]
    book = PeerBook(b"secret")
    for one in friends:
        book.hear(one, Source.RECORD, str(one), at(0))
    for turn in range(1, 9):
        book.take(3, at(turn * 100 * RETRY_MS), MESH)
        book.expire(at(turn * 100 * RETRY_MS + PROBE_MS))
    assert {one.place for one in book.known()} == set(friends)


def test_who_never_answers_is_forgotten_and_not_heard_for_an_hour() -> None:
    book, dead, link = PeerBook(b"secret"), place(1), place(2)
    book.hear(dead, Source.RECORD, "a", at(0))
    ms = 0
    for _ in range(FAILURES_MAX):
        book.see_links([link], at(ms))
        assert book.take(3, at(ms), MESH) == (dead,)
        book.expire(at(ms + PROBE_MS))
        ms += 8 * RETRY_MS
    assert book.known() == ()
    assert not book.hear(dead, Source.RECORD, "b", at(ms))
    assert book.hear(dead, Source.RECORD, "b", at(ms + AVOID_MS))


def test_tries_go_to_different_subnets_and_given_addresses_first() -> None:
    book = PeerBook(b"secret")
    for host in range(6):
        book.hear(place(1, host), Source.RECORD, f"{host}", at(0))
    for network in (2, 3):
        book.hear(place(network), Source.RECORD, f"n{network}", at(0))
    book.hear(place(1, 9), Source.GIVEN, "", at(0))
    first, *others = book.take(3, at(0), MESH)
    assert first == place(1, 9)
    assert set(others) == {place(2), place(3)}


def test_only_what_was_seen_alive_is_told_and_not_all_of_it() -> None:
    friends = [place(number) for number in range(10)]
    book = book_with(*friends)
    book.hear(place(50), Source.RECORD, "x", at(2))
    answers = {asker: book.told(["mesh", "other"], asker)["mesh"] for asker in "abc"}
    assert {len(told) for told in answers.values()} == {4}
    assert {one for told in answers.values() for one in told} <= {one.address for one in friends}
    assert answers == {asker: book.told(["mesh"], asker)["mesh"] for asker in "abc"}
