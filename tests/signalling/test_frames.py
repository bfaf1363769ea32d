"""Inbound frames: whatever the bytes, they are a frame or refused with an error of our own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicast.base.errors import ConfigurationError, RemoteProtocolError
from dicast.signalling import frames
from dicast.signalling.member import BURST_SECONDS, BYTES_A_SECOND, FRAMES_A_SECOND, Control, Pace
from dicast.signalling.settings import SignalSettings, check_settings, check_url, is_endpoint, parse_place

GOOD: list[dict[str, Any]] = [
    {"do": "hello", "name": "ab" * 8, "uplink_kbps": 5},
    {"do": "subscribe", "id": "q", "query": {"a": 1}, "form": "ids", "backlog": True},
    {"do": "unsubscribe", "id": "q"},
    {"do": "publish", "event": {}},
    {"do": "want", "ids": ["cd" * 32]},
    {"do": "introduce", "to": "ab" * 8 + ".7", "body": "offer"},
    {"do": "peers"},
]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    frame = dict(draw(st.sampled_from(GOOD)))
    name = draw(st.sampled_from([*frame, "more"]))
    frame[name] = draw(anything)
    data = bytearray(json.dumps(frame).encode("utf-8", "surrogatepass"))
    for _ in range(draw(st.integers(0, 2))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


@settings(max_examples=600, deadline=None)
@given(damaged() | st.binary(max_size=80))
def test_theorem_41_1_whatever_bytes_come_they_are_a_frame_or_refused(data: bytes) -> None:
    for read in (frames.read_call, frames.read_card, frames.read_handed):
        try:
            read(data)
        except RemoteProtocolError as error:
            assert error.code == "signal_frame"  # noqa: PT017 (most inputs raise nothing)


def test_every_frame_of_the_page_is_read() -> None:
    assert [type(frames.read_call(json.dumps(frame).encode())).__name__ for frame in GOOD] == [
        "Hello",
        "Subscribe",
        "Unsubscribe",
        "Publish",
        "Want",
        "Introduce",
        "Peers",
    ]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2_000), st.integers(1, 50_000)), max_size=200))
def test_theorem_41_2_a_client_is_read_at_most_at_its_pace(steps: list[tuple[int, int]]) -> None:
    now = 0.0
    pace = Pace(lambda: now)
    frames_read = bytes_read = 0
    for waited_ms, size in steps:
        now += waited_ms / 1000
        frames_read, bytes_read = frames_read + 1, bytes_read + size
        now += pace.pause_seconds(size)
        allowed = now + BURST_SECONDS + 1e-6
        assert frames_read <= allowed * FRAMES_A_SECOND
        assert bytes_read <= allowed * BYTES_A_SECOND


def test_control_frames_are_bounded() -> None:
    control = Control()
    for number in range(10_000):
        control.put(b"%d" % number)
    kept = []
    while (frame := control.take()) is not None:
        kept.append(int(frame))
    assert (kept, control.dropped) == (list(range(10_000 - 256, 10_000)), 10_000 - 256)


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        (SignalSettings(listen=("0.0.0.0", 1)), "signal_public"),
        (SignalSettings(mesh=("192.0.2.1", 1)), "signal_public"),
        (SignalSettings(listen=("0.0.0.0", 1), is_public=True), "signal_keyless"),
        (SignalSettings(key="short"), "signal_key"),
        (SignalSettings(key="x" * 15 + "\n"), "signal_key"),
        (SignalSettings(join=("ftp://127.0.0.1",)), "signal_url"),
        (SignalSettings(join=("ws://u:p@127.0.0.1",)), "signal_url"),
        (SignalSettings(announce="ws://"), "signal_url"),
        (SignalSettings(stun=("192.0.2.1:3478",)), "signal_stun"),
        (SignalSettings(stun=("stun:192.0.2.1:3478", "turn:192.0.2.1")), "signal_stun"),
        (SignalSettings(join=("ws://127.0.0.1:1",) * 17), "signal_joins"),
    ],
)
def test_what_would_let_others_in_or_is_no_address_is_refused(settings: SignalSettings, code: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        check_settings(settings)
    assert refusal.value.code == code


def test_addresses_as_people_write_them() -> None:
    assert [check_url(url) for url in ("http://127.0.0.1:1/", "wss://a.b/c/", "ws://[::1]:2")] == [
        "ws://127.0.0.1:1",
        "wss://a.b/c",
        "ws://[::1]:2",
    ]
    assert parse_place("7780", "--listen") == ("127.0.0.1", 7780)
    assert parse_place("[::1]:0", "--listen") == ("::1", 0)
    for text in ("", "a:1", "127.0.0.1", "127.0.0.1:65536", "127.0.0.1:-1"):
        with pytest.raises(ConfigurationError):
            parse_place(text, "--listen")


def test_only_plain_endpoints_of_others_are_dialled() -> None:
    good = ["tcp/127.0.0.1:7447", "tcp/[::1]:1", "tcp/signal.example.org:65535"]
    wrong = [
        "garbage",
        "tcp/127.0.0.1:0",
        "tcp/127.0.0.1:65536",
        "tcp/127.0.0.1:1#iface=lo",
        "unixpipe/x:1",
        "tcp/a:-1",
    ]
    assert [one for one in (*good, *wrong) if is_endpoint(one)] == good
