"""Endpoints of Zenoh as text: where this node listens, and where others say that somebody does."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence

from dicast.transports.websocket_hearsay import Hearsay

ENDPOINT = re.compile(r"tcp/(\[[0-9a-f:.]{2,45}\]|[0-9.]{7,15}):([0-9]{1,5})\Z")
"""What may be told and tried: an IP address, for Zenoh looks names up by itself, and no options behind it."""
TRIED_AT_ONCE = 4
"""Suggested endpoints of one session: Zenoh keeps trying each, and one that answers names the others."""


def is_endpoint(text: str) -> bool:
    """Whether it is an address and a port, and nothing else."""
    match = ENDPOINT.match(text)
    if match is None or not 0 < int(match[2]) < 65_536:
        return False
    try:
        ipaddress.ip_address(match[1].strip("[]"))
    except ValueError:
        return False
    return True


def with_ports(endpoints: Sequence[str], preferred: int = 0) -> tuple[str, ...]:
    """The same with a free port where they leave it open, if it is free that one: Zenoh does not tell."""
    return tuple(_with_port(endpoint, preferred) for endpoint in endpoints)


def tellable(endpoints: Sequence[str]) -> tuple[str, ...]:
    """Those that name one machine."""
    told = [endpoint for endpoint in endpoints if is_endpoint(endpoint)]
    return tuple(one for one in told if not _address(one).is_unspecified)


class Suggestions:
    """Endpoints that others told of, within the bounds of hearsay; loopback for those who listen there."""

    def __init__(self, listening: Sequence[str]) -> None:
        hosts = [_address(endpoint) for endpoint in listening if ENDPOINT.match(endpoint)]
        self._hearsay = Hearsay(with_loopback=bool(hosts) and all(host.is_loopback for host in hosts))
        self._tried: tuple[str, ...] = ()

    def add(self, endpoint: str) -> None:
        """Somebody may be there. Never raises."""
        if is_endpoint(endpoint):
            self._hearsay.add(_url(endpoint))

    def take(self) -> tuple[str, ...]:
        """Endpoints to try now, in place of those before, where nobody was."""
        for endpoint in self._tried:
            self._hearsay.failed(_url(endpoint))
        taken = [self._hearsay.take() for _ in range(TRIED_AT_ONCE)]
        self._tried = tuple(f"tcp/{url.removeprefix('ws://')}" for url in taken if url is not None)
        return self._tried

    @property
    def tried(self) -> tuple[str, ...]:
        """Those that the session tries."""
        return self._tried

    def __len__(self) -> int:
        return len(self._hearsay)


def _url(endpoint: str) -> str:
    return "ws://" + endpoint.removeprefix("tcp/")


def _address(endpoint: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    match = ENDPOINT.match(endpoint)
    assert match is not None, "checked before"
    return ipaddress.ip_address(match[1].strip("[]"))


def _with_port(endpoint: str, preferred: int) -> str:
    match = ENDPOINT.match(endpoint)
    if match is None or int(match[2]):
        return endpoint
    address = _address(endpoint)
    port = _bound(address, preferred) or _bound(address, 0)
    return f"{endpoint.rpartition(':')[0]}:{port}"


def _bound(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> int:
    """The port if it can be had, for 0 one that can; 0 where it cannot."""
    with socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Zenoh does
        try:
            probe.bind((str(address), port))
            probe.listen()
        except OSError:
            return 0
        return int(probe.getsockname()[1])
