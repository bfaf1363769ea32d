"""What a round ends with, apart from how it is found: whoever only reads verdicts loads nothing heavy."""

from __future__ import annotations

import msgspec

from dicast.base.codec import encode
from dicast.consensus.reasons import Outcome, Reason, Status


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

    def encode(self) -> bytes:
        """The verdict as canonical JSON, without a line feed."""
        return encode(self)
