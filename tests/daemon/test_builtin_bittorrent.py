"""BitTorrent from its table of settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicast.base.crypto import KeyPair
from dicast.base.errors import ConfigurationError
from dicast.daemon import plugins
from dicast.torrent_session import PUBLIC_ROUTERS
from dicast.transports.bittorrent import BittorrentTransport


def build(**table: object) -> BittorrentTransport:
    surroundings = plugins.Surroundings("", Path(), (), KeyPair.from_seed(b"builtin"))
    return plugins.build(plugins.TRANSPORTS, "bittorrent", table, surroundings)


def test_nobody_is_contacted_unless_that_is_said() -> None:
    assert build().session.settings.bootstrap == ()
    assert build(bootstrap=["127.0.0.1:6881"]).session.settings.bootstrap == ("127.0.0.1:6881",)
    assert build(public=True).session.settings.bootstrap == PUBLIC_ROUTERS
    assert build(public=True, bootstrap=["192.0.2.1:1"]).session.settings.bootstrap == ("192.0.2.1:1",)


@pytest.mark.parametrize(
    ("table", "code"),
    [
        ({"listen": "0.0.0.0:7780"}, "transport_public"),
        ({"table": "[::]:6881"}, "transport_public"),
        ({"bootstrap": ["router.example.org:6881"]}, "transport_public"),
        ({"bootstrap": ["nonsense"]}, "config_value"),
        ({"bootstrap": ["127.0.0.1:1,192.0.2.1:1"]}, "config_value"),
        ({"bootstrap": ["127.0.0.1:1"] * 17}, "config_value"),
        ({"announce": "http://192.0.2.1"}, "config_value"),
        ({"listen": "somewhere"}, "config_value"),
        ({"unknown": 1}, "config_value"),
    ],
)
def test_what_is_refused(table: dict[str, object], code: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build(**table)
    assert caught.value.code == code
    assert caught.value.next_step
