"""Tickets: what is written is read, and nothing else is."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.base.bech32 import encode
from dicast.base.types import NodeId
from dicast.protocol.places import Place
from dicast.protocol.ticket import PLACES_MAX, RELAYS_MAX, Ticket, TicketError, decode_ticket, encode_ticket

TICKET = Ticket(
    network="family",
    inviter=NodeId("ab" * 32),
    expires_at=1_900_000_000,
    relays=("wss://relay.example.org",),
    places=(Place("websocket", "ws://192.0.2.1:7780"),),
)
TEXT = st.from_regex(r"[!-~]{1,60}", fullmatch=True)
PLACES = st.builds(Place, st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True), TEXT)
TICKETS = st.builds(
    Ticket,
    network=st.from_regex(r"[a-zäöü-]{1,32}", fullmatch=True),
    inviter=st.binary(min_size=32, max_size=32).map(lambda key: NodeId(key.hex())),
    expires_at=st.integers(0, 2**63),
    relays=st.lists(TEXT, max_size=RELAYS_MAX).map(tuple),
    places=st.lists(PLACES, max_size=PLACES_MAX).map(tuple),
    passphrase=st.from_regex(r"[ -~]{0,60}", fullmatch=True),
)


@given(TICKETS)
def test_theorem_21_7_a_ticket_is_read_as_it_was_written_in_either_case(ticket: Ticket) -> None:
    text = encode_ticket(ticket)
    assert text.startswith("dicast1")
    assert decode_ticket(text) == decode_ticket(f" {text.upper()}\n") == ticket


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: encode("dicast", data)))
def test_whatever_text_comes_it_is_a_ticket_or_refused(text: str) -> None:
    try:
        ticket = decode_ticket(text)
    except TicketError:
        return
    assert decode_ticket(encode_ticket(ticket)) == ticket


def test_no_ticket_is_made_that_nobody_could_read() -> None:
    with pytest.raises(TicketError, match="ticket_long"):
        encode_ticket(
            msgspec.structs.replace(
                TICKET,
                relays=(f"wss://{'a' * 240}.example",) * RELAYS_MAX,
                places=(Place("websocket", "b" * 240),) * PLACES_MAX,
            )
        )


@given(st.integers(7, 100), st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l"))
def test_a_mistyped_character_is_found(at: int, letter: str) -> None:
    text = encode_ticket(TICKET)
    wrong = text[:at] + letter + text[at + 1 :]
    if wrong != text:
        with pytest.raises(TicketError, match="mistyped"):
            decode_ticket(wrong)


def test_what_later_software_adds_is_skipped_and_its_next_version_refused() -> None:
    from dicast.base.bech32 import decode

    _, payload = decode(encode_ticket(TICKET))
    assert decode_ticket(encode("dicast", payload + bytes((77, 2)) + b"hi")) == TICKET
    with pytest.raises(TicketError, match="version 2"):
        decode_ticket(encode("dicast", b"\x02" + payload[1:]))


def test_a_ticket_says_that_a_passphrase_is_needed_unless_it_brings_it() -> None:
    needing = msgspec.structs.replace(TICKET, needs_passphrase=True)
    assert decode_ticket(encode_ticket(needing)) == needing
    bringing = msgspec.structs.replace(needing, passphrase="correct horse battery")
    assert decode_ticket(encode_ticket(bringing)) == msgspec.structs.replace(bringing, needs_passphrase=False)
