"""Trystero's format: what its own code (0.25.4) made is read alike, and whatever bytes come raise nothing."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dicast.base.limits import PACKET_BYTES_MAX
from dicast.transports import trystero_frames as frames
from dicast.transports.signalling_tracker import TrackerMessage, parse_message, signal_of
from dicast.transports.trystero import (
    NODE_PREFIX,
    Room,
    Signal,
    encode_signal,
    is_id,
    is_node,
    nostr_kind,
    parse_signal,
    tracker_hash,
)
from dicast.transports.trystero_frames import Assembler, Chunk, Message, Presence, parse_frame

NAME = "ab" * 32
ROOM = Room(NAME)
PEER = "0123456789abcdefghij"
SEALED_BY_TRYSTERO = (
    "142,167,82,204,253,204,81,221,230,255,140,167,255,210,187,189$+jkj6zkkSkU3HFDjjIM9gtSH/PL/p1wjKlKD"
)
SEALED_WITH_PASSWORD = "38,52,81,93,123,208,224,35,77,38,228,214,89,33,174,28$0VvO6FgJCqD7h6RwtSWjvkQ39g=="


def test_a_room_has_the_names_that_trystero_gives_it() -> None:
    assert (
        ROOM.topic,
        ROOM.topic_of(PEER),
        ROOM.token,
        nostr_kind(ROOM.topic),
        tracker_hash(ROOM.topic),
    ) == (
        "6j5131g373nc4w3g5y561w6r6c421w73b2m69",
        "404l5t4c151q5p5y5nv3u731k483q5b5k2q1r2a",
        b"cbb68b6f4b7825370b2b11ed0632676966b7042fbc9355a3b9d31d35225a1224",
        22670,
        "5a3u5c2d5n3u593s2w1l",
    )


def test_what_trystero_sealed_opens_in_its_room_alone() -> None:
    locked = Room(NAME, password="secret")
    assert (ROOM.open(SEALED_BY_TRYSTERO), locked.open(SEALED_WITH_PASSWORD)) == ("v=0 grüße", "v=0")
    assert (locked.open(SEALED_BY_TRYSTERO), ROOM.open(SEALED_WITH_PASSWORD)) == (None, None)
    nonce = bytes(map(int, SEALED_BY_TRYSTERO.partition("$")[0].split(",")))
    assert ROOM.seal("v=0 grüße", nonce) == SEALED_BY_TRYSTERO


@pytest.mark.parametrize(
    "sealed",
    [
        "",
        "$",
        "1,2$",
        "$AAAA",
        "a,b$AAAA",
        "1,2,3$AAAA",
        "256" * 16 + "$AAAA",
        "-1,2$AA==",
        "1,2$é",
        "x" * 50_000,
        SEALED_BY_TRYSTERO[:-1],
        SEALED_BY_TRYSTERO.replace("142", "143"),
        "1," + SEALED_BY_TRYSTERO,
    ],
)
def test_what_is_not_sealed_here_does_not_open(sealed: str) -> None:
    assert ROOM.open(sealed) is None


@given(st.text(max_size=200), st.binary(min_size=16, max_size=16))
def test_what_is_sealed_opens(text: str, nonce: bytes) -> None:
    assert ROOM.open(ROOM.seal(text, nonce)) == text


@given(st.text())
@example("١,٢$AAAA")
def test_opening_raises_nothing(sealed: str) -> None:
    assert ROOM.open(sealed) is None


def test_signals_are_read_as_trystero_writes_them() -> None:
    assert [parse_signal(text) for text in SIGNALS_OF_TRYSTERO] == [
        Signal(PEER),
        Signal(PEER, offer="o$o", offer_id="abcdefghijkl"),
        Signal(PEER, answer="a$a", offer_id="abcdefghijkl"),
        Signal(PEER, candidate="c$c", passive=True),
    ]
    assert encode_signal(Signal(PEER, answer="a", offer_id="o1")) == (
        b'{"peerId":"0123456789abcdefghij","answer":"a","offerId":"o1"}'
    )
    assert [parse_signal(text).is_announcement for text in SIGNALS_OF_TRYSTERO] == [True, False, False, False]


SIGNALS_OF_TRYSTERO = [
    '{"peerId":"0123456789abcdefghij"}',
    '{"peerId":"0123456789abcdefghij","offerId":"abcdefghijkl","offer":"o$o","more":1}',
    '{"peerId":"0123456789abcdefghij","answer":"a$a","offerId":"abcdefghijkl"}',
    '{"peerId":"0123456789abcdefghij","candidate":"c$c","passive":true}',
]
NO_SIGNALS = [
    "",
    "[]",
    "{}",
    '{"peerId":""}',
    '{"peerId":"a b"}',
    '{"peerId":1}',
    '{"peerId":"a","offer":{}}',
]
NO_SIGNALS += [
    '{"peerId":"a","offerId":"é"}',
    '{"peerId":"%s"}' % ("a" * 65),
    "[" * 5000,
    '{"peerId":"a"}' + " " * 70_000,
]


@pytest.mark.parametrize("text", NO_SIGNALS)
def test_what_is_no_signal_is_none(text: str) -> None:
    assert parse_signal(text) is None


@given(st.binary() | st.text())
def test_theorem_20_31_reading_a_signal_raises_nothing(data: bytes | str) -> None:
    signal = parse_signal(data)
    assert signal is None or is_id(signal.peer_id)
    message = parse_message(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))
    assert message is None or isinstance(signal_of(message), Signal | None)


def test_a_tracker_gives_offers_and_answers_of_peers_it_names() -> None:
    text = (
        b'{"action":"announce","info_hash":"h","offer_id":"o1","peer_id":"p1","%s":{"type":"%s","sdp":"s"}}'
    )
    both = b'{"offer_id":"o1","peer_id":"p1","offer":{"type":"","sdp":"s"},"answer":{"type":"","sdp":"s"}}'
    messages = [text % (b"offer", b"offer"), text % (b"answer", b"answer"), b'{"peer_id":"p1"}', both]
    assert [signal_of(parse_message(one) or TrackerMessage()) for one in messages] == [
        Signal("p1", offer="s", offer_id="o1"),
        Signal("p1", answer="s", offer_id="o1"),
        None,
        None,
    ]
    assert parse_message(b'{"failure reason":"no"}') == TrackerMessage(failure="no")


def test_nodes_are_told_from_pages_by_their_id() -> None:
    assert list(map(is_node, [NODE_PREFIX + "x" * 16, NODE_PREFIX + "x" * 15, PEER])) == [True, False, False]


def sent(message: Message, number: int = 0, *, is_binary: bool = True) -> list[bytes]:
    return list(frames.frames(ROOM.token, message, number, is_binary=is_binary))


def taken(parts: list[bytes]) -> list[Message]:
    assembler, messages = Assembler(), list[Message]()
    for part in parts:
        chunk = parse_frame(part, ROOM.token)
        assert isinstance(chunk, Chunk)
        message = assembler.take(chunk)
        messages += [] if message is None else [message]
    assert assembler.pending_bytes == 0
    return messages


def test_a_frame_is_laid_out_as_trystero_does() -> None:
    token = b"\x01\x00\x40" + ROOM.token
    head = b"packet".ljust(32, b"\0") + b"\x01\x02"
    assert sent(Message("packet", b"hi"), 0x10102) == [token + head + b"\x0d\xff" + b"hi"]
    assert sent(Message("@_ping", b""), is_binary=False) == [
        token + b"@_ping".ljust(32, b"\0") + b"\0\0" + b"\x01\xff"
    ]
    with_metadata = sent(Message("packet", b"hi", b'{"hops":3}'))
    assert [part[len(token) + 34] for part in with_metadata] == [0b1110, 0b1101]
    assert [part[len(token) + 35] for part in with_metadata] == [128, 255]


@given(
    st.binary(max_size=40_000) | st.just(b"x" * PACKET_BYTES_MAX),
    st.sampled_from([b"", b'{"hops":1}']),
    st.integers(0, 70_000),
)
def test_what_is_sent_arrives_whole(payload: bytes, metadata: bytes, number: int) -> None:
    message = Message("packet", payload, metadata)
    parts = sent(message, number)
    assert max(map(len, parts)) <= 16 * 1024 + 3 + len(ROOM.token)
    assert taken(parts) == [message]


def test_messages_that_come_at_the_same_time_are_kept_apart() -> None:
    one, other = (sent(Message("packet", text * 40_000), at) for at, text in enumerate([b"1", b"2"]))
    mixed = [part for pair in zip(one, other, strict=True) for part in pair]
    assert taken(mixed) == [Message("packet", b"1" * 40_000), Message("packet", b"2" * 40_000)]


@given(st.binary(max_size=300), st.binary(max_size=80))
def test_theorem_20_32_reading_a_frame_raises_nothing(data: bytes, rest: bytes) -> None:
    parse_frame(data, ROOM.token)
    token = b"\x01\x00\x40" + ROOM.token
    part = parse_frame(token + data, ROOM.token)
    assert part is None or isinstance(part, Chunk)
    presence = parse_frame(b"\x02\x01" + len(rest).to_bytes(2, "big") + rest, ROOM.token)
    assert presence == (Presence(rest) if rest else None)


chunks = st.builds(
    Chunk,
    st.sampled_from(["packet", "peers"]),
    st.integers(0, 40),
    st.integers(0, 255),
    st.sampled_from([0, 1, 1000, 16_348, 70_000]).map(bytes),
)


@given(st.lists(chunks, max_size=80))
def test_theorem_20_33_what_waits_for_its_end_is_bounded(parts: list[Chunk]) -> None:
    assembler = Assembler()
    for part in parts:
        message = assembler.take(part)
        assert assembler.pending_bytes <= frames.PENDING_BYTES_MAX
        assert message is None or len(message.payload) <= PACKET_BYTES_MAX + frames.METADATA_BYTES_MAX


def test_other_rooms_and_frames_that_are_too_large_are_nothing() -> None:
    frame = sent(Message("packet", b"hi"))[0]
    assert (parse_frame(frame, b"x" * 64), parse_frame(frame + b"x" * 140_000, ROOM.token)) == (None, None)
