"""GunDB from its table of settings."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from dicast.base.errors import ConfigurationError
from dicast.daemon.plugins import Surroundings, plugin_settings
from dicast.daemon.transport_settings import check_url, is_loopback, listen_address, too_public
from dicast.ports import Transport

RELAYS_MAX = 16
"""Each carries everything once more."""


class GunTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[transports.gun]`: relays to be a peer of, an address to be a relay at, whether for pages too."""

    relays: tuple[str, ...] = ()
    listen: str = ""
    pages: bool = False
    public: bool = False


def gun(table: Mapping[str, object], surroundings: Surroundings) -> Transport:
    """A peer and relay of GunDB."""
    from dicast.transports.gun import GunSettings, GunTransport

    key = f"transports.{surroundings.name}"
    settings = plugin_settings(table, GunTable, key)
    for url in settings.relays:
        check_url(f"{key}.relays", url, ("ws", "wss"), "wss://relay.example.org/gun")
    if len(settings.relays) > RELAYS_MAX or not (settings.relays or settings.listen):
        raise ConfigurationError(
            "config_value",
            f"{key}.relays: {len(settings.relays)} relays; between 1 and {RELAYS_MAX}, or `listen`.",
            'Example: relays = ["wss://relay.example.org/gun"]',
        )
    listen = listen_address(f"{key}.listen", settings.listen) if settings.listen else None
    if listen is not None and not settings.public and not is_loopback(listen[0]):
        raise too_public(f"{key}.listen", settings.listen)
    chosen = GunSettings(surroundings.key.node_id, settings.relays, listen, settings.pages)
    return GunTransport(chosen, surroundings.name)
