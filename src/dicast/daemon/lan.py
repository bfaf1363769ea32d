"""Where `dicast up` meets others when nobody says anything: the local network, and nothing beyond."""

from __future__ import annotations

import importlib.util
import ipaddress
import socket
import struct
import sys

import msgspec

from dicast.daemon.config_schema import Settings
from dicast.transports.zenoh_places import is_endpoint

ZENOH = "zenoh"
ADDRESSES_MAX = 4
"""Interfaces of one machine on local networks; containers and bridges add more, which nobody else is on."""
_BLOCKS = tuple(
    ipaddress.IPv4Network(block)
    for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16")
)
"""RFC 1918 and link-local: what no router on the Internet passes on."""
_SIOCGIFADDR = 0x8915
_PROBE = ("224.0.0.224", 7446)
"""Zenoh's multicast group; nothing is sent to it here, only the route is looked up."""


class Lan(msgspec.Struct, frozen=True):
    """Our addresses on local networks, or why there is no LAN."""

    addresses: tuple[str, ...] = ()
    problem: str = ""


def with_lan(settings: Settings) -> tuple[Settings, Lan]:
    """The settings with Zenoh listening and scouting on local networks, unless they say otherwise."""
    if not settings.lan:
        return settings, Lan(problem="switched off")
    if ZENOH in settings.transports:
        return settings, Lan(problem="as [transports.zenoh] says")
    if importlib.util.find_spec("zenoh") is None:
        return settings, Lan(problem="eclipse-zenoh is not installed; run: pip install 'dicast[zenoh]'")
    addresses = lan_addresses()
    if not addresses:
        return settings, Lan(problem="this machine has no address on a private network")
    table: dict[str, object] = {
        "listen": [f"tcp/{address}:0" for address in addresses],
        "connect": [one for text in settings.peers if is_endpoint(one := text.removeprefix("zenoh="))],
        "interface": ",".join(addresses),
        "public": True,
    }
    transports = {**settings.transports, ZENOH: table}
    return msgspec.structs.replace(settings, transports=transports), Lan(addresses)


def lan_addresses() -> tuple[str, ...]:
    """IPv4 addresses of this machine on private networks; of public ones none, whatever is plugged in."""
    found = _by_interface() if sys.platform == "linux" else _by_route()
    return tuple(address for address in dict.fromkeys(found) if _is_private(address))[:ADDRESSES_MAX]


def _is_private(address: str) -> bool:
    parsed = ipaddress.IPv4Address(address)
    return any(parsed in block for block in _BLOCKS)


def _by_interface() -> list[str]:
    """The address of each interface, as Linux tells it."""
    import fcntl

    found: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            try:
                reply = fcntl.ioctl(asking.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue  # no IPv4 address
            found.append(socket.inet_ntoa(reply[20:24]))
    return found


def _by_route() -> list[str]:
    """The address from which multicast would leave."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(_PROBE)
        except OSError:
            return []
        return [str(asking.getsockname()[0])]
