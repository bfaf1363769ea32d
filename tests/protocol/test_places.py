"""Addresses in brackets: what of them is told, and whose they are."""

from __future__ import annotations

import pytest

from dicast.protocol.places import NEAR, is_tellable, subnet_of


@pytest.mark.parametrize(
    ("address", "is_told", "subnet"),
    [
        ("ws://[2001:db8:1:2::1]:7780/path", True, "2001:db8:1::/48"),
        ("tcp/[2001:db8:1:2::1]:7447", True, "2001:db8:1::/48"),
        ("/ip6/2001:db8:1:2::1/tcp/4001/ws", True, "2001:db8:1::/48"),
        ("ws://[::1]:7780", True, NEAR),
        ("ws://[::ffff:10.0.0.1]:7780", True, NEAR),
        ("ws://[fe80::1%eth0]:7780", False, NEAR),
        ("wss://relay.example/%20", True, "relay.example"),
    ],
)
def test_brackets_hold_an_address_that_others_can_use(address: str, is_told: bool, subnet: str) -> None:
    assert (is_tellable("websocket", address), subnet_of(address)) == (is_told, subnet)
