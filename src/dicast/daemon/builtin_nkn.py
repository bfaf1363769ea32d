"""NKN from its table of settings."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from dicast.base.errors import ConfigurationError
from dicast.base.hashing import tagged
from dicast.daemon.plugins import Surroundings, plugin_settings
from dicast.daemon.transport_settings import check_url, is_loopback
from dicast.ports import Transport

PEERS_MAX = 16
"""Addresses that are always greeted; who is there tells of others."""


class NknTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[transports.nkn]`: the folder of the SDK, addresses to greet, Node, who names NKN's nodes."""

    sdk: str = ""
    peers: tuple[str, ...] = ()
    node: str = "node"
    rpc: str = ""
    public: bool = False


def nkn(table: Mapping[str, object], surroundings: Surroundings) -> Transport:
    """NKN's own SDK in a process of its own."""
    from dicast.transports.nkn import NknTransport
    from dicast.transports.nkn_frames import is_address
    from dicast.transports.nkn_process import NknSettings

    key = f"transports.{surroundings.name}"
    settings = plugin_settings(table, NknTable, key)
    for address in settings.peers:
        if not is_address(address):
            raise _unfit(f"{key}.peers", address, 'peers = ["dicast.<64 hex digits>"]')
    if len(settings.peers) > PEERS_MAX:
        raise _unfit(f"{key}.peers", f"{len(settings.peers)} addresses", f"at most {PEERS_MAX}")
    if settings.rpc:
        check_url(f"{key}.rpc", settings.rpc, ("http", "https"), "http://127.0.0.1:30003")
    if not settings.public and not is_loopback(urlsplit(settings.rpc).hostname or ""):
        raise ConfigurationError(
            "transport_public",
            f"{key}: NKN's network is public: its nodes see this machine's address and whom it writes to.",
            "If that is meant, add: public = true",
        )
    program = shutil.which(settings.node)
    if program is None:
        raise ConfigurationError(
            "transport_missing",
            f"{key}: {settings.node!r} is no program here; the transport needs Node 20 or later.",
            'Install Node.js, or name it: node = "/path/to/node"',
        )
    seed = tagged("dicast/nkn/1", surroundings.key.secret)
    chosen = NknSettings(seed, program, _sdk(f"{key}.sdk", settings.sdk), settings.rpc, settings.peers)
    return NknTransport(chosen, surroundings.name)


def _sdk(key: str, name: str) -> Path:
    """The folder that `nkn-sdk` is installed in."""
    folder = Path(name or ".").expanduser()
    folder = folder.parent if folder.name == "node_modules" else folder
    if not name or not (folder / "node_modules/nkn-sdk/package.json").is_file():
        raise ConfigurationError(
            "transport_missing",
            f"{key}: there is no node_modules/nkn-sdk in {str(folder)!r}." if name else f"{key} is not set.",
            'Run: npm install --prefix ~/nkn --ignore-scripts nkn-sdk@1.3.6, and add: sdk = "~/nkn"',
        )
    return folder


def _unfit(key: str, value: str, example: str) -> ConfigurationError:
    return ConfigurationError("config_value", f"{key}: {value!r} does not fit.", f"Example: {example}")
