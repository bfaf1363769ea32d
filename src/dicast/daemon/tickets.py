"""Tickets that were accepted on this machine: kept in the state folder, read below the configuration file."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from dicast.addresses import is_websocket
from dicast.base.errors import ConfigurationError
from dicast.daemon.paths import Paths
from dicast.protocol.places import Place
from dicast.protocol.ticket import Ticket, TicketError, decode_ticket

TICKETS_MAX = 16
"""Of one state folder; the oldest makes room."""
TICKET_BYTES_MAX = 128 * 1024
"""Sixteen tickets of the largest size."""


def accept(paths: Paths, text: str) -> Ticket:
    """Keep a ticket; its network is joined by the next start. Raises ConfigurationError."""
    ticket = decode_ticket(text)
    if ticket.expires_at <= time.time():
        raise TicketError("ticket_expired", "The ticket has expired.", "Ask for a new one: `dicast invite`.")
    unusable = [relay for relay in ticket.relays if not is_websocket(relay)]
    unusable += [f"{one.transport}={one.address}" for one in ticket.places if not _can_be_dialled(one)]
    if unusable:
        raise TicketError(
            "ticket_shape", f"The ticket says {unusable[0]!r}, which is no address.", "Ask for a new one."
        )
    paths.prepare()
    bare = text.strip().removeprefix("dicast:").lower()
    before = _readable(paths)
    known = _same(before, ticket.network)
    kept = [one for one in _lines(paths) if one != bare][-(TICKETS_MAX - 1) :]
    _write(_tickets_file(paths), "\n".join([*kept, bare]) + "\n")
    passphrase = next((one.passphrase for one in (ticket, *known) if one.passphrase), "")
    if passphrase:
        _write(passphrase_file(paths), passphrase + "\n")
    elif not before or before[-1].network != ticket.network:  # what lies there is another network's
        passphrase_file(paths).unlink(missing_ok=True)
    return ticket


def joined(paths: Paths) -> dict[str, Any]:
    """The settings that accepted tickets stand for: the newest one's network, and all that is known of it.

    What cannot be an address is left out: a stranger's ticket must not keep the node from starting.
    """
    tickets = _readable(paths)
    if not tickets:
        return {}
    newest = tickets[-1]
    same = _same(tickets, newest.network)
    places = dict.fromkeys(one for ticket in same for one in ticket.places if _can_be_dialled(one))
    settings: dict[str, Any] = {
        "network": newest.network,
        "relays": list(dict.fromkeys(one for ticket in same for one in ticket.relays if is_websocket(one))),
        "peers": [f"{one.transport}={one.address}" for one in places],
    }
    if any(one.passphrase or one.needs_passphrase for one in same):
        settings["passphrase_file"] = str(passphrase_file(paths))
    return settings


def passphrase_file(paths: Paths) -> Path:
    """Where the passphrase of the network that was joined lies, or belongs."""
    return paths.state_dir / "network-passphrase"


def _can_be_dialled(place: Place) -> bool:
    """Whether it has the form that its transport takes; of other transports that is theirs to say."""
    if place.transport == "zenoh":
        from dicast.transports.zenoh_places import is_endpoint

        return is_endpoint(place.address)
    return place.transport != "websocket" or is_websocket(place.address)


def _readable(paths: Paths) -> list[Ticket]:
    tickets: list[Ticket] = []
    for line in _lines(paths):
        try:
            tickets.append(decode_ticket(line))
        except TicketError:
            continue  # of later software, or damaged: it helps nobody
    return tickets


def _same(tickets: list[Ticket], network: str) -> list[Ticket]:
    """Those of one network, the newest first."""
    return [one for one in reversed(tickets) if one.network == network]


def _tickets_file(paths: Paths) -> Path:
    return paths.state_dir / "tickets"


def _lines(paths: Paths) -> list[str]:
    try:
        with _tickets_file(paths).open("rb") as file:
            return file.read(TICKET_BYTES_MAX).decode("ascii", "replace").split()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigurationError(
            "tickets_unreadable", f"{_tickets_file(paths)} cannot be read: {error.strerror}.", ""
        ) from error


def _write(path: Path, text: str) -> None:
    """For the owner's eyes only, whole or not at all."""
    new = path.with_suffix(".new")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        new.replace(path)
    except OSError as error:
        raise ConfigurationError(
            "tickets_unwritable", f"{path} cannot be written: {error.strerror}.", ""
        ) from error
