"""Addresses as they may be dialled, and as they may be shown."""

from __future__ import annotations

import io

import pytest

from dicast.addresses import is_websocket, without_user
from dicast.base.errors import ConfigurationError
from dicast.daemon.logs import Log
from dicast.daemon.transport_settings import check_url


def test_what_can_be_dialled_by_websocket() -> None:
    good = ["ws://127.0.0.1:7777", "wss://relay.example", "wss://[::1]:1/path", "ws://u:p@a"]
    wrong = ["http://a", "ws://", "ws://a:99999", "ws://a:x", "ws://[::1", "", "a"]
    assert [one for one in (*good, *wrong) if is_websocket(one)] == good


def test_the_user_and_the_password_in_an_address_are_never_shown() -> None:
    assert (
        without_user("ws://me:word@a.example:1/x; wss://b.example/@c")
        == "ws://a.example:1/x; wss://b.example/@c"
    )
    said = io.StringIO()
    Log(stream=said).info("ready", relays="wss://me:secret-word@a.example")
    assert ("secret-word" in said.getvalue(), "wss://a.example" in said.getvalue()) == (False, True)
    with pytest.raises(ConfigurationError, match="takes no user and password") as refusal:
        check_url("transports.mqtt.broker", "mqtt://me:secret-word@a.example", ("mqtt",), "mqtt://b.example")
    assert "secret-word" not in str(refusal.value)
