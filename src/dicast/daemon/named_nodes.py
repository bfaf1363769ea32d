"""Addresses that strangers name, to get blobs from: which of them a node asks.

What is asked there is of our making, and what comes must have the hash; so a lie costs one request.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import urlsplit

from dicast.transports.websocket_hearsay import Hearsay, IpAddress, place_of

RESOLVE_SECONDS_MAX = 5.0
"""A name that takes longer is of no use to a question that waits."""
_RESOLVING = ThreadPoolExecutor(4, "names")
"""Threads of their own: a look-up cannot be ended, and names that strangers let hang hold up names only."""


async def allowed(addresses: Iterable[str], *, with_loopback: bool) -> list[str]:
    """Those where a stranger's word is enough to knock, as for links of the mesh; names by what they mean."""
    rule = Hearsay(with_loopback=with_loopback)
    wanted = list(dict.fromkeys(addresses))
    found = await asyncio.gather(*(_behind(address) for address in wanted))
    return [
        address
        for address, hosts in zip(wanted, found, strict=True)
        if hosts and all(map(rule.may_dial, hosts))
    ]


async def _behind(address: str) -> list[IpAddress]:
    """The IP addresses that an address of the mesh stands for; none when it is no such address."""
    place = place_of(address)
    if not isinstance(place, str):
        return [] if place is None else [place]
    parts = urlsplit(address)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_SECONDS_MAX):
            look_up = partial(socket.getaddrinfo, parts.hostname, parts.port, type=socket.SOCK_STREAM)
            found = await loop.run_in_executor(_RESOLVING, look_up)
    except (OSError, UnicodeError, TimeoutError):
        return []
    return [ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found]
