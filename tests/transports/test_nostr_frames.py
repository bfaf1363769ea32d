"""What a relay says, read without ever raising."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.base.crypto import KeyPair
from dicast.base.events import Event, encode_event, is_signed, parse_event, sign_event
from dicast.protocol.messages import Kind
from dicast.transports.nostr_frames import (
    LIVE,
    Answered,
    Challenge,
    Notice,
    Published,
    Relayed,
    StoredEnd,
    SubscriptionClosed,
    auth_frame,
    close_frame,
    event_frame,
    fetch_frame,
    parse_frame,
    parse_published,
    wanted_ids,
)

KEY = KeyPair.from_seed(b"a relay's client".ljust(32))
TOPIC = "ab" * 32


def event(content: str = "hello", kind: int = Kind.REQUEST, created_at: int = 1_700_000_000) -> Event:
    return sign_event(KEY, created_at, kind, (("t", TOPIC),), content)


def test_each_frame_of_a_relay_is_read() -> None:
    packet = event()
    relayed = Relayed(LIVE, encode_event(packet), Kind.REQUEST, 1_700_000_000)
    frames = {
        b'["EVENT","live",' + encode_event(packet) + b"]": relayed,
        b'["EOSE","live"]': StoredEnd("live"),
        b'["OK","ab",true,""]': Answered("ab", True, ""),
        b'["OK","ab",false,"rate-limited: slow"]': Answered("ab", False, "rate-limited: slow"),
        b'["OK","ab",true]': Answered("ab", True, ""),
        b'["CLOSED","live","auth-required: who?"]': SubscriptionClosed("live", "auth-required: who?"),
        b'["CLOSED","live"]': SubscriptionClosed("live", ""),
        b'["NOTICE","hi"]': Notice("hi"),
        b' [ "AUTH" , "123" ] ': Challenge("123"),
    }
    assert {data: parse_frame(data) for data in frames} == frames


def test_an_event_with_other_spelling_and_key_order_comes_out_canonical() -> None:
    packet = event('Grüße \U0001f600 / \u2028 "quoted"\n')
    fields: dict[str, Any] = json.loads(encode_event(packet))
    respelled = json.dumps(
        ["EVENT", LIVE, dict(reversed(fields.items()))], ensure_ascii=True, indent=1
    ).encode()
    read = parse_frame(respelled.replace(b"/", b"\\/"))
    assert read == Relayed(LIVE, encode_event(packet), Kind.REQUEST, 1_700_000_000)


def test_a_forged_copy_is_handed_on_as_it_is() -> None:
    forged = encode_event(event()).replace(b"hello", b"jello")
    read = parse_frame(event_frame(forged).replace(b'"EVENT",', b'"EVENT","live",'))
    assert isinstance(read, Relayed)
    assert read.wire == forged


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b'"EVENT"',
        b"[1,2,3]",
        b'["EVENT"]',
        b'["EVENT","live",{}]',
        b'["EVENT","live",[]]',
        b'["EVENT",1,{}]',
        b'["EOSE"]',
        b'["EOSE","live",1]',
        b'["OK","ab","true",""]',
        b'["OK",null,true,""]',
        b'["NOTICE",{}]',
        b'["NOTICE","\xff"]',
        b'["AUTH",""' + b"]" * 3,
        b'["AUTH","' + b"x" * 10_000 + b'"]',
        b'["WHAT","ab"]',
        b"\x00\xff\xfe",
        b"[" * 100_000,
        b'["EVENT","live",' + b"[" * 100_000,
        b'["EVENT","live",{"id":' + b'{"a":' * 100_000,
        b'["OK","ab",' + b"9" * 10_000 + b"]",
    ],
)
def test_what_no_relay_says_is_none(data: bytes) -> None:
    assert parse_frame(data) is None


def test_an_event_over_the_limit_is_none() -> None:
    fields = {**json.loads(encode_event(event())), "content": "x" * 70_000}
    assert parse_frame(json.dumps(["EVENT", LIVE, fields]).encode()) is None


def test_reasons_are_cut() -> None:
    read = parse_frame(json.dumps(["NOTICE", "x" * 10_000]).encode())
    assert read == Notice("x" * 200)


@given(st.binary(max_size=200))
def test_theorem_20_1_any_bytes_are_a_frame_or_none(data: bytes) -> None:
    parse_frame(data)
    parse_published(data)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_LABELS = st.sampled_from(["EVENT", "EOSE", "OK", "CLOSED", "NOTICE", "AUTH", "COUNT", "event"])


@given(_LABELS, st.lists(_JSON, max_size=4))
def test_theorem_20_1_any_json_under_a_relays_label_is_a_frame_or_none(label: str, rest: list[Any]) -> None:
    parse_frame(json.dumps([label, *rest]).encode())


@given(st.integers(0, 400), st.binary(min_size=1, max_size=3))
def test_theorem_20_2_a_damaged_frame_never_becomes_another_packet(place: int, junk: bytes) -> None:
    packet = event()
    frame = bytearray(b'["EVENT","live",' + encode_event(packet) + b"]")
    frame[place : place + len(junk)] = junk
    read = parse_frame(bytes(frame))
    if isinstance(read, Relayed):
        assert read.wire == encode_event(packet) or not _is_genuine(read.wire)


def _is_genuine(wire: bytes) -> bool:
    try:
        return is_signed(parse_event(wire))
    except Exception:  # whatever is wrong with it, it is not genuine
        return False


def test_what_we_say_is_what_a_relay_reads() -> None:
    packet = event()
    assert json.loads(event_frame(encode_event(packet))) == ["EVENT", json.loads(encode_event(packet))]
    assert json.loads(auth_frame(packet)) == ["AUTH", json.loads(encode_event(packet))]
    assert json.loads(close_frame("fetch")) == ["CLOSE", "fetch"]
    assert json.loads(fetch_frame(("aa", "bb"))) == ["REQ", "fetch", {"ids": ["aa", "bb"], "limit": 2}]


def test_a_want_names_the_ids_it_wants() -> None:
    want = event(json.dumps({"v": 1, "ids": ["aa" * 32, "bb" * 32]}), Kind.WANT)
    published = parse_published(encode_event(want))
    assert published == Published(want.id, Kind.WANT, want.content, want.created_at)
    assert wanted_ids(published) == ("aa" * 32, "bb" * 32)


@pytest.mark.parametrize("content", ["", "[]", '{"ids":1}', '{"ids":[1]}', "\\"])
def test_a_want_that_names_nothing_asks_for_nothing(content: str) -> None:
    assert wanted_ids(Published("ab", Kind.WANT, content)) == ()


def test_other_kinds_want_nothing() -> None:
    assert wanted_ids(Published("ab", Kind.QUORUM, '{"ids":["aa"]}')) == ()
