"""Addresses of the mesh that others told of: bounded, spread over subnets, forgotten when nobody is there."""

from __future__ import annotations

import ipaddress
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052: what a translator turns into IPv4."""
HEARSAY_MAX = 256  # addresses known: some of them live whatever the liars add
HEARSAY_LINKS_MAX = 4  # dialled at once: who dials four others and is dialled by as many is well connected
KNOWN_A_SUBNET_MAX = 8  # whoever wants to fill the list needs 32 subnets
LINKS_A_SUBNET_MAX = 2  # addresses of one subnet are one operator's
FAILURES_MAX = 3  # in a row; then it is forgotten
RETRY_SECONDS_FIRST = 1.0  # a node that was restarted is back soon
RETRY_SECONDS_MAX = 60.0  # a stranger's word is no reason to knock more often
ADDRESS_CHARS_MAX = 200  # host names have at most 253 characters, and sane ones 60
PRIVILEGED_PORTS = frozenset({80, 443})  # below 1,024 no other: nobody shall make us knock at mail servers
LAN = "lan"
"""The subnet of all private and loopback addresses: they are near, and cannot be spread."""

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass
class _Known:
    subnet: str
    failures: int = 0
    not_before: float = 0.0
    is_busy: bool = False


class Hearsay:
    """What was suggested, and which of it to dial next."""

    def __init__(self, *, with_loopback: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._with_loopback = with_loopback
        self._clock = clock
        self._known: dict[str, _Known] = {}

    def add(self, address: str) -> bool:
        """Take an address that somebody told of; whether it is a new one that may be dialled."""
        parsed = place_of(address)
        if parsed is None or address in self._known:
            return False
        if isinstance(parsed, str):
            subnet = parsed
        elif self.may_dial(parsed):
            subnet = subnet_of(parsed)
        else:
            return False
        if sum(1 for one in self._known.values() if one.subnet == subnet) >= _known_max(subnet):
            return False
        if len(self._known) >= HEARSAY_MAX and not self._drop_a_failed_one():
            return False
        self._known[address] = _Known(subnet)
        return True

    def may_dial(self, address: IpAddress) -> bool:
        """Whether a stranger's word is enough: our own machine only for those who listen there."""
        address = carried_by(address)
        if address.is_loopback:
            return self._with_loopback
        never = address.is_multicast or address.is_unspecified or address.is_link_local or address.is_reserved
        return not never

    def take(self, avoided: Iterable[str] = ()) -> str | None:
        """An address to dial now, at random; say `ended` or `failed` of it afterwards."""
        now, avoid = self._clock(), frozenset(avoided)
        linked = Counter(one.subnet for one in self._known.values() if one.is_busy)
        free = [
            address
            for address, one in self._known.items()
            if not one.is_busy
            and one.not_before <= now
            and address not in avoid
            and (one.subnet == LAN or linked[one.subnet] < LINKS_A_SUBNET_MAX)
        ]
        if not free:
            return None
        chosen = random.choice(free)  # noqa: S311 (spreads load; nobody gains by guessing it)
        self._known[chosen].is_busy = True
        return chosen

    def resolved(self, address: str, found: IpAddress) -> bool:
        """A name stands for this address: whether it may be dialled, next to what is dialled already."""
        one, subnet = self._known[address], subnet_of(found)
        others = sum(
            other.subnet == subnet for other in self._known.values() if other.is_busy and other is not one
        )
        one.subnet = subnet
        return self.may_dial(found) and (subnet == LAN or others < LINKS_A_SUBNET_MAX)

    def ended(self, address: str) -> None:
        """A link that stood is over; it may be dialled again in a moment."""
        one = self._known[address]
        one.failures, one.is_busy = 0, False
        one.not_before = self._clock() + RETRY_SECONDS_FIRST

    def failed(self, address: str, *, for_good: bool = False) -> None:
        """Nobody is there, or, for good, somebody whom we do not want."""
        one = self._known[address]
        one.failures += 1
        one.is_busy = False
        if for_good or one.failures >= FAILURES_MAX:
            del self._known[address]
            return
        pause = min(RETRY_SECONDS_FIRST * 4**one.failures, RETRY_SECONDS_MAX)
        one.not_before = self._clock() + pause

    def next_seconds(self) -> float:
        """How long until an address that failed may be tried again, at most."""
        now = self._clock()
        waits = [one.not_before - now for one in self._known.values() if not one.is_busy]
        return max(0.05, min((wait for wait in waits if wait > 0), default=RETRY_SECONDS_MAX))

    def __len__(self) -> int:
        return len(self._known)

    def _drop_a_failed_one(self) -> bool:
        """Make room; what was never tried, or answers, is not pushed out by what was heard last."""
        failed = next((at for at, one in self._known.items() if one.failures and not one.is_busy), None)
        if failed is not None:
            del self._known[failed]
        return failed is not None


def carried_by(address: IpAddress) -> IpAddress:
    """The IPv4 address that an IPv6 one stands for (mapped, 6to4, NAT64), which is where packets end up."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour or address


def subnet_of(address: IpAddress) -> str:
    """The network whose addresses are commonly one operator's: /24, or /48 of IPv6."""
    address = carried_by(address)
    if address.is_loopback or address.is_private:
        return LAN
    prefix = 24 if address.version == 4 else 48
    return str(ipaddress.ip_network((address, prefix), strict=False))


def _known_max(subnet: str) -> int:
    return HEARSAY_MAX // 2 if subnet == LAN else KNOWN_A_SUBNET_MAX


def place_of(text: str) -> IpAddress | str | None:
    """An address of ours as its IP address or the last two words of its name; None when it looks wrong."""
    if len(text) > ADDRESS_CHARS_MAX or not text.isascii() or " " in text:
        return None
    try:
        parts = urlsplit(text)
        port = parts.port or (443 if parts.scheme == "wss" else 80)
    except ValueError:
        return None
    is_plain = parts.scheme in ("ws", "wss") and bool(parts.hostname) and parts.username is None
    if not is_plain or not text.isprintable() or parts.query or parts.fragment:
        return None
    if port < 1024 and port not in PRIVILEGED_PORTS:
        return None
    host = parts.hostname or ""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        labels = host.rstrip(".").split(".")
        return ".".join(labels[-2:]) if len(labels) > 1 else None
