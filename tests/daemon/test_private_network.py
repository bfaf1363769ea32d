"""A private network from its settings: what transports are given, what is asked, what is never shown."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dicast.base.crypto import KeyPair
from dicast.base.errors import ConfigurationError, Rejection
from dicast.base.types import EventId, Now
from dicast.daemon import api
from dicast.daemon.asking import check_options, is_encrypted
from dicast.daemon.compose import compose
from dicast.daemon.config import load_settings
from dicast.daemon.config_schema import AskSettings, Settings
from dicast.daemon.logs import Log
from dicast.daemon.paths import Paths
from dicast.daemon.private_network import content_reader, network_in_words, secret_of, topic_in
from dicast.protocol.envelope import sign_packet, tags_for
from dicast.protocol.messages import Kind, Want
from dicast.protocol.network import network_secret, topic_of
from dicast.protocol.settings import Identity
from dicast.transports.nostr_frames import parse_published, wanted_ids

PASSPHRASE = "a passphrase for this test"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    file = tmp_path / "passphrase"
    file.write_text(PASSPHRASE + "\nnot this line\n")
    flags = {"network": "lab", "passphrase_file": str(file), "store": "memory", "roles": []}
    return load_settings(None, flags, {}).settings


@pytest.mark.anyio
async def test_transports_and_callers_are_given_the_derived_topic(settings: Settings, tmp_path: Path) -> None:
    identity = Identity(KeyPair.from_seed(b"private"), bytes(32))
    composed = compose(settings, Paths(tmp_path), identity, Log("error"))
    secret = network_secret("lab", PASSPHRASE)
    assert composed.driver.node.topic == topic_in(settings) == secret.topic
    status = composed.service.status()
    assert (status.network, status.topic, status.private) == ("lab", secret.topic, True)
    assert network_in_words(settings) == "lab (private)"
    for shown in (repr(settings), repr(composed.offers), repr(status)):
        assert PASSPHRASE not in shown
        assert secret.content_key.hex() not in shown


def test_without_a_passphrase_the_network_is_open() -> None:
    assert secret_of(Settings(network="lab")) is None
    assert topic_in(Settings(network="lab")) == topic_of("lab")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "passphrase_file_unreadable"),
        (b"", "passphrase_empty"),
        (b"\nsecond line", "passphrase_empty"),
        (b"\xff\xfe", "passphrase_empty"),
        (b"x" * 5_000, "passphrase_empty"),
        (b"tooshort", "passphrase_short"),
    ],
)
def test_a_passphrase_file_that_holds_none(tmp_path: Path, content: bytes | None, code: str) -> None:
    file = tmp_path / "passphrase"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError) as refused:
        secret_of(Settings(passphrase_file=str(file)))
    assert refused.value.code == code
    assert "tooshort" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "setting", "expected"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"encrypted": False}, True, False),
        ({"encrypted": True}, False, True),
        ({"admission": "drawn"}, True, True),
        ({"admission": "drawn", "seats": 65}, True, False),
        ({"admission": "open"}, True, False),
        ({"seats": 65}, True, False),
    ],
)
def test_listed_and_drawn_rounds_are_encrypted_unless_somebody_says_otherwise(
    options, setting, expected
) -> None:
    call = api.Ask(prompt="?", **options)
    assert is_encrypted(call, AskSettings(encrypted=setting), options.get("seats", 9)) is expected


@pytest.mark.parametrize(
    "options", [{"admission": "drawn", "seats": 65}, {"admission": "open"}, {"seats": 65}]
)
def test_encryption_that_cannot_be_is_refused_before_anything_is_sent(options) -> None:
    with pytest.raises(Rejection) as refused:
        check_options(api.Ask(prompt="?", encrypted=True, **options), AskSettings())
    assert refused.value.code == "not_encryptable"


def test_an_adapter_that_serves_wants_itself_can_read_ours() -> None:
    """A relay forwards nothing twice: what we want again is fetched from it, by the ids in our packet."""
    secret, key = network_secret("lab", PASSPHRASE), KeyPair.from_seed(b"private")
    now, ids = Now(0, 1_790_000_000_000), ("ab" * 32,)
    tags = tags_for(Kind.WANT, secret.topic, now, EventId("cd" * 32), ())
    wire = sign_packet(key, Want(1, ids), tags, now, secret).wire
    published = parse_published(wire)
    assert published is not None
    assert wanted_ids(published) == ()
    assert wanted_ids(msgspec.structs.replace(published, content=content_reader(secret)(wire))) == ids
