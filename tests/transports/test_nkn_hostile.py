"""Strangers on NKN, and lines of a process gone mad: read or refused, and never more than a few kept."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dicast.transports.nkn_frames import (
    ADDRESSES_MAX,
    Frame,
    Said,
    Tag,
    frame_of,
    greeting,
    is_address,
    read_frame,
    read_line,
    sent_bytes,
)
from dicast.transports.nkn_peers import (
    HEARSAY_MAX,
    HELLO_SECONDS,
    PRESENT_MAX,
    SILENT_SECONDS_MAX,
    TRIES_MAX,
    NknPeers,
)

TOPIC = "ab" * 32
OWN = f"dicast.{'00' * 32}"
tags = st.sampled_from(list(Tag))
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=9)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["address", "ready", "from", "base64", "done", "why", "problem", "more"]), inner
        ),
    ),
    max_leaves=12,
)


def address(number: int) -> str:
    return f"dicast.{number:064x}"


@given(st.binary(max_size=80), tags)
def test_theorem_20_34_any_message_is_read_or_none(data: bytes, tag: Tag) -> None:
    assert read_frame(data, TOPIC) is None or data[1:33] == bytes.fromhex(TOPIC)
    frame = read_frame(frame_of(tag, TOPIC, data), TOPIC)
    assert frame == Frame(tag, data)
    assert all(is_address(one) for one in frame.addresses)
    assert len(frame.addresses) <= ADDRESSES_MAX
    assert read_frame(frame_of(tag, "cd" * 32, data), TOPIC) is None


@given(st.lists(st.integers(0, 2**256 - 1).map(address), max_size=40))
def test_theorem_20_34_a_greeting_names_the_first_few(addresses: list[str]) -> None:
    frame = read_frame(greeting(Tag.HELLO, TOPIC, addresses), TOPIC)
    assert frame is not None
    assert list(frame.addresses) == addresses[:ADDRESSES_MAX]


@given(st.one_of(st.binary(max_size=80), json_values.map(lambda value: json.dumps(value).encode())))
def test_theorem_20_35_any_line_is_read_or_none(line: bytes) -> None:
    said = read_line(line)
    assert said is None or isinstance(sent_bytes(said), bytes)


@given(st.text(max_size=20))
def test_theorem_20_35_what_is_no_base64_is_nothing(text: str) -> None:
    assert isinstance(sent_bytes(Said(base64=text)), bytes)


@given(
    st.lists(st.tuples(st.integers(0, 150), st.sampled_from(["says", "is named", "leaves", "asks", "time"])))
)
def test_theorem_20_36_who_is_known_is_bounded_and_those_given_have_a_place(events: list[Any]) -> None:
    given_ones = [address(number) for number in range(3)]
    peers, now = NknPeers(given_ones), 0.0
    for number, event in events:
        match event:
            case "says":
                assert peers.heard(address(number), now) or number >= 3
            case "is named":
                peers.suggest(address(number), OWN)
            case "leaves":
                peers.left(address(number))
            case "asks":
                peers.may_answer(address(number), now)
            case _:
                now += number
                assert len(peers.to_greet(now)) <= len(given_ones) + PRESENT_MAX + HEARSAY_MAX
        assert len(peers.present) <= PRESENT_MAX


def test_a_crowd_of_strangers_fills_the_table_but_those_given_get_in() -> None:
    peers = NknPeers([address(0)])
    heard = [peers.heard(address(number), 0.0) for number in range(1, 100)]
    assert heard == [True] * PRESENT_MAX + [False] * (99 - PRESENT_MAX)
    assert (peers.heard(address(0), 0.0), len(peers.present)) == (True, PRESENT_MAX)
    assert not peers.heard("no address", 0.0)


def test_hearsay_is_tried_a_few_times_and_the_silent_are_forgotten() -> None:
    peers, now = NknPeers([]), 0.0
    assert peers.suggest(address(1), OWN)
    assert not peers.suggest(address(1), OWN)
    assert not peers.suggest(OWN, OWN)
    tried = 0
    for _ in range(2 * TRIES_MAX):
        tried += len(peers.to_greet(now))
        now += HELLO_SECONDS
    assert tried == TRIES_MAX
    assert peers.heard(address(2), now)
    assert (peers.may_answer(address(2), now), peers.may_answer(address(2), now + 0.5)) == (True, False)
    peers.to_greet(now + SILENT_SECONDS_MAX + 1)
    assert peers.present == []
