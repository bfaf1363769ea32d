"""WebRTC from its table of settings: only this machine unless public, and what does not fit is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicast.base.crypto import KeyPair
from dicast.base.errors import ConfigurationError
from dicast.daemon import plugins
from dicast.transports.webrtc import WebRtcTransport

RELAYS = ("ws://127.0.0.1:7777",)


def build(name: str, known: tuple[str, ...] = RELAYS, **table: object):
    surroundings = plugins.Surroundings("", Path(), known, KeyPair.from_seed(b"builtin"))
    return plugins.build(plugins.TRANSPORTS, name, table, surroundings)


def test_each_has_the_name_of_its_table(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a password\n")
    turn = {"turn": ["turns:turn.example.org", "turn:192.0.2.1:3478?transport=tcp"], "turn_user": "me"}
    turn["turn_password_file"] = str(secret)
    brokers = {"brokers": ["mqtts://broker.example.org"], "broker_password_file": str(secret)}
    built = [
        build("webrtc"),
        build("webrtc", (), relays=["wss://relay.example.org"], trackers=["wss://tracker.example.org"]),
        build("webrtc", (), **brokers, links=4),
        build("office", plugin="webrtc", public=True, stun=["stun:stun.example.org:3478"], **turn),
        build("webrtc", relay_only=True, **turn),
    ]
    assert [type(one) for one in built] == [WebRtcTransport] * 5
    assert [one.name for one in built] == ["webrtc", "webrtc", "webrtc", "office", "webrtc"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"stun": ["stun:stun.example.org"]}, "public = true"),
        ({"stun": ["turn:turn.example.org"], "public": True}, "stun:stun.example.org:3478"),
        ({"stun": ["stun:a?transport=tcp"], "public": True}, "stun:stun.example.org:3478"),
        ({"turn": ["https://turn.example.org"]}, "turn:turn.example.org:3478"),
        ({"turn": ["turn:me@turn.example.org"]}, "turn:turn.example.org:3478"),
        ({"turn": ["turn:a"] * 17}, "at most 16"),
        ({"relay_only": True}, "turn = "),
        ({"relays": ["https://relay.example.org"]}, "wss://relay.example.org"),
        ({"trackers": ["udp://tracker.example.org"]}, "wss://tracker.example.org"),
        ({"brokers": ["broker.example.org"]}, "mqtts://broker.example.org"),
        ({"turn": ["turn:a"], "turn_password_file": "/nowhere"}, "/nowhere"),
        ({"links": 3}, "transports.webrtc.links"),
        ({"tracker": []}, "transports.webrtc"),
    ],
)
def test_what_does_not_fit_is_named_with_the_next_step(table: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build("webrtc", **table)
    assert said in str(caught.value)


def test_somewhere_to_meet_is_needed() -> None:
    with pytest.raises(ConfigurationError) as caught:
        build("webrtc", ())
    assert "relays" in str(caught.value)
