"""libp2p from its table of settings."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from dicast.base.errors import ConfigurationError
from dicast.base.hashing import tagged
from dicast.daemon.plugins import Surroundings, plugin_settings
from dicast.daemon.transport_settings import is_loopback, too_public, with_extra
from dicast.ports import Transport

PEERS_MAX = 16
"""Addresses that are kept connected; gossip finds its own way from there."""


class Libp2pTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[transports.libp2p]`: multiaddrs to listen on and to dial, relays to be reachable over, being one."""

    listen: tuple[str, ...] = ("/ip4/127.0.0.1/tcp/0",)
    peers: tuple[str, ...] = ()
    relays: tuple[str, ...] = ()
    relay: bool = False
    public: bool = False


def libp2p(table: Mapping[str, object], surroundings: Surroundings) -> Transport:
    """gossipsub."""
    key = f"transports.{surroundings.name}"
    settings = plugin_settings(table, Libp2pTable, key)
    for address in settings.listen:
        parts = address.split("/")
        if len(parts) < 5 or parts[3] != "tcp":
            raise _unfit(f"{key}.listen", address, "/ip4/127.0.0.1/tcp/4001")
        if not settings.public and not is_loopback(parts[2]):
            raise too_public(f"{key}.listen", address)
    known = (*settings.peers, *settings.relays)
    if len(known) > PEERS_MAX:
        raise _unfit(f"{key}.peers", f"{len(known)} addresses", f"at most {PEERS_MAX}")

    def build() -> Transport:
        from dicast.transports.libp2p import Libp2pTransport
        from dicast.transports.libp2p_host import Libp2pSettings, check_packages, peer_of

        check_packages()
        for address in known:
            try:
                peer_of(address)
            except ValueError as error:
                raise _unfit(f"{key}.peers", address, "/ip4/192.0.2.1/tcp/4001/p2p/12D3Koo…") from error
        seed = tagged("dicast/libp2p/1", surroundings.key.secret)
        chosen = Libp2pSettings(seed, settings.listen, settings.peers, settings.relays, settings.relay)
        return Libp2pTransport(chosen, surroundings.name)

    return with_extra("libp2p", build)


def _unfit(key: str, value: str, example: str) -> ConfigurationError:
    return ConfigurationError("config_value", f"{key}: {value!r} does not fit.", f"Example: {example}")
