"""Where Zenoh listens: the port that a node had before, in IPv4 and IPv6."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from dicast.base.crypto import KeyPair
from dicast.daemon import plugins
from dicast.daemon.builtin_transports import PORTS
from dicast.transports.zenoh import ZenohTransport
from dicast.transports.zenoh_places import is_endpoint, with_ports
from free_ports import free_port


def test_the_preferred_port_is_taken_where_it_is_free() -> None:
    preferred = free_port()
    wanted = ("tcp/127.0.0.1:0", "tcp/127.0.0.1:7447")
    assert with_ports(wanted, preferred) == (f"tcp/127.0.0.1:{preferred}", "tcp/127.0.0.1:7447")
    with socket.socket() as other:
        other.bind(("127.0.0.1", preferred))
        other.listen()
        [taken, _] = with_ports(wanted, preferred)
    assert is_endpoint(taken)
    assert taken != f"tcp/127.0.0.1:{preferred}"


def test_an_address_in_brackets_keeps_them() -> None:
    assert is_endpoint("tcp/[2001:db8::1]:7447")
    assert not is_endpoint("tcp/[fe80::1%eth0]:7447")  # a name of one machine alone
    assert with_ports(("tcp/[2001:db8::1]:7447",), 20_000) == ("tcp/[2001:db8::1]:7447",)


@pytest.mark.parametrize("name", ["one", "another"])
def test_a_node_has_the_same_port_each_time(name: str) -> None:
    key = KeyPair.from_seed(name.encode())
    built = [plugins.build(plugins.TRANSPORTS, "zenoh", {}, around(key)) for _ in range(2)]
    ports = {one._settings.port for one in built if isinstance(one, ZenohTransport)}
    [port] = ports
    assert 0 <= port - PORTS[0] < PORTS[1]


def around(key: KeyPair) -> plugins.Surroundings:
    return plugins.Surroundings("", Path(), (), key)
