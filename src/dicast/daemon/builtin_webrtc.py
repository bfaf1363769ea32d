"""WebRTC from its table of settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec

from dicast.base.errors import ConfigurationError
from dicast.daemon.key_files import read_password
from dicast.daemon.plugins import Surroundings, plugin_settings
from dicast.daemon.transport_settings import check_url, too_public, with_extra
from dicast.ports import Transport

if TYPE_CHECKING:
    from dicast.transports.signalling import Signaller

SERVERS_MAX = 16
"""Of a kind: every signal goes over each; STUN and TURN servers take turns."""
LINKS_MIN, LINKS_DEFAULT, LINKS_MAX = 4, 16, 64
"""A mesh of fewer links falls apart; each more costs what it carries once more."""
ICE_SERVER = re.compile(r"(stun|turn|turns):[^\s?:/@\[\]]+(:[0-9]{1,5})?(\?transport=(udp|tcp))?")


class WebRtcTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[transports.webrtc]`: where peers meet, which servers help them through NATs, what may be open."""

    relays: tuple[str, ...] = ()
    brokers: tuple[str, ...] = ()
    broker_user: str = ""
    broker_password_file: str = ""
    trackers: tuple[str, ...] = ()
    stun: tuple[str, ...] = ()
    turn: tuple[str, ...] = ()
    turn_user: str = ""
    turn_password_file: str = ""
    relay_only: bool = False
    links: Annotated[int, msgspec.Meta(ge=LINKS_MIN, le=LINKS_MAX)] = LINKS_DEFAULT
    public: bool = False


def webrtc(table: Mapping[str, object], surroundings: Surroundings) -> Transport:
    """WebRTC data channels; without servers of its own it meets others at the node's relays."""
    key = f"transports.{surroundings.name}"
    settings = plugin_settings(table, WebRtcTable, key)
    if not (settings.relays or settings.brokers or settings.trackers):
        settings = msgspec.structs.replace(settings, relays=surroundings.relays)
    _check_meeting_points(key, settings)
    _check_ice(key, settings)

    def build() -> Transport:
        from dicast.transports.webrtc import WebRtcSettings, WebRtcTransport
        from dicast.transports.webrtc_connection import IceSettings, TurnServer

        password = _password(settings.turn_password_file)
        turn = tuple(TurnServer(url, settings.turn_user, password) for url in settings.turn)
        ice = IceSettings(settings.stun, turn, settings.relay_only, settings.public)
        chosen = WebRtcSettings(ice, settings.links)
        return WebRtcTransport(chosen, _signallers(settings), surroundings.name)

    return with_extra("webrtc", build)


def _signallers(settings: WebRtcTable) -> list[Signaller]:
    from dicast.transports.signalling_nostr import NostrSignaller
    from dicast.transports.signalling_tracker import TrackerSignaller

    made: list[Signaller] = [NostrSignaller(url) for url in settings.relays]
    made += [TrackerSignaller(url) for url in settings.trackers]
    if settings.brokers:
        from dicast.transports.mqtt_client import Broker
        from dicast.transports.signalling_mqtt import MqttSignaller

        password = _password(settings.broker_password_file)
        made += [MqttSignaller(Broker(url, settings.broker_user, password)) for url in settings.brokers]
    return made


def _password(name: str) -> str:
    return read_password(Path(name).expanduser() if name else None) or ""


def _check_meeting_points(key: str, settings: WebRtcTable) -> None:
    for url in settings.relays:
        check_url(f"{key}.relays", url, ("ws", "wss"), "wss://relay.example.org")
    for url in settings.trackers:
        check_url(f"{key}.trackers", url, ("ws", "wss"), "wss://tracker.example.org")
    for url in settings.brokers:
        check_url(f"{key}.brokers", url, ("mqtt", "mqtts", "ws", "wss"), "mqtts://broker.example.org")
    count = len(settings.relays) + len(settings.trackers) + len(settings.brokers)
    if not 1 <= count <= SERVERS_MAX:
        raise ConfigurationError(
            "config_value",
            f"{key}: {count} relays, brokers and trackers to meet others at; between 1 and {SERVERS_MAX}.",
            'Example: relays = ["wss://relay.example.org"]',
        )


def _check_ice(key: str, settings: WebRtcTable) -> None:
    for name, urls, schemes in (
        ("stun", settings.stun, ("stun",)),
        ("turn", settings.turn, ("turn", "turns")),
    ):
        for url in urls:
            match = ICE_SERVER.fullmatch(url)
            if match is None or match[1] not in schemes or (name == "stun" and match[3]):
                raise ConfigurationError(
                    "config_value",
                    f"{key}.{name}: {url!r} does not fit.",
                    f"Example: {name}:{name}.example.org:3478",
                )
        if len(urls) > SERVERS_MAX:
            raise ConfigurationError(
                "config_value", f"{key}.{name}: {len(urls)} servers; at most {SERVERS_MAX}.", "Name fewer."
            )
    if settings.stun and not (settings.public or settings.relay_only):
        raise too_public(f"{key}.stun", "an address that a STUN server finds")
    if settings.relay_only and not settings.turn:
        raise ConfigurationError(
            "config_value",
            f"{key}.relay_only: there is no TURN server to go over.",
            'Example: turn = ["turn:turn.example.org:3478"]',
        )
