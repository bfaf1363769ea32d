"""NATS from its table of settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from dicast.base.errors import ConfigurationError
from dicast.daemon.key_files import read_password
from dicast.daemon.plugins import Surroundings, plugin_settings
from dicast.daemon.transport_settings import check_url, file_setting
from dicast.ports import Transport

CREDENTIALS_BYTES_MAX = 64 * 1024
"""A permission that lists many subjects has a few thousand."""


class NatsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[transports.nats]`: a server (nats, tls, ws or wss), and who we are there."""

    server: str
    user: str = ""
    password_file: str = ""
    credentials_file: str = ""
    ca_file: str = ""


def nats(table: Mapping[str, object], surroundings: Surroundings) -> Transport:
    """A NATS server."""
    from dicast.transports.nats import NatsTransport
    from dicast.transports.nats_client import NatsServer, read_credentials

    key = f"transports.{surroundings.name}"
    settings = plugin_settings(table, NatsTable, key)
    check_url(f"{key}.server", settings.server, ("nats", "tls", "ws", "wss"), "tls://nats.example.org")
    ca_file = file_setting(f"{key}.ca_file", settings.ca_file)
    path = file_setting(f"{key}.credentials_file", settings.credentials_file)
    password = read_password(Path(settings.password_file).expanduser() if settings.password_file else None)
    try:
        credentials = None if path is None else read_credentials(_start_of(path))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            "config_value",
            f"{key}.credentials_file: {path}: {error}.",
            "Name a .creds file as `nsc` writes it.",
        ) from error
    server = NatsServer(settings.server, settings.user, password or "", credentials, ca_file)
    return NatsTransport(server, surroundings.name)


def _start_of(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(CREDENTIALS_BYTES_MAX).decode()
