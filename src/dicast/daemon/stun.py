"""What kind of NAT is before this machine: it asks STUN servers (RFC 5389) where its packets come from."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Sequence
from enum import StrEnum

import msgspec

COOKIE = 0x2112A442
REQUEST, SUCCESS = 0x0001, 0x0101
MAPPED, XOR_MAPPED = 0x0001, 0x0020
HEADER_BYTES = 20
PORT = 3478
"""Where STUN servers listen unless their address says otherwise."""
PORT_MAX = 65_535
TRIES = 4
TRY_S = 0.4
"""Packets get lost: each server is asked again so often, so long after the last time."""
SERVERS_MAX = 8
"""Two tell the kind of NAT; a few more may be down."""
ANY_ADDRESS = "0.0.0.0"  # noqa: S104 (a socket that only hears answers to what it sent)
ATTRIBUTES_MAX = 32
"""An answer has about five."""

Address = tuple[str, int]


class Nat(StrEnum):
    """What stands between this machine and the servers."""

    NONE = "none"
    CONE = "cone"
    SYMMETRIC = "symmetric"
    UNKNOWN = "unknown"
    BLOCKED = "blocked"


class Seen(msgspec.Struct, frozen=True):
    """The kind, where one's packets leave, and where each server that answered saw them come from."""

    nat: Nat
    local: Address | None
    mapped: dict[str, Address]


async def look(servers: Sequence[str]) -> Seen:
    """Ask `stun:host:port` servers from one socket. Never raises: who does not answer is left out."""
    asked = await asyncio.gather(*(_resolved(server) for server in servers[:SERVERS_MAX]))
    places = {server: place for server, place in zip(servers, asked, strict=False) if place is not None}
    if not places:
        return Seen(Nat.BLOCKED if servers else Nat.UNKNOWN, None, {})
    loop = asyncio.get_running_loop()
    transport, asking = await loop.create_datagram_endpoint(
        _Asking, local_addr=(ANY_ADDRESS, 0), family=socket.AF_INET
    )
    try:
        mapped = await asking.ask(transport, places)
        port = int(transport.get_extra_info("sockname")[1])
    finally:
        transport.close()
    local = (_own_address(next(iter(places.values()))), port)
    return Seen(kind_of(local, list(mapped.values())), local, mapped)


def kind_of(local: Address, mapped: Sequence[Address]) -> Nat:
    """One address from several servers is a cone, several are a symmetric NAT; one server cannot tell."""
    if not mapped:
        return Nat.BLOCKED
    if all(address == local for address in mapped):
        return Nat.NONE
    if len(set(mapped)) > 1:
        return Nat.SYMMETRIC
    return Nat.CONE if len(mapped) > 1 else Nat.UNKNOWN


def binding_request(transaction: bytes) -> bytes:
    """The bytes of a request; `transaction` has 12."""
    return REQUEST.to_bytes(2) + b"\0\0" + COOKIE.to_bytes(4) + transaction


def parse_answer(answer: bytes) -> tuple[bytes, Address] | None:
    """The transaction and the address that was seen; None for anything else. Never raises."""
    if len(answer) < HEADER_BYTES or int.from_bytes(answer[:2]) != SUCCESS:
        return None
    if int.from_bytes(answer[4:8]) != COOKIE or int.from_bytes(answer[2:4]) != len(answer) - HEADER_BYTES:
        return None
    found: dict[int, Address] = {}
    rest = answer[HEADER_BYTES:]
    for _ in range(ATTRIBUTES_MAX):
        if len(rest) < 4:
            break
        kind, length = int.from_bytes(rest[:2]), int.from_bytes(rest[2:4])
        address = _address(rest[4 : 4 + length], is_xored=kind == XOR_MAPPED)
        if kind in (MAPPED, XOR_MAPPED) and address is not None:
            found.setdefault(kind, address)
        rest = rest[4 + length + -length % 4 :]
    best = found.get(XOR_MAPPED) or found.get(MAPPED)
    return None if best is None else (answer[8:HEADER_BYTES], best)


def _address(value: bytes, is_xored: bool) -> Address | None:
    if len(value) != 8 or value[1] != 1:  # IPv4
        return None
    port, host = int.from_bytes(value[2:4]), int.from_bytes(value[4:8])
    if is_xored:
        port, host = port ^ (COOKIE >> 16), host ^ COOKIE
    return socket.inet_ntoa(host.to_bytes(4)), port


class _Asking(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self._servers: dict[bytes, str] = {}
        self._mapped: dict[str, Address] = {}
        self._all_there = asyncio.Event()

    async def ask(
        self, transport: asyncio.DatagramTransport, places: dict[str, Address]
    ) -> dict[str, Address]:
        transactions = {server: secrets.token_bytes(12) for server in places}
        self._servers = {transaction: server for server, transaction in transactions.items()}
        for _ in range(TRIES):
            for server in places.keys() - self._mapped.keys():
                transport.sendto(binding_request(transactions[server]), places[server])
            try:
                await asyncio.wait_for(self._all_there.wait(), TRY_S)
                break
            except TimeoutError:
                continue
        return {server: self._mapped[server] for server in places if server in self._mapped}

    def datagram_received(self, data: bytes, addr: object) -> None:
        answer = parse_answer(data)
        server = self._servers.get(answer[0]) if answer is not None else None
        if answer is not None and server is not None:  # nobody else knows the transaction
            self._mapped.setdefault(server, answer[1])
            if len(self._mapped) == len(self._servers):
                self._all_there.set()

    def error_received(self, exc: Exception) -> None:
        """A port that nobody listens on: the others may still answer."""


async def _resolved(server: str) -> Address | None:
    host, _, port = server.partition(":")[2].partition("?")[0].rpartition(":")
    if not host:
        host, port = port, str(PORT)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host.strip("[]"), int(port), family=socket.AF_INET, type=socket.SOCK_DGRAM
        )
    except (OSError, ValueError, UnicodeError):
        return None
    return (str(found[0][4][0]), int(port)) if 0 < int(port) <= PORT_MAX else None


def _own_address(place: Address) -> str:
    """The address that packets to `place` leave from; nothing is sent."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(place)
            return str(probe.getsockname()[0])
    except OSError:
        return ""
