"""The transports besides Nostr that ship with Dicast, each from its table of settings."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

import msgspec

from dicast.base.errors import ConfigurationError
from dicast.daemon.key_files import read_password
from dicast.daemon.plugins import Surroundings, plugin_settings
from dicast.ports import Transport

T = TypeVar("T")
Table = Mapping[str, object]
PEERS_MAX = 16
"""Addresses dialled: each carries everything once more."""
LINKS_MAX = 64
"""Nodes that may dial in; each holds at most a megabyte that waits."""
HUB_LINKS_MAX = 1024
"""A hub is there for many: file descriptors are commonly limited to 1,024 or more."""


class ZenohTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[transports.zenoh]`: endpoints to listen on and to connect to, and the interface of multicast."""

    listen: tuple[str, ...] = ("tcp/127.0.0.1:0",)
    connect: tuple[str, ...] = ()
    interface: str = ""
    public: bool = False


class MqttTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[transports.mqtt]`: a broker (mqtt, mqtts, ws or wss), and who we are there."""

    broker: str
    user: str = ""
    password_file: str = ""
    ca_file: str = ""


class WebSocketTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[transports.websocket]`: addresses to dial, to listen on, to tell others; a hub has every topic."""

    peers: tuple[str, ...] = ()
    listen: str = ""
    announce: str = ""
    public: bool = False
    hub: bool = False
    links: Annotated[int, msgspec.Meta(ge=0, le=HUB_LINKS_MAX)] = 0


def zenoh(table: Table, surroundings: Surroundings) -> Transport:
    """Zenoh in peer mode."""
    key = f"transports.{surroundings.name}"
    settings = plugin_settings(table, ZenohTable, key)
    for endpoint in settings.listen:
        host = urlsplit(f"//{endpoint.partition('/')[2]}").hostname or ""
        if not settings.public and not _is_loopback(host):
            raise _too_public(f"{key}.listen", endpoint)
    if settings.interface not in ("", "lo") and not settings.public:
        raise _too_public(f"{key}.interface", settings.interface)

    def build() -> Transport:
        from dicast.transports.zenoh import ZenohSettings, ZenohTransport

        chosen = ZenohSettings(settings.listen, settings.connect, settings.interface)
        return ZenohTransport(chosen, surroundings.name)

    return _with_extra("zenoh", build)


def mqtt(table: Table, surroundings: Surroundings) -> Transport:
    """An MQTT broker."""
    key = f"transports.{surroundings.name}"
    settings = plugin_settings(table, MqttTable, key)
    _check_url(f"{key}.broker", settings.broker, ("mqtt", "mqtts", "ws", "wss"), "mqtts://broker.example.org")
    ca_file = Path(settings.ca_file).expanduser() if settings.ca_file else None
    if ca_file is not None and not ca_file.is_file():
        raise ConfigurationError("config_value", f"{key}.ca_file: there is no file {ca_file}.", "")
    password = read_password(Path(settings.password_file).expanduser() if settings.password_file else None)

    def build() -> Transport:
        from dicast.transports.mqtt import MqttTransport
        from dicast.transports.mqtt_client import Broker

        broker = Broker(settings.broker, settings.user, password or "", ca_file)
        return MqttTransport(broker, surroundings.name)

    return _with_extra("mqtt", build)


def websocket(table: Table, surroundings: Surroundings) -> Transport:
    """A mesh of WebSockets."""
    from dicast.transports.websocket import MeshSettings, WebSocketTransport

    key = f"transports.{surroundings.name}"
    settings = plugin_settings(table, WebSocketTable, key)
    for url in (*settings.peers, *filter(None, [settings.announce])):
        _check_url(f"{key}.peers", url, ("ws", "wss"), "ws://192.0.2.1:7780")
    if len(settings.peers) > PEERS_MAX or not (settings.peers or settings.listen):
        raise ConfigurationError(
            "config_value",
            f"{key}.peers: {len(settings.peers)} addresses; between 1 and {PEERS_MAX}, or `listen`.",
            'Example: listen = "127.0.0.1:7780"',
        )
    listen = _listen_address(f"{key}.listen", settings.listen) if settings.listen else None
    if listen is not None and not settings.public and not _is_loopback(listen[0]):
        raise _too_public(f"{key}.listen", settings.listen)
    links = settings.links or (HUB_LINKS_MAX if settings.hub else LINKS_MAX)
    mesh = MeshSettings(listen, settings.announce, settings.peers, settings.hub, links)
    return WebSocketTransport(mesh, surroundings.name)


def _with_extra(extra: str, build: Callable[[], T]) -> T:
    """What `build` makes; where its package is not installed, how to install it."""
    try:
        return build()
    except ImportError as error:
        raise ConfigurationError(
            "transport_missing",
            f"transports.{extra}: the package it needs is not installed ({error.name}).",
            f"Run: pip install 'dicast[{extra}]'",
        ) from error


def _check_url(key: str, url: str, schemes: tuple[str, ...], example: str) -> None:
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in schemes and bool(parts.hostname) and (parts.port or 1) > 0
        is_good = is_good and parts.username is None
    except ValueError:
        is_good = False
    if not is_good:
        raise ConfigurationError("config_value", f"{key}: {url!r} does not fit.", f"Example: {example}")


def _listen_address(key: str, text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        if parts.hostname and parts.port is not None:
            return str(ipaddress.ip_address(parts.hostname)), parts.port
    except ValueError:
        pass
    raise ConfigurationError(
        "config_value", f"{key}: {text!r} is no address and port.", 'Example: listen = "127.0.0.1:7780"'
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _too_public(key: str, value: str) -> ConfigurationError:
    return ConfigurationError(
        "transport_public",
        f"{key}: {value!r} can be reached from other machines.",
        "If that is meant, add: public = true",
    )
