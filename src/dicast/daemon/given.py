"""Addresses that a person gave, by the configuration or a ticket: told to the node and dialled first."""

from __future__ import annotations

import msgspec

from dicast.base.errors import ConfigurationError
from dicast.daemon.config_schema import EXAMPLES, Settings
from dicast.protocol.peer_book import GIVEN_MAX
from dicast.protocol.places import Place
from dicast.protocol.ticket import parse_place

DIALLED_BY = {"websocket": "peers", "zenoh": "connect"}
"""Transports that need no more than an address to be on: the setting that takes it."""
DIALLED_MAX = 16
"""Dialled for as long as the node runs; further ones are tried like others that were heard of, but first."""


def given_places(settings: Settings) -> tuple[Place, ...]:
    """`peers` of the settings. Raises ConfigurationError."""
    found: list[Place] = []
    for text in settings.peers[: GIVEN_MAX + 1]:
        try:
            found.append(parse_place(text))
        except ValueError:
            raise ConfigurationError(
                "config_value", f"peers: {text!r} is no transport=address.", f"Example: {EXAMPLES['peers']}"
            ) from None
    if len(found) > GIVEN_MAX:
        raise ConfigurationError(
            "config_value", f"peers: more than {GIVEN_MAX} addresses.", "Leave some out."
        )
    return tuple(found)


def with_given(settings: Settings, given: tuple[Place, ...]) -> Settings:
    """The settings with those transports on that an address was given for and nobody configured."""
    transports = dict(settings.transports)
    for name, key in DIALLED_BY.items():
        addresses = [place.address for place in given if place.transport == name]
        if addresses and name not in transports:
            transports[name] = {key: addresses[:DIALLED_MAX]}
    return msgspec.structs.replace(settings, transports=transports)
