"""Vectors of the draw: roots, randomness, tickets and seats."""

from __future__ import annotations

import hashlib

from dicast.base.types import Digest, Json, NodeId, RequestId
from dicast.consensus import panel

REQUEST = RequestId(hashlib.sha256(b"dicast vectors: request").hexdigest())


def generate() -> dict[str, Json]:
    """File name -> content."""
    return {"draw.json": draws()}


def key(index: int) -> NodeId:
    """The key of candidate number `index`."""
    return NodeId(hashlib.sha256(b"dicast vectors: member %d" % index).hexdigest())


def draws() -> Json:
    """Roots, randomness, tickets and seats of drawn and open rounds."""
    proven = {key(index): 1 + index * 7 % 9 for index in range(20)}
    fresh = {key(index): 0 for index in range(20, 60)}
    random = panel.randomness(REQUEST, "beac0f")
    nobody: dict[NodeId, int] = {}
    rounds = [
        (proven, 7),
        (proven | fresh, 16),
        (proven | fresh, 17),
        (fresh, 16),
        ({key(0): 64}, 9),
        (nobody, 3),
    ]
    beacons: list[Json] = [
        {"beacon": beacon, "randomness": panel.randomness(REQUEST, beacon)} for beacon in ("", "beac0f")
    ]
    tickets: list[Json] = [
        {"pubkey": key(index), "k": k, "ticket": panel.unit_ticket(random, key(index), k).hex()}
        for index, k in [(0, 0), (0, 1), (1, 63)]
    ]
    opened: list[Json] = [
        {
            "keys": [str(key) for key in sorted(fresh)],
            "panel_max": most,
            "panel": as_json(panel.open_seats(REQUEST, fresh, most)),
        }
        for most in (5, 100)
    ]
    return {
        "request_id": REQUEST,
        "randomness": beacons,
        "tickets": tickets,
        "drawn": [_drawn(candidates, seats, random) for candidates, seats in rounds],
        "open": opened,
    }


def _drawn(candidates: dict[NodeId, int], seats: int, random: Digest) -> Json:
    return {
        "candidates": as_json(candidates),
        "root": panel.candidates_root(candidates),
        "seats": seats,
        "randomness": random,
        "panel": as_json(panel.draw(candidates, seats, random)),
    }


def as_json(units: dict[NodeId, int]) -> Json:
    """Keys with their units or seats."""
    return {str(key): count for key, count in units.items()}
