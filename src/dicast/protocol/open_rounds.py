"""The rounds that are open here: which have to go when there is no room, and when each expires."""

from __future__ import annotations

from itertools import islice

from dicast.base.agenda import Agenda
from dicast.base.limits import OPEN_ROUNDS_MAX
from dicast.base.types import NodeId, RequestId
from dicast.protocol.round import Round

FOREIGN_ROUNDS_MAX = OPEN_ROUNDS_MAX // 4
"""Rounds of others; the rest is kept free, so that strangers cannot keep us from asking."""
ROUNDS_PER_REQUESTER_MAX = 16
"""Open rounds of one requester here: an eighth of what strangers get, so that one key fills no node."""


class _Room:
    """Some of the rounds, and which of them only linger, in the order in which they ended."""

    def __init__(self, rounds_max: int) -> None:
        self._rounds_max = rounds_max
        self.rounds: set[RequestId] = set()
        self.lingering: dict[RequestId, None] = {}

    @property
    def is_full(self) -> bool:
        """Is there no room for one more?"""
        return len(self.rounds) >= self._rounds_max

    def to_leave(self) -> list[RequestId]:
        """Who goes to make room for one more: rounds that only linger, oldest first."""
        return list(islice(self.lingering, max(0, len(self.rounds) - self._rounds_max + 1)))


class OpenRounds:
    """Rounds by id. Whoever changes one says so by `note`: nothing here looks at all of them."""

    def __init__(self, own_id: NodeId) -> None:
        self.by_id: dict[RequestId, Round] = {}
        self._own_id = own_id
        self._expiries: Agenda[RequestId] = Agenda()
        self._all = _Room(OPEN_ROUNDS_MAX)
        self._foreign = _Room(FOREIGN_ROUNDS_MAX)
        self._unfinished: dict[NodeId, set[RequestId]] = {}

    def get(self, request_id: RequestId) -> Round | None:
        """A round that is open here."""
        return self.by_id.get(request_id)

    def add(self, round_: Round) -> None:
        """A round begins, or is resumed."""
        self.by_id[round_.id] = round_
        self._expiries.put(round_.id, round_.expires_ms)
        for room in self._rooms(round_):
            room.rounds.add(round_.id)
        if round_.requester != self._own_id:
            self._unfinished.setdefault(round_.requester, set()).add(round_.id)

    def note(self, round_: Round, is_over: bool) -> None:
        """It expires earlier, was closed or withdrawn, or only lingers; harmless when nothing is new."""
        self._expiries.put(round_.id, round_.expires_ms)
        if round_.close is not None or round_.withdrawn:
            self._finish(round_)
        if is_over:
            for room in self._rooms(round_):
                room.lingering.setdefault(round_.id)

    def remove(self, round_: Round) -> None:
        """It is forgotten."""
        del self.by_id[round_.id]
        self._expiries.drop(round_.id)
        self._finish(round_)
        for room in self._rooms(round_):
            room.rounds.discard(round_.id)
            room.lingering.pop(round_.id, None)

    def expired(self, now_ms: int) -> list[Round]:
        """Those whose time is over."""
        return [self.by_id[request_id] for request_id in self._expiries.due(now_ms)]

    @property
    def deadline_ms(self) -> int | None:
        """When the next of them expires."""
        return self._expiries.deadline_ms

    def to_leave(self, *, of_others: bool) -> list[RequestId]:
        """What goes to make room for one more of all rounds, or of those of others."""
        return (self._foreign if of_others else self._all).to_leave()

    def is_full_for(self, requester: NodeId) -> bool:
        """No room for strangers at all, or none for another round of this one."""
        theirs = len(self._unfinished.get(requester, ()))
        return self._foreign.is_full or self._all.is_full or theirs >= ROUNDS_PER_REQUESTER_MAX

    def _rooms(self, round_: Round) -> tuple[_Room, ...]:
        return (self._all,) if round_.requester == self._own_id else (self._all, self._foreign)

    def _finish(self, round_: Round) -> None:
        unfinished = self._unfinished.get(round_.requester)
        if unfinished is not None:
            unfinished.discard(round_.id)
            if not unfinished:
                del self._unfinished[round_.requester]
