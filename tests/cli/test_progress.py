"""What a person reads about the members of a round."""

from __future__ import annotations

from dicast.cli.progress import rejected_lines
from dicast.consensus.reasons import Outcome, Reason, Status
from dicast.consensus.verdict import Verdict


def verdict(reason: Reason, **statuses: Status) -> Verdict:
    return Verdict(
        v=1,
        outcome=Outcome.UNDETERMINED,
        reason=reason,
        n=3,
        need=2,
        statuses=statuses,
        support={},
        center=None,
        ball_size=0,
        runner_up_size=0,
        unique=False,
        winner=None,
        answer=None,
        digest="",
    )


def test_who_declined_is_told_apart_from_who_was_silent() -> None:
    found = verdict(Reason.NO_AGREEMENT, a=Status.SILENT, b=Status.SILENT, c=Status.OUTSIDE)
    assert rejected_lines(found, {"a": "busy"}) == [
        "  1 × silent: did not commit",
        "  1 × silent: declined: busy",
        "  1 × outside: said something else",
    ]


def test_nobody_is_blamed_for_not_revealing_what_need_not_be_revealed() -> None:
    honest = verdict(Reason.QUORUM_NOT_REACHED, a=Status.UNREVEALED, b=Status.UNREVEALED)
    assert rejected_lines(honest) == ["  2 × unrevealed: committed; with so few commits nobody had to reveal"]
    withheld = verdict(Reason.TOO_FEW_REVEALS, a=Status.UNREVEALED)
    assert rejected_lines(withheld) == ["  1 × unrevealed: committed and did not reveal"]
