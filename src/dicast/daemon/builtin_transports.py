"""The transports besides Nostr that ship with Dicast, each from its table of settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from dicast.base.crypto import KeyPair
from dicast.base.errors import ConfigurationError
from dicast.base.hashing import tagged
from dicast.daemon.key_files import read_password
from dicast.daemon.plugins import Surroundings, plugin_settings
from dicast.daemon.transport_settings import (
    check_url,
    file_setting,
    is_loopback,
    listen_address,
    too_public,
    with_extra,
)
from dicast.ports import Transport

Table = Mapping[str, object]
PORTS = 20_000, 12_000
"""The first and how many, of which a node has one: below those that systems give to whoever asks for any."""
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
    ca_file: str = ""
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
    """Zenoh: a peer, or the client of a router."""
    key = f"transports.{surroundings.name}"
    settings = plugin_settings(table, ZenohTable, key)
    _check_endpoints(f"{key}.listen", settings.listen, "tcp/127.0.0.1:0")
    _check_endpoints(f"{key}.connect", settings.connect, "tcp/192.0.2.1:7447")
    for endpoint in settings.listen:
        host = urlsplit(f"//{endpoint.partition('/')[2]}").hostname or ""
        if not settings.public and not is_loopback(host):
            raise too_public(f"{key}.listen", endpoint)
    if settings.interface not in ("", "lo") and not settings.public:
        raise too_public(f"{key}.interface", settings.interface)
    ca_file = file_setting(f"{key}.ca_file", settings.ca_file)

    def build() -> Transport:
        from dicast.transports.zenoh import ZenohSettings, ZenohTransport

        port = _port_of(surroundings.key)
        chosen = ZenohSettings(settings.listen, settings.connect, settings.interface, ca_file, port)
        return ZenohTransport(chosen, surroundings.name)

    return with_extra("zenoh", build)


def _port_of(key: KeyPair) -> int:
    """Always the same for a node: tickets and other nodes remember where it was."""
    first, count = PORTS
    return first + int.from_bytes(tagged("dicast/zenoh/1", key.secret)[:8]) % count


def _check_endpoints(key: str, endpoints: tuple[str, ...], example: str) -> None:
    """A protocol, a host and a port: what Zenoh would say of others only once the node runs."""
    for endpoint in endpoints:
        kind, _, place = endpoint.partition("/")
        try:
            parts = urlsplit(f"//{place}")
            is_good = kind.isalnum() and bool(parts.hostname) and parts.port is not None
        except ValueError:
            is_good = False
        if not is_good:
            raise ConfigurationError(
                "config_value", f"{key}: {endpoint!r} does not fit.", f"Example: {example}"
            )


def mqtt(table: Table, surroundings: Surroundings) -> Transport:
    """An MQTT broker."""
    key = f"transports.{surroundings.name}"
    settings = plugin_settings(table, MqttTable, key)
    check_url(f"{key}.broker", settings.broker, ("mqtt", "mqtts", "ws", "wss"), "mqtts://broker.example.org")
    ca_file = file_setting(f"{key}.ca_file", settings.ca_file)
    password = read_password(Path(settings.password_file).expanduser() if settings.password_file else None)

    def build() -> Transport:
        from dicast.transports.mqtt import MqttTransport
        from dicast.transports.mqtt_client import Broker

        broker = Broker(settings.broker, settings.user, password or "", ca_file)
        return MqttTransport(broker, surroundings.name)

    return with_extra("mqtt", build)


def websocket(table: Table, surroundings: Surroundings) -> Transport:
    """A mesh of WebSockets."""
    from dicast.transports.websocket import MeshSettings, WebSocketTransport

    key = f"transports.{surroundings.name}"
    settings = plugin_settings(table, WebSocketTable, key)
    for url in (*settings.peers, *filter(None, [settings.announce])):
        check_url(f"{key}.peers", url, ("ws", "wss"), "ws://192.0.2.1:7780")
    if len(settings.peers) > PEERS_MAX or not (settings.peers or settings.listen):
        raise ConfigurationError(
            "config_value",
            f"{key}.peers: {len(settings.peers)} addresses; between 1 and {PEERS_MAX}, or `listen`.",
            'Example: listen = "127.0.0.1:7780"',
        )
    listen = listen_address(f"{key}.listen", settings.listen) if settings.listen else None
    if listen is not None and not settings.public and not is_loopback(listen[0]):
        raise too_public(f"{key}.listen", settings.listen)
    links = settings.links or (HUB_LINKS_MAX if settings.hub else LINKS_MAX)
    mesh = MeshSettings(listen, settings.announce, settings.peers, settings.hub, links)
    return WebSocketTransport(mesh, surroundings.name, surroundings.pages)
