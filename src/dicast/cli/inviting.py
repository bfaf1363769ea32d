"""`dicast invite` and `dicast join`: a network's meeting places in one string, and as a QR code."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from dicast.addresses import is_websocket
from dicast.base.errors import ConfigurationError
from dicast.base.nip19 import encode_npub
from dicast.cli.common import DEFAULTS, NOWHERE, Common, Meeting, OrStandardInput
from dicast.cli.output import note, print_result
from dicast.cli.session import as_the_node, is_running
from dicast.client import AsyncClient
from dicast.daemon import api, tickets
from dicast.daemon.config_schema import Settings
from dicast.daemon.key_files import load_or_create
from dicast.daemon.private_network import read_passphrase
from dicast.protocol.places import Place, places_of
from dicast.protocol.ticket import PLACES_MAX, RELAYS_MAX, Ticket, encode_ticket

DAYS_MAX = 365
DAY_S = 86_400
QUIET_MODULES = 4
"""The white border that the standard asks for."""
HALF_BLOCKS = " ▄▀█"
"""By what is dark: nothing, below, above, both."""
BLACK_ON_WHITE, PLAIN = "\x1b[30;107m", "\x1b[0m"
TICKET_CHARS_MAX = 8_192
"""More than the longest ticket."""


def invite(
    *,
    days: int = 7,
    with_passphrase: Annotated[bool, Parameter(negative="")] = False,
    meeting: Meeting = NOWHERE,
    common: Common = DEFAULTS,
) -> None:
    """Print a ticket to this network, and on a terminal its QR code.

    Parameters
    ----------
    days
        How long it can be used, 1 to 365.
    with_passphrase
        Put the private network's passphrase into it: whoever sees the ticket is inside.
    """
    if not 1 <= days <= DAYS_MAX:
        raise ConfigurationError(
            "ticket_days", f"--days {days} is outside 1…{DAYS_MAX}.", "Leave it out for 7."
        )
    expires_at = int(time.time()) + days * DAY_S
    ticket, settings = asyncio.run(_ticket(meeting, common, expires_at))
    if with_passphrase:
        ticket = _with_passphrase(ticket, settings)
    elif settings.passphrase_file:
        note("The network is private and the passphrase is not in the ticket: tell it another way.")
    text = encode_ticket(ticket)
    print_result({"ticket": text, **_as_json(ticket)}, text, common.json)
    if sys.stdout.isatty() and not common.json:
        sys.stdout.write(_qr_or_why_not(text))
    note(f"It leads to network {ticket.network}, for {days} days. There: dicast join TICKET")


def join(ticket: OrStandardInput, /, *, common: Common = DEFAULTS) -> None:
    """Keep a ticket, so that `dicast up` here meets its network.

    Parameters
    ----------
    ticket
        What `dicast invite` printed; - reads it from standard input, which no list of processes shows.
    """
    text = sys.stdin.read(TICKET_CHARS_MAX) if ticket == "-" else ticket
    accepted = tickets.accept(common.paths(), text)
    told = [
        f"network    {accepted.network}",
        f"invited by {encode_npub(accepted.inviter)} (nobody has proven that)",
        f"relays     {', '.join(accepted.relays) or 'none'}",
        f"addresses  {', '.join(place.address for place in accepted.places) or 'none'}",
    ]
    in_force = common.load().settings
    if in_force.network != accepted.network:
        told.append(f"But the configuration says network {in_force.network}, which stands above a ticket.")
    place = tickets.passphrase_file(common.paths())
    if accepted.needs_passphrase and in_force.passphrase_file == str(place) and not place.exists():
        told.append(f"The network is private: first write its passphrase into {place}, or no node starts.")
    print_result(_as_json(accepted), "\n".join([*told, "Now run: dicast up"]), common.json)


def qr_text(text: str) -> str:
    """The QR code in half blocks, black on white whatever the terminal's colours, with its quiet zone."""
    import segno

    code = segno.make(text.upper(), mode="alphanumeric", error="m", micro=False)
    rows = [list(row) for row in code.matrix_iter(border=QUIET_MODULES)]
    if len(rows) % 2:
        rows.append([0] * len(rows[0]))
    lines: list[str] = []
    for upper, lower in zip(rows[::2], rows[1::2], strict=True):
        drawn = "".join(
            HALF_BLOCKS[2 * bool(top) + bool(bottom)] for top, bottom in zip(upper, lower, strict=True)
        )
        lines.append(f"{BLACK_ON_WHITE}{drawn}{PLAIN}\n")
    return "".join(lines)


def _qr_or_why_not(text: str) -> str:
    from segno import DataOverflowError

    try:
        return "\n" + qr_text(text)
    except DataOverflowError:
        note("The ticket is too long for a QR code: it names many addresses.")
        return ""


async def _ticket(meeting: Meeting, common: Common, expires_at: int) -> tuple[Ticket, Settings]:
    """From the node that runs here, which knows where it is; else from the settings and the key."""
    settings = common.load(**meeting.flags()).settings
    if await is_running(common):
        client = AsyncClient(common.paths().state_dir)
        status: api.StatusResult = await client.status()
        settings = as_the_node(settings, meeting, await client.settings())
        inviter = status.node_id
        places = [place for place in places_of(status.addresses) if place.transport != "nostr"]  # in `relays`
    else:
        note("No node runs here, so the ticket holds no addresses of this machine.")
        inviter, places = load_or_create(common.paths(), common.password()).node_id, list[Place]()
    for relay in settings.relays:
        if not is_websocket(relay):
            raise ConfigurationError(
                "relay_url", f"{relay!r} is no relay address.", "For example wss://relay.example.org."
            )
    if not places and not settings.relays:
        raise ConfigurationError(
            "ticket_empty",
            "There is nothing to invite to: no relay is named, and no node here can be dialled.",
            "Name a relay (--relay URL), or let it listen: [transports.websocket] in the configuration.",
        )
    ticket = Ticket(
        network=settings.network,
        inviter=inviter,  # type: ignore[arg-type]
        expires_at=expires_at,
        relays=settings.relays[:RELAYS_MAX],
        places=tuple(places[:PLACES_MAX]),
        needs_passphrase=bool(settings.passphrase_file),
    )
    return ticket, settings


def _with_passphrase(ticket: Ticket, settings: Settings) -> Ticket:
    if not settings.passphrase_file:
        raise ConfigurationError(
            "ticket_open", "The network has no passphrase.", "Leave out --with-passphrase."
        )
    note("Warning: whoever sees this ticket, its QR code or a photo of it can join the private network.")
    passphrase = read_passphrase(Path(settings.passphrase_file).expanduser())
    return msgspec.structs.replace(ticket, passphrase=passphrase, needs_passphrase=False)


def _as_json(ticket: Ticket) -> dict[str, object]:
    return {
        "network": ticket.network,
        "inviter": ticket.inviter,
        "expires_at": ticket.expires_at,
        "relays": list(ticket.relays),
        "addresses": [f"{place.transport}={place.address}" for place in ticket.places],
        "has_passphrase": bool(ticket.passphrase),
        "needs_passphrase": ticket.needs_passphrase,
    }
