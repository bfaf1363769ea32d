"""Where a node may be reached, as text that strangers wrote: its subnet, and what may be told of it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence

import msgspec

ADDRESSES_MAX = 4
TRANSPORTS_MAX = 16
ADDRESS_CHARS_MAX = 256
"""As the messages say; see `messages.Addresses`."""
NEAR = "near"
"""The subnet of all loopback, private and link-local addresses: a LAN cannot be spread."""
UNREADABLE = "unreadable"
"""The subnet of everything in which no host is found: all of it shares one quota."""

_NAME = re.compile(r"[a-z0-9_-]{1,64}\Z")
_ADDRESS = re.compile(r"[!-~]{1,256}\Z")
_SCOPED = re.compile(r"\[[^\]]*%")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*(?:://|/)")
_HOST = re.compile(r"\[(?P<six>[0-9a-f:.]{2,45})(?:%[^\]]*)?\]|(?P<name>[a-z0-9._-]{1,253})")
_DOMAIN = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?\Z")


class Place(msgspec.Struct, frozen=True, order=True):
    """An address of a transport."""

    transport: str
    address: str


def is_tellable(transport: str, address: str) -> bool:
    """Whether they can stand in a message: a name of ours, printable ASCII, no interface of one machine's."""
    return bool(_NAME.match(transport) and _ADDRESS.match(address) and not _SCOPED.search(address))


def tellable(addresses: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """What of a node's own addresses goes into its messages, within their limits."""
    told: dict[str, tuple[str, ...]] = {}
    for transport, some in sorted(addresses.items()):
        fitting = tuple(one for one in dict.fromkeys(some) if is_tellable(transport, one))[:ADDRESSES_MAX]
        if fitting and len(told) < TRANSPORTS_MAX:
            told[transport] = fitting
    return told


def places_of(addresses: Mapping[str, Sequence[str]]) -> tuple[Place, ...]:
    """Every address of a message, what cannot be told left out."""
    return tuple(
        Place(transport, one)
        for transport, some in sorted(addresses.items())
        for one in some[:ADDRESSES_MAX]
        if is_tellable(transport, one)
    )


def subnet_of(address: str) -> str:
    """Whose word an address likely is: its /16 or /48, its registered name, or that it is near."""
    host = _host_of(address.lower())
    if not host:
        return UNREADABLE
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return _domain_of(host)
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped or parsed.sixtofour
        if mapped is None:
            return NEAR if _is_near(parsed) else str(ipaddress.ip_network((int(parsed), 48), strict=False))
        parsed = mapped
    return NEAR if _is_near(parsed) else str(ipaddress.ip_network((int(parsed), 16), strict=False))


def _is_near(parsed: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(parsed, ipaddress.IPv4Address):
        return any(parsed in block for block in _NEAR_FOUR)
    return any(parsed in block for block in _NEAR_SIX)


def _host_of(address: str) -> str:
    """The host in `ws://host:1/`, `tcp/host:1`, `host:1` or `/ip4/host/tcp/1`; empty if there is none."""
    if address.startswith("/"):
        parts = address.split("/")
        is_host = len(parts) > 2 and parts[1] in {"ip4", "ip6", "dns", "dns4", "dns6", "dnsaddr"}
        return parts[2] if is_host else ""
    rest = _SCHEME.sub("", address, count=1)
    found = _HOST.match(rest)
    if found is None:
        return ""
    return found["six"] or found["name"] or ""


def _domain_of(host: str) -> str:
    if not _DOMAIN.match(host):
        return UNREADABLE
    labels = host.rstrip(".").split(".")
    return NEAR if labels[-1] in {"localhost", "local"} else ".".join(labels[-2:])


_NEAR_FOUR = tuple(
    ipaddress.IPv4Network(block)
    for block in ("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16")
) + tuple(ipaddress.IPv4Network(block) for block in ("172.16.0.0/12", "192.168.0.0/16"))
_NEAR_SIX = tuple(ipaddress.IPv6Network(block) for block in ("::/127", "fc00::/7", "fe80::/10"))
