"""The draw: byte-exact tickets, and the theorems of `spec/07-draw.md`."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.base.errors import Rejection
from dicast.base.types import Digest, NodeId, RequestId
from dicast.consensus.panel import (
    candidates_root,
    draw,
    open_seats,
    open_tickets,
    randomness,
    unit_ticket,
)

REQUEST = RequestId("ab" * 32)
RANDOM = st.binary(min_size=32, max_size=32).map(lambda data: Digest(data.hex()))


def key(index: int) -> NodeId:
    return NodeId(hashlib.sha256(b"key %d" % index).hexdigest())


CANDIDATES = st.dictionaries(st.integers(0, 400).map(key), st.integers(0, 6), max_size=40)


def sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


@given(RANDOM, st.integers(0, 63))
def test_a_ticket_is_a_tagged_hash(random: Digest, k: int) -> None:
    parts = bytes.fromhex(random), bytes.fromhex(key(1)), k.to_bytes(4, "big")
    assert unit_ticket(random, key(1), k) == sha(b"dicast/ticket/1", *parts)


def test_root_and_randomness_are_tagged_hashes() -> None:
    first, second = sorted((key(1), key(2)))
    units = {second: 3, first: 64}
    parts = bytes.fromhex(first) + b"\0\0\0\x40" + bytes.fromhex(second) + b"\0\0\0\x03"
    assert candidates_root(units) == sha(b"dicast/candidates/1", parts).hex()
    assert candidates_root(dict(reversed(units.items()))) == candidates_root(units)
    assert candidates_root({}) == sha(b"dicast/candidates/1").hex()
    assert randomness(REQUEST, "beef") == sha(b"dicast/randomness/1", b"\xab" * 32, b"\xbe\xef").hex()


@given(CANDIDATES, st.integers(0, 30), RANDOM)
def test_theorem_7_1_the_lowest_unit_tickets_have_the_seats(
    candidates: dict[NodeId, int], seats: int, random: Digest
) -> None:
    """Written as a walk up all tickets that stops unproven keys at one seat in eight."""
    tickets = sorted(
        (unit_ticket(random, key, k), key) for key, units in candidates.items() for k in range(max(1, units))
    )
    taken: dict[NodeId, int] = {}
    unproven = 0
    for _, owner in tickets:
        is_unproven = candidates[owner] == 0
        if sum(taken.values()) == seats or (is_unproven and unproven == seats // 8):
            continue
        unproven += is_unproven
        taken[owner] = taken.get(owner, 0) + 1
    assert draw(candidates, seats, random) == taken


@given(CANDIDATES, st.integers(0, 30), RANDOM)
def test_theorem_7_2_unproven_keys_hold_one_seat_in_eight(
    candidates: dict[NodeId, int], seats: int, random: Digest
) -> None:
    drawn = draw(candidates, seats, random)
    fresh = sum(count for key, count in drawn.items() if candidates[key] == 0)
    assert fresh <= seats // 8
    assert all(count <= max(1, candidates[key]) for key, count in drawn.items())
    assert list(drawn) == sorted(drawn)


@given(CANDIDATES, st.integers(0, 30), RANDOM)
def test_theorem_7_3_widening_keeps_everybody(
    candidates: dict[NodeId, int], seats: int, random: Digest
) -> None:
    before, after = draw(candidates, seats, random), draw(candidates, seats + 1, random)
    assert all(after.get(key, 0) >= count for key, count in before.items())


@given(CANDIDATES, st.integers(0, 30), RANDOM, st.randoms(use_true_random=False))
def test_theorem_7_4_the_order_of_the_candidates_is_nothing(
    candidates: dict[NodeId, int], seats: int, random: Digest, order: object
) -> None:
    shuffled = list(candidates.items())
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert draw(dict(shuffled), seats, random) == draw(candidates, seats, random)


def test_theorem_7_5_splitting_a_key_changes_no_expectation() -> None:
    """P7: 20 units beside 60 keys of 2: whole, as 20 keys, or as 4 keys of 5, a seventh of 21 seats."""
    others = {key(index): 2 for index in range(100, 160)}
    shapes = {"whole": [20], "split": [1] * 20, "mixed": [5] * 4}
    means: dict[str, float] = {}
    for name, shape in shapes.items():
        mine = {key(index): units for index, units in enumerate(shape)}
        rounds = [draw(mine | others, 21, randomness(REQUEST, f"{i:04x}")) for i in range(400)]
        means[name] = sum(seats for drawn in rounds for owner, seats in drawn.items() if owner in mine) / 400
    assert means == {name: pytest.approx(3.0, abs=0.25) for name in shapes}


@given(st.sets(st.integers(0, 100).map(key)), st.integers(0, 20))
def test_theorem_7_6_an_open_round_seats_the_lowest_tickets(keys: set[NodeId], panel_max: int) -> None:
    random = randomness(REQUEST, "")
    lowest = sorted((unit_ticket(random, owner, 0), owner) for owner in keys)
    assert open_tickets(random, keys) == lowest
    assert open_seats(REQUEST, keys, panel_max) == {owner: 1 for _, owner in lowest[:panel_max]}


@pytest.mark.parametrize("units", [-1, 65])
def test_units_beyond_the_limit_are_refused(units: int) -> None:
    with pytest.raises(Rejection) as caught:
        draw({key(1): units}, 1, Digest("00" * 32))
    assert caught.value.code == "candidate_units"


def test_too_many_candidates_are_refused() -> None:
    with pytest.raises(Rejection) as caught:
        candidates_root({key(index): 1 for index in range(16_385)})
    assert caught.value.code == "candidates_too_many"
