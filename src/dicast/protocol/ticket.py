"""Invitations: a network's name and where to meet it, as one string that people copy, print and scan."""

from __future__ import annotations

import msgspec

from dicast.base.bech32 import TEXT_CHARS_MAX, KeyTextError, decode, encode
from dicast.base.errors import ConfigurationError
from dicast.base.types import NodeId
from dicast.protocol.places import Place, is_tellable

PREFIX = "dicast"
VERSION = 1
RELAYS_MAX = 8
PLACES_MAX = 8
"""Nobody tries more, and the QR code stays readable for a phone."""
VALUE_BYTES_MAX = 255
"""One byte says how long a value is."""
_KEY, _RELAY, _NETWORK, _EXPIRES, _PLACE, _PASSPHRASE, _PRIVATE = range(7)


class TicketError(ConfigurationError):
    """A text that somebody gave is no ticket."""


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """What an invitation says; it proves nothing. `expires_at` is in Unix seconds."""

    network: str
    inviter: NodeId
    expires_at: int
    relays: tuple[str, ...] = ()
    places: tuple[Place, ...] = ()
    passphrase: str = ""
    needs_passphrase: bool = False
    """The network is private, and its passphrase is told another way."""


def encode_ticket(ticket: Ticket) -> str:
    """`dicast1…`: bech32 over a version and entries of tag, length and value. Raises `TicketError`."""
    entries = [
        (_KEY, bytes.fromhex(ticket.inviter)),
        (_EXPIRES, ticket.expires_at.to_bytes(8, "big")),
        (_NETWORK, ticket.network.encode()),
        *((_RELAY, relay.encode()) for relay in ticket.relays[:RELAYS_MAX]),
        *((_PLACE, f"{one.transport}={one.address}".encode()) for one in ticket.places[:PLACES_MAX]),
    ]
    if ticket.passphrase:
        entries.append((_PASSPHRASE, ticket.passphrase.encode()))
    elif ticket.needs_passphrase:
        entries.append((_PRIVATE, b""))
    if any(len(value) > VALUE_BYTES_MAX for _, value in entries):
        raise TicketError("ticket_long", f"A ticket's values have at most {VALUE_BYTES_MAX} bytes.", "")
    body = b"".join(bytes((tag, len(value))) + value for tag, value in entries)
    text = encode(PREFIX, bytes((VERSION,)) + body)
    if len(text) > TEXT_CHARS_MAX:
        raise TicketError(
            "ticket_long", f"A ticket has at most {TEXT_CHARS_MAX} characters.", "Name fewer relays."
        )
    return text


def decode_ticket(text: str) -> Ticket:
    """What a ticket says; raises `TicketError` for any other text. Entries of later software are skipped."""
    bare = text.strip().removeprefix("dicast:")
    try:
        prefix, payload = decode(bare)
    except KeyTextError as error:
        raise TicketError("ticket_text", f"This is no ticket: {_about(error.code)}.", _AGAIN) from error
    if prefix != PREFIX or not payload:
        raise TicketError("ticket_prefix", f"A ticket begins with {PREFIX}1.", _AGAIN)
    if payload[0] != VERSION:
        raise TicketError(
            "ticket_version", f"The ticket is of version {payload[0]}; this software reads 1.", "Update it."
        )
    return _ticket_of(_entries(payload[1:]))


def _entries(rest: bytes) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    while rest:
        length = rest[1] if len(rest) > 1 else len(rest)
        if len(rest) < 2 + length:
            raise TicketError("ticket_cut", "The ticket was cut short.", _AGAIN)
        found.append((rest[0], rest[2 : 2 + length]))
        rest = rest[2 + length :]
    return found


def _ticket_of(entries: list[tuple[int, bytes]]) -> Ticket:
    def every(tag: int) -> list[str]:
        return [value.decode() for found, value in entries if found == tag]

    try:
        [network], [expires], [key] = (
            every(_NETWORK),
            *([value for found, value in entries if found == tag] for tag in (_EXPIRES, _KEY)),
        )
        relays, passphrase = tuple(every(_RELAY)[:RELAYS_MAX]), "".join(every(_PASSPHRASE)[:1])
        places = tuple(_place(text) for text in every(_PLACE)[:PLACES_MAX])
    except (ValueError, UnicodeError) as error:
        raise TicketError("ticket_shape", "The ticket lacks something or holds no text.", _AGAIN) from error
    is_good = 1 <= len(network) <= 64 and len(expires) == 8 and len(key) == 32
    is_good = is_good and all(is_tellable("relay", relay) for relay in relays)
    if not is_good or network != network.strip() or any(ord(char) < 32 for char in network + passphrase):
        raise TicketError("ticket_shape", "The ticket says nothing that can be used.", _AGAIN)
    return Ticket(
        network=network,
        inviter=NodeId(key.hex()),
        expires_at=int.from_bytes(expires, "big"),
        relays=relays,
        places=places,
        passphrase=passphrase,
        needs_passphrase=not passphrase and any(tag == _PRIVATE for tag, _ in entries),
    )


def parse_place(text: str) -> Place:
    """`transport=address`. Raises ValueError."""
    transport, mark, address = text.partition("=")
    if not mark or not is_tellable(transport, address):
        raise ValueError("no place")
    return Place(transport, address)


_place = parse_place


def _about(code: str) -> str:
    return (
        "its checksum is wrong: a character was mistyped"
        if code == "bech32_checksum"
        else "it cannot be read"
    )


_AGAIN = "Copy it again, whole: it looks like dicast1…."
