"""Selection by hash, and seeded streams."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from dicast.base.hashing import tagged
from dicast.base.sampling import SeededStream, lowest_tickets


def ticket(name: bytes) -> bytes:
    return tagged("dicast/test/1", name)


@given(st.lists(st.binary(max_size=4), unique=True), st.integers(0, 9), st.randoms())
def test_the_lowest_tickets_do_not_depend_on_the_order(
    names: list[bytes], count: int, random: object
) -> None:
    shuffled = list(names)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert lowest_tickets(shuffled, ticket, count) == sorted(names, key=ticket)[:count]


@given(st.lists(st.binary(max_size=4), unique=True, min_size=1), st.integers(1, 9))
def test_leaving_one_out_moves_nobody_else(names: list[bytes], count: int) -> None:
    before = lowest_tickets(names, ticket, count)
    after = lowest_tickets(names[1:], ticket, count)
    assert [name for name in before if name != names[0]] == after[: len(before) - (names[0] in before)]


@given(st.binary(max_size=9))
def test_a_stream_depends_on_its_seed_alone(seed: bytes) -> None:
    first, second, other = SeededStream(seed), SeededStream(seed), SeededStream(seed + b"x")
    numbers = [first.u64() for _ in range(9)]
    assert [second.u64() for _ in range(9)] == numbers
    assert [other.u64() for _ in range(9)] != numbers


def test_the_first_numbers_of_a_stream_are_pinned() -> None:
    stream = SeededStream(b"seed")
    seed = tagged("dicast/stream/1", b"seed")
    block = tagged("dicast/stream/1", seed, bytes(8)) + tagged("dicast/stream/1", seed, bytes(7) + b"\1")
    expected = [int.from_bytes(block[place : place + 8], "big") for place in range(0, 64, 8)]
    assert [stream.u64() for _ in range(8)] == expected


@given(st.binary(max_size=3), st.integers(1, 2**63))
def test_numbers_stay_below_their_bound(seed: bytes, bound: int) -> None:
    assert 0 <= SeededStream(seed).below(bound) < bound


def test_numbers_are_spread_evenly() -> None:
    stream = SeededStream(b"even")
    counts = Counter(stream.below(6) for _ in range(6_000))
    assert sorted(counts) == [0, 1, 2, 3, 4, 5]
    assert all(850 < count < 1_150 for count in counts.values())
    assert 200 < sum(stream.chance(100_000) for _ in range(3_000)) < 400
    assert {stream.between(-1, 1) for _ in range(99)} == {-1, 0, 1}


@given(st.lists(st.integers()), st.binary(max_size=3))
def test_shuffling_keeps_the_items(items: list[int], seed: bytes) -> None:
    shuffled = SeededStream(seed).shuffled(items)
    assert sorted(shuffled) == sorted(items)
    assert not items or SeededStream(seed).pick(items) in items
