"""Who is right: `judge(case) -> verdict`, a pure function (`spec/06-judge.md`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from dicast.base.hashing import tagged
from dicast.base.types import RequestId
from dicast.consensus.case import Case, CaseCommit, CaseError, CaseRequest, CaseReveal, parse_case
from dicast.consensus.crowd import Gathered, gather
from dicast.consensus.frame import need
from dicast.consensus.opening import Opened, Valid, open_case
from dicast.consensus.reasons import Outcome, Reason, Status
from dicast.consensus.selection import selection_seed, selection_ticket, tie_ticket
from dicast.consensus.support import Tally, compare, tally
from dicast.consensus.verdict import Verdict

__all__ = [
    "Case",
    "CaseCommit",
    "CaseError",
    "CaseRequest",
    "CaseReveal",
    "Verdict",
    "judge",
    "parse_case",
]


class _Ball(msgspec.Struct, frozen=True):
    """The centre, and of every valid member: its support, is it near the centre, does it agree with it."""

    center: Valid | None
    support: Sequence[int]
    near: Sequence[bool]
    inside: Sequence[bool]
    size: int
    runner_up: int


_NOBODY = _Ball(None, (), (), (), 0, 0)
_ENCODER = msgspec.json.Encoder(order="sorted")
"""The encoder of `codec.encode` without its checks: every field is ours, and the text was hashed before."""


def judge(case: Case) -> Verdict:
    """The verdict of a case that holds together (`parse_case` or `check_case` saw it)."""
    opened = open_case(case)
    seed = selection_seed(RequestId(case.request.id), case.selection_salt, case.selection_beacon)
    ball = _ball(opened.valid, case.request, seed)
    seats = sum(opened.seats.values())
    needed = need(case.request.frame.sec_percentage_bp, seats)
    reason = _reason(case, opened, ball, needed)
    accepted = reason is Reason.AGREED
    keys = [member.pubkey for member in opened.valid]
    decided = dict(zip(keys, _statuses(ball, needed, accepted), strict=True))
    winner = _winner(opened.valid, decided, seed) if accepted else None
    return _sealed(
        Verdict(
            v=1,
            outcome=Outcome.ACCEPTED if accepted else Outcome.UNDETERMINED,
            reason=reason,
            n=seats,
            need=needed,
            statuses=opened.fallen | decided,
            support=dict(zip(keys, ball.support, strict=True)),
            center=ball.center.pubkey if ball.center else None,
            ball_size=ball.size,
            runner_up_size=ball.runner_up,
            unique=ball.runner_up < needed,
            winner=winner.pubkey if winner else None,
            answer=_answer(winner) if winner else None,
            digest="",
        )
    )


def verdict_digest(fields: dict[str, object]) -> str:
    """The digest of a verdict's fields, `digest` itself left out."""
    rest = {name: value for name, value in fields.items() if name != "digest"}
    return tagged("dicast/verdict/1", _ENCODER.encode(rest)).hex()


def _sealed(verdict: Verdict) -> Verdict:
    return msgspec.structs.replace(verdict, digest=verdict_digest(msgspec.structs.asdict(verdict)))


def _reason(case: Case, opened: Opened, ball: _Ball, needed: int) -> Reason:
    if opened.committed_seats < case.request.frame.quorum:
        return Reason.QUORUM_NOT_REACHED
    if max(ball.support, default=-1) >= needed:
        return Reason.AGREED
    if sum(member.seats for member in opened.valid) < needed:
        return Reason.TOO_FEW_REVEALS
    return Reason.NO_AGREEMENT


def _ball(valid: Sequence[Valid], request: CaseRequest, seed: bytes) -> _Ball:
    """Rule 6: the support of every valid answer, the centre, and who agrees with it."""
    if not valid:
        return _NOBODY
    if not request.frame.sec_distance_bits:
        return _equal_ball(valid, seed)
    gathered = gather(valid, request)
    counted = tally(gathered.crowd)
    center = _center(valid, gathered, counted, seed)
    place = int(gathered.places[center])
    pairs = compare(gathered.crowd, slice(place, place + 1), slice(0, len(gathered.crowd.seats)))
    inside = pairs.agree[0]
    outside = counted.support[~inside]
    return _Ball(
        center=valid[center],
        support=counted.support[gathered.places].tolist(),
        near=pairs.near[0][gathered.places].tolist(),
        inside=inside[gathered.places].tolist(),
        size=int(counted.support[place]),
        runner_up=int(outside.max(initial=0)),
    )


def _equal_ball(valid: Sequence[Valid], seed: bytes) -> _Ball:
    """The same where nothing is embedded: equal readings agree, and nothing is near."""
    seats: Counter[str] = Counter()
    for member in valid:
        seats[member.reading.group] += member.seats
    support = [seats[member.reading.group] for member in valid]
    most = max(support)
    tied = [member for member, count in zip(valid, support, strict=True) if count == most]
    center = min(tied, key=lambda member: (tie_ticket(seed, member.digest), member.pubkey))
    inside = [member.reading.group == center.reading.group for member in valid]
    outside = (count for count, agrees in zip(support, inside, strict=True) if not agrees)
    return _Ball(center, support, [False] * len(valid), inside, most, max(outside, default=0))


def _center(valid: Sequence[Valid], gathered: Gathered, counted: Tally, seed: bytes) -> int:
    """The member of greatest support, then least spread, then lowest tie ticket, then lowest key."""
    best = counted.support == counted.support.max()
    best &= counted.spread == counted.spread[best].min()
    tied = np.nonzero(best[gathered.places])[0].tolist()
    return min(tied, key=lambda index: (tie_ticket(seed, valid[index].digest), valid[index].pubkey))


def _statuses(ball: _Ball, needed: int, accepted: bool) -> Iterable[Status]:
    if not accepted:
        return [Status.UNDECIDED] * len(ball.support)
    return [
        _status(inside, near, support >= needed)
        for inside, near, support in zip(ball.inside, ball.near, ball.support, strict=True)
    ]


def _status(inside: bool, near: bool, core: bool) -> Status:
    if inside:
        return Status.CORE if core else Status.ACCEPTED
    return Status.CONFLICT if near else Status.OUTSIDE


def _winner(valid: Sequence[Valid], statuses: dict[str, Status], seed: bytes) -> Valid:
    core = [member for member in valid if statuses[member.pubkey] is Status.CORE]
    return min(core, key=lambda member: (selection_ticket(seed, member.digest), member.pubkey))


def _answer(winner: Valid) -> str:
    value = winner.reading.value
    return winner.reveal.answer if value is None else value
