"""The world of address books: a flood of addresses drives nobody out, and each checker can say no."""

from __future__ import annotations

import pytest

from dicast.protocol import peer_book
from dicast.protocol.peer_book import PeerBook
from dicast.simulator.addresses import ADDRESS_CHECKERS, AddressWorld, check_addresses
from dicast.simulator.ledger import Violation


@pytest.mark.parametrize("seed", range(6))
def test_theorem_21_6_a_flood_from_few_subnets_eclipses_nobody(seed: int) -> None:
    world = AddressWorld(seed)
    world.run(check_addresses)
    assert world.flooded > 5_000


def test_the_same_seed_is_the_same_world() -> None:
    books = []
    for _ in range(2):
        world = AddressWorld(7, machines=4)
        world.run(ADDRESS_CHECKERS[0])
        books.append([machine.book.known() for machine in world.machines])
    assert books[0] == books[1]


def without_quotas(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEARSAY_A_SUBNET_MAX", "PROVEN_A_SUBNET_MAX"):
        monkeypatch.setattr(peer_book, name, 10_000)


def without_ping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes takes the place of the oldest."""

    def prove(self: PeerBook) -> None:
        for one in self._newcomers():
            for other in self._in_the_way(one)[:1]:
                del self._known[other.place]
            self._known[one.place] = type(one)(**{**_fields(one), "is_proven": True})

    monkeypatch.setattr(PeerBook, "_prove", prove)
    monkeypatch.setattr(peer_book, "PROVEN_MAX", 4)


def without_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who answered before is tried first, whoever it is: what this rule once was."""
    monkeypatch.setattr(
        PeerBook,
        "_rank",
        lambda self, one, subnets, sources: (subnets[one.subnet], not one.is_proven, one.ticket),
    )


def _fields(one: peer_book.Known) -> dict[str, object]:
    return {name: getattr(one, name) for name in one.__struct_fields__}


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("quotas_hold", without_quotas),
        ("who_answers_stays", without_ping),
        ("nobody_is_eclipsed", without_chance),
    ],
)
def test_every_checker_can_fail(name, broken, monkeypatch) -> None:
    [checker] = [checker for checker in ADDRESS_CHECKERS if checker.__name__ == name]
    broken(monkeypatch)
    with pytest.raises(Violation, match=name):
        for seed in range(12):
            AddressWorld(seed, machines=6).run(checker)
