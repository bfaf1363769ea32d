"""Addresses of peers: what was heard, what answered, which to try next. Liars fill their quota, no more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum

import msgspec

from dicast.base.agenda import Agenda
from dicast.base.expiring import ExpiringMap
from dicast.base.hashing import hmac_sha256
from dicast.base.types import Now
from dicast.protocol.places import NEAR, Place, subnet_of

HEARSAY_MAX = 512
"""Addresses heard and never proven: an attacker in 30 subnets leaves half of them to others."""
HEARSAY_A_SUBNET_MAX = 8
"""Of one /16, /48 or registered name: whoever wants to fill the list needs 64 of them."""
HEARSAY_NEAR_MAX = 128
"""Of loopback and private networks together: a LAN with more is reached by multicast."""
HEARSAY_A_SOURCE_MAX = 256
"""Of one way of hearing: half, so that a flood on one way leaves room for what comes on the others."""
HEARSAY_A_TELLER_MAX = 16
"""Of one key or table: a node has few addresses, and tells a few more of others."""
PROVEN_MAX = 64
"""Addresses that answered: twenty times the paths that are kept alive."""
PROVEN_A_SUBNET_MAX = 4
"""Of one subnet: sixteen subnets at least share the list."""
PROVEN_NEAR_MAX = 32
"""Of near ones: half, for those whose network is a LAN and a little more."""
GIVEN_MAX = 64
"""Addresses that a person gave: configuration and tickets hold fewer."""
PROBE_MS = 15_000
"""A connection stands within ten seconds or not at all; links are looked at every few seconds."""
RETRY_MS = 60_000
"""The same address is tried again no sooner, then twice as late each time."""
FAILURES_MAX = 3
"""In a row; then it is forgotten, unless a person gave it."""
TOLD_MAX = 4
"""Addresses a transport in one answer: as many as a message carries."""
AVOID_MS = 3_600_000
"""What was forgotten for not answering is not heard again for an hour."""
AVOIDED_MAX = 1_024
"""Twice the hearsay; a liar who fills it only makes us try again what failed before."""


class Source(StrEnum):
    """How an address was heard of."""

    GIVEN = "given"
    ANNOUNCEMENT = "announcement"
    RECORD = "record"
    EXCHANGE = "exchange"


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """One address; `ticket` decides by chance that no outsider can foresee."""

    place: Place
    subnet: str
    source: Source
    teller: str
    ticket: bytes
    is_proven: bool = False
    answered_ms: int = 0
    tried_ms: int | None = None
    is_probed: bool = False
    failures: int = 0


class PeerBook:
    """Two tables, hearsay and proven, each with quotas. Deterministic: `secret` decides every draw."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._known: dict[Place, Known] = {}
        self._connected: frozenset[Place] = frozenset()
        self._probes: Agenda[Place] = Agenda()
        self._draws = 0
        self._avoided: ExpiringMap[Place, bool] = ExpiringMap(AVOIDED_MAX)

    def hear(self, place: Place, source: Source, teller: str, now: Now) -> bool:
        """Somebody says that a peer is there. Whether it was taken: new, and within quotas or luckier."""
        known = self._known.get(place)
        if source is Source.GIVEN and known is not None and known.source is not Source.GIVEN:
            self._known[place] = msgspec.structs.replace(known, source=source, teller=teller)
        if known is not None or (source is not Source.GIVEN and self._avoided.get(place, now.monotonic_ms)):
            return False
        ticket = hmac_sha256(self._secret, f"{place.transport}\n{place.address}".encode())
        new = Known(place=place, subnet=subnet_of(place.address), source=source, teller=teller, ticket=ticket)
        rivals = self._rivals(new)
        if rivals is not None:
            unluckiest = max(rivals, key=lambda one: one.ticket, default=None)
            if unluckiest is None or unluckiest.ticket <= ticket:
                return False
            del self._known[unluckiest.place]
        self._known[place] = new
        return True

    def see_links(self, links: Iterable[Place], now: Now) -> None:
        """These addresses are connected now: they answered. What becomes proven must find its quota free."""
        before, self._connected = self._connected, frozenset(links)
        for place in sorted(self._connected | before):
            one = self._known.get(place)
            if one is None:
                continue
            self._probes.drop(place)
            self._known[place] = msgspec.structs.replace(
                one, answered_ms=now.monotonic_ms, is_probed=False, failures=0, tried_ms=now.monotonic_ms
            )
        self._prove()

    def take(self, wanted: int, now: Now, transports: frozenset[str]) -> tuple[Place, ...]:
        """Up to `wanted` addresses to try now, as different from each other and from the links as can be."""
        chosen: list[Known] = []
        subnets, sources = self._shares()
        free = [one for one in self._known.values() if self._is_free(one, now, transports)]
        while free and len(chosen) < wanted:
            self._draws += 1
            best = min(free, key=lambda one: self._rank(one, subnets, sources))
            free.remove(best)
            chosen.append(best)
            subnets[best.subnet] += 1
            sources[best.source] += 1
            self._try(best, now)
        return tuple(one.place for one in chosen)

    def challenge(self, now: Now, transports: frozenset[str]) -> tuple[Place, ...]:
        """Proven addresses that stand in the way of connected ones: each that answers stays."""
        asked: list[Place] = []
        for newcomer in self._newcomers():
            group = self._in_the_way(newcomer)
            free = [one for one in group if self._is_free(one, now, transports)]
            if free and not any(one.is_probed for one in group):
                oldest = min(free, key=lambda one: (one.answered_ms, one.ticket))
                self._try(oldest, now)
                asked.append(oldest.place)
        return tuple(asked)

    def expire(self, now: Now) -> None:
        """Those tried who did not answer in time have failed; without any link that is our own fault."""
        for place in self._probes.due(now.monotonic_ms):
            one = self._known[place]
            self._probes.drop(place)
            failures = one.failures + bool(self._connected)
            if failures >= FAILURES_MAX and one.source is not Source.GIVEN:
                del self._known[one.place]
                self._avoided.put(one.place, True, now.monotonic_ms + AVOID_MS)
            else:
                self._known[one.place] = msgspec.structs.replace(one, is_probed=False, failures=failures)
        self._prove()

    def told(self, transports: Iterable[str], asker: str) -> dict[str, tuple[str, ...]]:
        """A few proven addresses a transport, for whoever asks: not the whole book."""
        answer: dict[str, tuple[str, ...]] = {}
        for transport in sorted(set(transports)):
            places = [one.place for one in self._proven() if one.place.transport == transport]
            drawn = sorted(places, key=lambda place: hmac_sha256(self._secret, f"{asker}{place}".encode()))
            if drawn:
                answer[transport] = tuple(place.address for place in drawn[:TOLD_MAX])
        return answer

    @property
    def deadline_ms(self) -> int | None:
        """When the next try will have failed."""
        return self._probes.deadline_ms

    @property
    def links(self) -> int:
        """How many addresses are connected."""
        return len(self._connected)

    def known(self) -> tuple[Known, ...]:
        """Everything in the book, by place."""
        return tuple(self._known[place] for place in sorted(self._known))

    def _rivals(self, new: Known) -> list[Known] | None:
        """Who would have to go for `new`; None when nobody has to, empty when nobody can."""
        if new.source is Source.GIVEN:
            given = sum(1 for one in self._known.values() if one.source is Source.GIVEN)
            return None if given < GIVEN_MAX else []
        heard = [one for one in self._known.values() if not one.is_proven and one.source is not Source.GIVEN]
        is_full = _full(new, heard)
        if not any(is_full):
            return None
        return [one for one in heard if not one.is_probed and _relieves(one, new, is_full)]

    def _proven(self) -> list[Known]:
        return [one for one in self._known.values() if one.is_proven]

    def _newcomers(self) -> list[Known]:
        """Connected, and not proven for want of room."""
        waiting = (self._known.get(place) for place in sorted(self._connected))
        return [one for one in waiting if one is not None and not one.is_proven]

    def _prove(self) -> None:
        """Who is connected answered, and is proven as long as there is room."""
        for one in self._newcomers():
            if not self._in_the_way(one):
                self._known[one.place] = msgspec.structs.replace(one, is_proven=True)

    def _in_the_way(self, newcomer: Known) -> list[Known]:
        """The proven of whom one would have to leave; none when there is room."""
        proven = self._proven()
        kin = [one for one in proven if one.subnet == newcomer.subnet]
        if len(kin) >= (PROVEN_NEAR_MAX if newcomer.subnet == NEAR else PROVEN_A_SUBNET_MAX):
            return kin
        return proven if len(proven) >= PROVEN_MAX else []

    def _is_free(self, one: Known, now: Now, transports: frozenset[str]) -> bool:
        if one.place in self._connected or one.is_probed or one.place.transport not in transports:
            return False
        return one.tried_ms is None or one.tried_ms + (RETRY_MS << one.failures) <= now.monotonic_ms

    def _shares(self) -> tuple[Counter[str], Counter[Source]]:
        """How many links and open tries there are of each subnet and of each source."""
        busy = [one for one in self._known.values() if one.is_probed or one.place in self._connected]
        return Counter(one.subnet for one in busy), Counter(one.source for one in busy)

    def _rank(
        self, one: Known, subnets: Counter[str], sources: Counter[Source]
    ) -> tuple[bool, int, int, bool, bytes, int, bytes]:
        """A person's word, new subnets, rare sources, proven and unproven in turn; then a subnet by chance.

        Not proven ones first: who answers everywhere would fill every link and leave no try to others.
        """
        return (
            one.source is not Source.GIVEN,
            subnets[one.subnet],
            sources[one.source],
            one.is_proven is bool(self._draws % 2),
            hmac_sha256(self._secret, f"{self._draws} {one.subnet}".encode()),
            one.failures,
            one.ticket,
        )

    def _try(self, one: Known, now: Now) -> None:
        self._known[one.place] = msgspec.structs.replace(one, tried_ms=now.monotonic_ms, is_probed=True)
        self._probes.put(one.place, now.monotonic_ms + PROBE_MS)


def _full(new: Known, heard: list[Known]) -> tuple[bool, bool, bool, bool]:
    """Which quotas of `new` are used up: its teller's, its subnet's, its source's, everybody's."""
    return (
        sum(one.teller == new.teller for one in heard) >= HEARSAY_A_TELLER_MAX,
        sum(one.subnet == new.subnet for one in heard)
        >= (HEARSAY_NEAR_MAX if new.subnet == NEAR else HEARSAY_A_SUBNET_MAX),
        sum(one.source is new.source for one in heard) >= HEARSAY_A_SOURCE_MAX,
        len(heard) >= HEARSAY_MAX,
    )


def _relieves(one: Known, new: Known, is_full: tuple[bool, bool, bool, bool]) -> bool:
    """Whether every full quota would have room again without `one`."""
    same = (one.teller == new.teller, one.subnet == new.subnet, one.source is new.source, True)
    return all(kin or not full for kin, full in zip(same, is_full, strict=True))
