"""GunDB from its table of settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicast.base.crypto import KeyPair
from dicast.base.errors import ConfigurationError
from dicast.daemon import plugins
from dicast.transports.gun import GunTransport


def build(name: str, **table: object):
    surroundings = plugins.Surroundings("", Path(), (), KeyPair.from_seed(b"builtin"))
    return plugins.build(plugins.TRANSPORTS, name, table, surroundings)


def test_each_has_the_name_of_its_table() -> None:
    built = [
        build("gun", relays=["wss://relay.example.org/gun"]),
        build("garden", plugin="gun", listen="127.0.0.1:0", pages=True),
        build("gun", listen="0.0.0.0:8765", public=True),
    ]
    assert [type(one) for one in built] == [GunTransport] * 3
    assert [one.name for one in built] == ["gun", "garden", "gun"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "relays"),
        ({"relays": ["http://relay.example.org/gun"]}, "wss://relay.example.org/gun"),
        ({"relays": [f"ws://192.0.2.{host}/gun" for host in range(17)]}, "17 relays"),
        ({"listen": "0.0.0.0:8765"}, "public = true"),
        ({"listen": "example.org:8765"}, "no address"),
    ],
)
def test_what_does_not_fit_is_named_with_the_next_step(table: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build("gun", **table)
    assert said in str(caught.value)
