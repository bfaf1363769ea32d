"""libp2p from its table of settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicast.base.crypto import KeyPair
from dicast.base.errors import ConfigurationError
from dicast.cli.doctor_checks import State
from dicast.cli.doctor_networks import transport_checks
from dicast.daemon import plugins
from dicast.daemon.config_schema import Settings
from dicast.transports.libp2p import Libp2pTransport

PEER = "/ip4/192.0.2.1/tcp/4001/p2p/12D3KooWMbbPVGsZYh3ChQjue712NHHGNybRRXwnuSpezYjGbCDS"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def build(name: str, **table: object):
    surroundings = plugins.Surroundings("", Path(), (), KeyPair.from_seed(b"builtin"))
    return plugins.build(plugins.TRANSPORTS, name, table, surroundings)


def test_each_has_the_name_of_its_table() -> None:
    built = [
        build("libp2p"),
        build("mesh", plugin="libp2p", peers=[PEER], listen=["/ip6/::1/tcp/0/ws"]),
        build("libp2p", listen=["/ip4/0.0.0.0/tcp/4001"], relay=True, relays=[PEER], public=True),
    ]
    assert [type(one) for one in built] == [Libp2pTransport] * 3
    assert [one.name for one in built] == ["libp2p", "mesh", "libp2p"]


@pytest.mark.anyio
async def test_the_doctor_passes_a_packet_between_two_ends() -> None:
    listening = {"listen": ["/ip4/127.0.0.1/tcp/4001"]}
    [check] = await transport_checks(Settings(transports={"libp2p": listening}), is_running=False)
    assert (check.state, "a packet goes through in" in check.detail) == (State.OK, True), check.detail


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"listen": ["/ip4/0.0.0.0/tcp/4001"]}, "public = true"),
        ({"listen": ["127.0.0.1:4001"]}, "/ip4/127.0.0.1/tcp/4001"),
        ({"peers": ["/ip4/192.0.2.1/tcp/4001"]}, "/p2p/"),
        ({"relays": ["relay.example.org"]}, "/p2p/"),
        ({"peers": [PEER] * 17}, "17 addresses"),
    ],
)
def test_what_does_not_fit_is_named_with_the_next_step(table: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build("libp2p", **table)
    assert said in str(caught.value)
