"""Who is right: `judge(case) -> verdict`, a pure function (`spec/06-judge.md`)."""

from __future__ import annotations

import msgspec

from dicast.consensus.case import Case, CaseCommit, CaseError, CaseRequest, CaseReveal
from dicast.consensus.reasons import Outcome, Reason, Status

__all__ = ["Case", "CaseCommit", "CaseError", "CaseRequest", "CaseReveal", "Verdict"]


class Verdict(msgspec.Struct, frozen=True):
    """What a round ends with; `digest` covers all other fields."""

    v: int
    outcome: Outcome
    reason: Reason
    n: int
    need: int
    statuses: dict[str, Status]
    support: dict[str, int]
    center: str | None
    ball_size: int
    runner_up_size: int
    unique: bool
    winner: str | None
    answer: str | None
    digest: str
