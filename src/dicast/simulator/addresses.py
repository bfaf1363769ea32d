"""A small world of address books: honest machines come and go, and a flooder tells all of them addresses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from dicast.base.types import Now
from dicast.protocol.acquaintance import LOOK_MS, PATHS_MIN, TRIES_AT_ONCE
from dicast.protocol.peer_book import (
    HEARSAY_A_SOURCE_MAX,
    HEARSAY_A_SUBNET_MAX,
    HEARSAY_A_TELLER_MAX,
    PROVEN_A_SUBNET_MAX,
    PROVEN_MAX,
    Known,
    PeerBook,
    Source,
)
from dicast.protocol.places import Place
from dicast.simulator.dice import Dice
from dicast.simulator.ledger import Violation

MESH = frozenset({"mesh"})
FLOODED_A_STEP = 16
"""Addresses that the flooder tells each machine in one step of five seconds: thousands in a world."""
STEPS = 72
"""Six minutes: long enough for every try to fail and be repeated."""
LINK_STEPS_MAX = 12
"""Links are cut after at most a minute, so that books must find each other again and again."""


class Machine:
    """An honest machine: its address, its book, its links with the step at which each is cut."""

    def __init__(self, seed: int, index: int, dice: Dice) -> None:
        self.place = Place("mesh", f"ws://{20 + index % 60}.{dice.below(250)}.{index}.1:7780")
        self.book = PeerBook(f"{seed}/{index}".encode())
        self.links: dict[Place, int] = {}
        self.down_until = 0
        self.answered: dict[Place, int] = {}
        """Honest places that this machine has proven: the first step at which each was seen there."""


class AddressWorld:
    """Honest books gossip and dial; the flooder owns whole subnets, in some of which everything answers."""

    def __init__(self, seed: int, machines: int = 10, flooded_subnets: int = 12) -> None:
        self.seed = seed
        self.dice = Dice(seed, "addresses")
        self.machines = [Machine(seed, index, self.dice) for index in range(machines)]
        self.honest = {machine.place for machine in self.machines}
        self.flooded_subnets = flooded_subnets
        self.subnets = [f"{130 + index % 40}.{self.dice.below(250)}" for index in range(flooded_subnets)]
        self.step = 0
        self.flooded = 0

    @property
    def now(self) -> Now:
        """Virtual time."""
        return Now(self.step * LOOK_MS, self.step * LOOK_MS)

    def run(self, check: Callable[[AddressWorld], None]) -> None:
        """Every step: gossip, flood, dial, cut; then `check` looks."""
        for machine in self.machines:
            machine.book.hear(self.dice.pick(self.machines).place, Source.GIVEN, "", self.now)
        for self.step in range(1, STEPS + 1):
            for machine in self.machines:
                self._churn(machine)
            for machine in self.machines:
                self._step(machine)
            check(self)

    def is_up(self, place: Place) -> bool:
        """Whether anybody answers there: an honest machine that runs, or half of the flooder's subnets."""
        if place in self.honest:
            return next(one for one in self.machines if one.place == place).down_until <= self.step
        return place.address.split("//")[1].rsplit(".", 2)[0] in self.subnets[: self.flooded_subnets // 2]

    def _churn(self, machine: Machine) -> None:
        if machine.down_until <= self.step and self.dice.chance(5):
            machine.down_until = self.step + self.dice.between(1, 6)
            machine.links.clear()

    def _step(self, machine: Machine) -> None:
        machine.links = {
            place: until for place, until in machine.links.items() if until > self.step and self.is_up(place)
        }
        if machine.down_until > self.step:
            return
        self._flood(machine)
        self._gossip(machine)
        book, now = machine.book, self.now
        book.see_links(machine.links, now)
        book.expire(now)
        tried = [*book.challenge(now, MESH)]
        if len(machine.links) < PATHS_MIN:
            tried += book.take(TRIES_AT_ONCE, now, MESH)
        for place in tried:
            if place != machine.place and self.is_up(place):
                machine.links[place] = self.step + self.dice.between(1, LINK_STEPS_MAX)
        book.see_links(machine.links, now)

    def _gossip(self, machine: Machine) -> None:
        """Two honest announcements, and the answer of one linked honest machine."""
        for other in self.dice.sample(self.machines, 2):
            if other is not machine:
                machine.book.hear(other.place, Source.ANNOUNCEMENT, str(other.place), self.now)
        linked = [one for one in self.machines if one.place in machine.links]
        if linked:
            other = self.dice.pick(linked)
            for address in other.book.told(MESH, str(machine.place)).get("mesh", ()):
                if address != machine.place.address:
                    machine.book.hear(Place("mesh", address), Source.EXCHANGE, str(other.place), self.now)

    def _flood(self, machine: Machine) -> None:
        """Fresh keys cost nothing: a teller an address, by every way there is."""
        for _ in range(FLOODED_A_STEP):
            self.flooded += 1
            subnet = self.dice.pick(self.subnets)
            address = (
                f"ws://{subnet}.{self.dice.below(256)}.{self.dice.below(256)}:{self.dice.between(1, 65_535)}"
            )
            source = self.dice.pick((Source.ANNOUNCEMENT, Source.RECORD, Source.EXCHANGE))
            machine.book.hear(Place("mesh", address), source, f"sybil {self.flooded}", self.now)


def quotas_hold(world: AddressWorld) -> None:
    """No subnet, way of hearing or teller has more than its quota, in any book."""
    for machine in world.machines:
        known = machine.book.known()
        proven = [one for one in known if one.is_proven]
        heard = [one for one in known if not one.is_proven and one.source is not Source.GIVEN]
        limits = (
            (Counter(one.subnet for one in heard), HEARSAY_A_SUBNET_MAX),
            (Counter(one.source.value for one in heard), HEARSAY_A_SOURCE_MAX),
            (Counter(one.teller for one in heard), HEARSAY_A_TELLER_MAX),
            (Counter(one.subnet for one in proven), PROVEN_A_SUBNET_MAX),
        )
        worst = [
            counter.most_common(1) for counter, limit in limits if max(counter.values(), default=0) > limit
        ]
        if worst or len(proven) > PROVEN_MAX:
            raise Violation("quotas_hold", world.now.monotonic_ms, f"{machine.place.address}: {worst}")


def who_answers_stays(world: AddressWorld) -> None:
    """A proven address of an honest machine that never failed to answer is never evicted."""
    for machine in world.machines:
        proven = {one.place for one in machine.book.known() if one.is_proven}
        for place in proven & world.honest:
            machine.answered.setdefault(place, world.step)
        gone = sorted(set(machine.answered) - proven)
        for place in gone:
            other = next(one for one in world.machines if one.place == place)
            if not other.down_until and not machine.down_until:
                raise Violation(
                    "who_answers_stays", world.now.monotonic_ms, f"{machine.place.address}: {place.address}"
                )
            del machine.answered[place]


def nobody_is_eclipsed(world: AddressWorld) -> None:
    """At the end every machine that is up has proven honest addresses, or links to honest machines."""
    if world.step < STEPS:
        return
    for machine in world.machines:
        honest = [one for one in machine.book.known() if one.is_proven and one.place in world.honest]
        paths = world.honest & set(machine.links)
        if machine.down_until <= world.step and len(honest) < PATHS_MIN and not paths:
            raise Violation("nobody_is_eclipsed", world.now.monotonic_ms, f"{machine.place.address} {honest}")


ADDRESS_CHECKERS = (quotas_hold, who_answers_stays, nobody_is_eclipsed)


def check_addresses(world: AddressWorld) -> None:
    """Every checker of this world."""
    for checker in ADDRESS_CHECKERS:
        checker(world)


def shares(book: PeerBook, honest: frozenset[Place]) -> tuple[int, int]:
    """How many proven addresses are honest, and how many are not."""
    proven: list[Known] = [one for one in book.known() if one.is_proven]
    good = sum(1 for one in proven if one.place in honest)
    return good, len(proven) - good
