"""`dicast invite`, `dicast join`, and what `dicast up` connects to, as a person uses them."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
import segno

from dicast.base.errors import ConfigurationError
from dicast.cli.inviting import BLACK_ON_WHITE, HALF_BLOCKS, PLAIN, qr_text
from dicast.cli.public_relays import PUBLIC_RELAYS, with_public_relays
from dicast.daemon import lan, tickets
from dicast.daemon.config import load_settings
from dicast.daemon.config_schema import Settings
from dicast.daemon.given import given_places, with_given
from dicast.daemon.paths import Paths
from dicast.daemon.private_network import secret_of
from dicast.protocol.places import Place
from dicast.protocol.ticket import Ticket, encode_ticket

INVITER = "cd" * 32


def ticket(**changes: object) -> str:
    fields = {
        "network": "family",
        "inviter": INVITER,
        "expires_at": 4_000_000_000,
        "relays": ("wss://a.example",),
        "places": (Place("websocket", "ws://192.0.2.1:1"),),
    }
    return encode_ticket(Ticket(**{**fields, **changes}))


def settings_of(tmp_path: Path, text: str = "", **flags: object) -> Settings:
    config = tmp_path / "config.toml"
    config.write_text(text)
    return load_settings(config, flags, {}, tickets.joined(Paths(tmp_path))).settings


def test_a_private_network_is_never_entered_as_the_open_one_of_that_name(tmp_path: Path) -> None:
    place = tickets.passphrase_file(Paths(tmp_path))
    tickets.accept(Paths(tmp_path), ticket(needs_passphrase=True))
    joined = settings_of(tmp_path)
    assert joined.passphrase_file == str(place)
    with pytest.raises(ConfigurationError, match="passphrase_file_unreadable"):
        secret_of(joined)
    place.write_text("correct horse battery\n")
    tickets.accept(Paths(tmp_path), ticket(needs_passphrase=True, relays=("wss://b.example",)))
    assert place.read_text() == "correct horse battery\n"
    tickets.accept(Paths(tmp_path), ticket(network="other"))
    assert (settings_of(tmp_path).passphrase_file, place.exists()) == ("", False)
    tickets.accept(Paths(tmp_path), ticket(network="other", passphrase="another long one"))
    tickets.accept(Paths(tmp_path), ticket(needs_passphrase=True))
    assert (settings_of(tmp_path).passphrase_file, place.exists()) == (str(place), False)


def test_a_passphrase_that_an_earlier_ticket_brought_is_kept(tmp_path: Path) -> None:
    tickets.accept(Paths(tmp_path), ticket(passphrase="correct horse battery"))
    tickets.accept(Paths(tmp_path), ticket(network="other"))
    tickets.accept(Paths(tmp_path), ticket(needs_passphrase=True))
    joined = settings_of(tmp_path)
    assert Path(joined.passphrase_file).read_text() == "correct horse battery\n"


def test_a_ticket_stands_below_the_configuration(tmp_path: Path) -> None:
    tickets.accept(Paths(tmp_path), ticket(passphrase="secret words"))
    tickets.accept(Paths(tmp_path), ticket(relays=("wss://b.example",), passphrase="secret words"))
    joined = settings_of(tmp_path)
    assert (joined.network, joined.relays) == ("family", ("wss://b.example", "wss://a.example"))
    assert joined.peers == ("websocket=ws://192.0.2.1:1",)
    assert Path(joined.passphrase_file).read_text() == "secret words\n"
    assert Path(joined.passphrase_file).stat().st_mode & 0o077 == 0
    other = settings_of(tmp_path, 'network = "work"\nrelays = ["wss://c.example"]')
    assert (other.network, other.relays, other.passphrase_file) == ("work", ("wss://c.example",), "")
    both = settings_of(tmp_path, 'relays = ["wss://c.example"]')
    assert both.relays == ("wss://c.example", "wss://b.example", "wss://a.example")
    assert settings_of(tmp_path, network="third").relays == ()


def test_an_expired_or_broken_ticket_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="expired"):
        tickets.accept(Paths(tmp_path), ticket(expires_at=1))
    with pytest.raises(ConfigurationError, match="no ticket"):
        tickets.accept(Paths(tmp_path), "npub1what")
    (tmp_path / "tickets").write_text("dicast1damaged\n")
    assert settings_of(tmp_path) == load_settings(tmp_path / "config.toml", {}, {}).settings


def test_only_the_latest_tickets_are_kept(tmp_path: Path) -> None:
    for number in range(tickets.TICKETS_MAX + 5):
        tickets.accept(Paths(tmp_path), ticket(relays=(f"wss://{number}.example",)))
    assert len(settings_of(tmp_path).relays) == tickets.TICKETS_MAX
    assert settings_of(tmp_path).relays[0] == f"wss://{tickets.TICKETS_MAX + 4}.example"


def test_the_code_on_the_terminal_holds_the_modules_of_the_standard() -> None:
    text = ticket()
    modules: list[list[int]] = []
    for line in qr_text(text).splitlines():
        drawn = line.removeprefix(BLACK_ON_WHITE).removesuffix(PLAIN)
        modules += [
            [HALF_BLOCKS.index(char) >> 1 for char in drawn],
            [HALF_BLOCKS.index(char) & 1 for char in drawn],
        ]
    code = segno.make(text.upper(), error="m")
    wanted = [[int(module) for module in row] for row in code.matrix_iter(border=4)]
    assert modules[: len(wanted)] == wanted
    assert [any(row) for row in modules[len(wanted) :]] == [False] * (len(wanted) % 2)
    assert (code.mode, code.version <= 14) == ("alphanumeric", True)


def test_given_addresses_switch_their_transport_on(tmp_path: Path) -> None:
    settings = Settings(
        peers=("websocket=ws://192.0.2.1:1", "zenoh=tcp/192.0.2.1:2", "libp2p=/ip4/192.0.2.1/tcp/1")
    )
    given = given_places(settings)
    assert given[2] == Place("libp2p", "/ip4/192.0.2.1/tcp/1")
    assert with_given(settings, given).transports == {
        "nostr": {},
        "websocket": {"peers": ["ws://192.0.2.1:1"]},
        "zenoh": {"connect": ["tcp/192.0.2.1:2"]},
    }
    with pytest.raises(ConfigurationError, match="transport=address"):
        given_places(Settings(peers=("nonsense",)))


def test_the_lan_is_private_addresses_only(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ["127.0.0.1", "192.0.2.2", "8.8.8.8", "192.168.1.5", "10.0.0.7", "169.254.3.3", "172.32.0.1"]
    monkeypatch.setattr(lan, "_by_interface", lambda: found)
    monkeypatch.setattr(lan, "_by_route", lambda: found)
    settings, where = lan.with_lan(Settings())
    assert where.addresses == ("192.168.1.5", "10.0.0.7", "169.254.3.3")
    assert settings.transports["zenoh"] == {
        "listen": ["tcp/192.168.1.5:0", "tcp/10.0.0.7:0", "tcp/169.254.3.3:0"],
        "connect": [],
        "interface": "192.168.1.5,10.0.0.7,169.254.3.3",
        "public": True,
    }
    assert lan.with_lan(Settings(lan=False))[0] == Settings(lan=False)
    own = Settings(transports={"zenoh": {"listen": []}})
    assert lan.with_lan(own)[0] == own


def test_public_relays_are_named_and_nobody_is_asked_twice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(ConfigurationError, match="public_declined"):
        with_public_relays(Settings(), is_agreed=False)
    assert all(relay in capsys.readouterr().err for relay in PUBLIC_RELAYS[:1])
    agreed = with_public_relays(Settings(relays=("wss://own.example",)), is_agreed=True)
    assert agreed.relays == ("wss://own.example", *PUBLIC_RELAYS)
    assert json.dumps(PUBLIC_RELAYS).count("wss://") == len(PUBLIC_RELAYS)


def test_a_ticket_with_an_address_that_is_none_is_refused_and_stops_no_node(tmp_path: Path) -> None:
    wrong = [
        ticket(relays=("http://a.example",)),
        ticket(relays=("ws://a.example:99999",)),
        ticket(places=(Place("websocket", "nowhere"),)),
        ticket(places=(Place("zenoh", "tcp/192.0.2.1:99999"),)),
    ]
    for text in wrong:
        with pytest.raises(ConfigurationError, match="no address"):
            tickets.accept(Paths(tmp_path), text)
    (tmp_path / "tickets").write_text("\n".join([*wrong, ticket()]))
    joined = settings_of(tmp_path)
    assert (joined.relays, joined.peers) == (("wss://a.example",), ("websocket=ws://192.0.2.1:1",))


def test_many_tickets_name_no_more_than_a_node_can_use(tmp_path: Path) -> None:
    for number in range(tickets.TICKETS_MAX):
        relays = tuple(f"wss://{number}-{one}.{'long' * 30}.example" for one in range(8))
        places = tuple(Place("websocket", f"ws://{number}-{one}.{'long' * 30}.example") for one in range(8))
        tickets.accept(Paths(tmp_path), ticket(relays=relays, places=places))
    own = [f"wss://own-{number}.example" for number in range(3)]
    joined = settings_of(tmp_path, f"relays = {own}")
    assert (len(joined.relays), len(joined.peers)) == (16, 64)
    assert joined.relays[:3] == tuple(own)
    assert joined.relays[3].startswith(f"wss://{tickets.TICKETS_MAX - 1}-0.")
    switched_on = with_given(joined, given_places(joined)).transports["websocket"]
    assert len(switched_on["peers"]) == 16


def test_an_invitation_names_relays_only(dicast) -> None:
    ran = dicast("invite", "--relay", "http://a.example")
    assert (ran.code, ran.out) == (2, "")
    assert "relay_url" in ran.err
