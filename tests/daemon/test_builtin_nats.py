"""NATS from its table of settings: who we are comes from files, and what does not fit is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicast.base.crypto import KeyPair
from dicast.base.errors import ConfigurationError
from dicast.daemon import plugins
from dicast.transports.nats import NatsTransport

SEED = "SUABEEQTCQKRMFYYDEND2HZAEETSIJREEURSWKBRGYYTONBUGEZTQNJXGA3DMMRR"


def build(name: str, **table: object):
    surroundings = plugins.Surroundings("", Path(), (), KeyPair.from_seed(b"builtin"))
    return plugins.build(plugins.TRANSPORTS, name, table, surroundings)


def test_each_has_the_name_of_its_table(tmp_path: Path) -> None:
    secret, credentials = tmp_path / "secret", tmp_path / "user.creds"
    secret.write_text("a password\n")
    credentials.write_text(
        "-----BEGIN NATS USER JWT-----\na.b.c\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{SEED[:58]}\n------END USER NKEY SEED------\n"
    )
    built = [
        build("nats", server="nats://127.0.0.1"),
        build("office", plugin="nats", server="tls://nats.example.org", user="me", password_file=str(secret)),
        build("nats", server="wss://nats.example.org/nats", credentials_file=str(credentials)),
    ]
    assert [type(one) for one in built] == [NatsTransport] * 3
    assert [one.name for one in built] == ["nats", "office", "nats"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "server"),
        ({"server": "mqtt://nats.example.org"}, "tls://nats.example.org"),
        ({"server": "nats://me:secret@nats.example.org"}, "tls://nats.example.org"),
        ({"server": "nats://127.0.0.1", "password_file": "/nowhere"}, "/nowhere"),
        ({"server": "nats://127.0.0.1", "ca_file": "/nowhere.pem"}, "/nowhere.pem"),
        ({"server": "nats://127.0.0.1", "credentials_file": "/nowhere.creds"}, "/nowhere.creds"),
        ({"server": "nats://127.0.0.1", "credentials_file": __file__}, ".creds"),
    ],
)
def test_what_does_not_fit_is_named_with_the_next_step(table: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build("nats", **table)
    assert said in str(caught.value)
