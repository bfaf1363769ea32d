"""The passphrase of a private network: read from the file that the settings name, and never shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dicast.base.errors import ConfigurationError
from dicast.base.events import parse_event
from dicast.daemon.config_schema import Settings
from dicast.daemon.files import first_line
from dicast.protocol.disclosed import opened_events
from dicast.protocol.network import NetworkSecret, network_secret, topic_of

PASSPHRASE_BYTES_MAX = 4096
"""A passphrase is a line; a larger file is a mistake."""


def secret_of(settings: Settings) -> NetworkSecret | None:
    """The secret of the network that the settings name; None when it is open. Takes a tenth of a second."""
    if not settings.passphrase_file:
        return None
    passphrase = read_passphrase(Path(settings.passphrase_file).expanduser())
    return network_secret(settings.network, passphrase)


def content_reader(secret: NetworkSecret) -> Callable[[bytes], str]:
    """Opens what a packet of our own says."""

    def content_of(wire: bytes) -> str:
        return opened_events((parse_event(wire),), secret, None)[0].content

    return content_of


def topic_in(settings: Settings) -> str:
    """The topic that nodes with these settings meet by."""
    secret = secret_of(settings)
    return topic_of(settings.network) if secret is None else secret.topic


def network_in_words(settings: Settings) -> str:
    """The network's name, and that it is private where it is."""
    return f"{settings.network} (private)" if settings.passphrase_file else settings.network


def read_passphrase(path: Path) -> str:
    """The first line of a passphrase file. Empty is refused."""
    try:
        line = first_line(path, PASSPHRASE_BYTES_MAX)
    except OSError as error:
        raise ConfigurationError(
            "passphrase_file_unreadable",
            f"passphrase_file: {path} cannot be read: {error.strerror}.",
            "Name a file that holds the network's passphrase in its first line.",
        ) from error
    if not line:
        raise ConfigurationError(
            "passphrase_empty",
            f"passphrase_file: {path} holds no passphrase in its first line.",
            "Write the passphrase there that everybody on the network has, or leave passphrase_file out.",
        )
    return line
