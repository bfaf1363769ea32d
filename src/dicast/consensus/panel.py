"""Who has a seat: the draw of unit tickets, neutral to splitting a key (`spec/07-draw.md`)."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nsmallest
from itertools import islice

from dicast.base.errors import Rejection
from dicast.base.hashing import tagged, u32
from dicast.base.limits import UNITS_MAX
from dicast.base.types import Digest, NodeId, RequestId
from dicast.consensus.constants import CANDIDATES_MAX, UNPROVEN_SHARE

Ticket = tuple[bytes, NodeId]
"""A ticket and its key; they sort by ticket, then by key."""


def candidates_root(candidates: dict[NodeId, int]) -> Digest:
    """What a request fixes before the beacon: every key and its units, in the order of the keys."""
    check_candidates(candidates)
    parts = (part for key in sorted(candidates) for part in (bytes.fromhex(key), u32(candidates[key])))
    return Digest(tagged("dicast/candidates/1", *parts).hex())


def randomness(request_id: RequestId, beacon: str) -> Digest:
    """What the draw depends on besides the candidates; `beacon` is hex and was unknown when asking."""
    return Digest(tagged("dicast/randomness/1", bytes.fromhex(request_id), bytes.fromhex(beacon)).hex())


def unit_ticket(randomness: Digest, pubkey: NodeId, k: int) -> bytes:
    """The ticket of a key's unit number `k`."""
    return tagged("dicast/ticket/1", bytes.fromhex(randomness), bytes.fromhex(pubkey), u32(k))


def draw(candidates: dict[NodeId, int], seats: int, randomness: Digest) -> dict[NodeId, int]:
    """Seats by key, keys ascending: the lowest unit tickets, at most one seat in eight from unproven keys.

    A key of 0 units is unproven and has one ticket, that of unit 0. Fewer seats come back when the tickets
    run out.
    """
    check_candidates(candidates)
    proven = nsmallest(seats, _tickets(candidates.items(), randomness))
    fresh = ((key, 1) for key, units in candidates.items() if units == 0)
    unproven = nsmallest(seats // UNPROVEN_SHARE, _tickets(fresh, randomness))
    return _seats_by_key(islice(sorted(proven + unproven), seats))


def open_seats(request_id: RequestId, keys: Iterable[NodeId], panel_max: int) -> dict[NodeId, int]:
    """Seats of an `open` round: one each for the `panel_max` keys with the lowest tickets."""
    randomness_open = randomness(request_id, "")
    tickets = open_tickets(randomness_open, keys)
    return _seats_by_key(tickets[:panel_max])


def open_tickets(randomness: Digest, keys: Iterable[NodeId]) -> list[Ticket]:
    """The keys of an `open` round with their one ticket each, lowest first."""
    return sorted(_tickets(((key, 1) for key in set(keys)), randomness))


def check_candidates(candidates: dict[NodeId, int]) -> None:
    """Refuse more keys than a draw takes, and units outside 0 … 64."""
    if len(candidates) > CANDIDATES_MAX:
        raise Rejection("candidates_too_many", f"{len(candidates)} candidates, at most {CANDIDATES_MAX}.")
    for key, units in candidates.items():
        if not 0 <= units <= UNITS_MAX:
            raise Rejection("candidate_units", f"The units {units} of {key} are outside 0…{UNITS_MAX}.")


def _tickets(units: Iterable[tuple[NodeId, int]], randomness: Digest) -> Iterable[Ticket]:
    return ((unit_ticket(randomness, key, k), key) for key, count in units for k in range(count))


def _seats_by_key(tickets: Iterable[Ticket]) -> dict[NodeId, int]:
    seats: dict[NodeId, int] = {}
    for key in sorted(key for _, key in tickets):
        seats[key] = seats.get(key, 0) + 1
    return seats
