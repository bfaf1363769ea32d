"""What must hold of every round that closed, whoever asked: the verdict's theorems, tried on real cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

import msgspec

from dicast.base.types import Digest, NodeId, RequestId
from dicast.consensus.judge import Case, CaseReveal, Verdict, judge
from dicast.consensus.reasons import Outcome, Status
from dicast.consensus.selection import selection_seed, selection_ticket
from dicast.protocol.certificate import shown_digest, signature_digest
from dicast.protocol.messages import Kind, Request, Signature
from dicast.protocol.outputs import RoundDecided
from dicast.simulator.embedder import EMBEDDER, distance
from dicast.simulator.engines import topic_of
from dicast.simulator.faults import Faults
from dicast.simulator.ledger import Ledger, Violation
from dicast.simulator.rounds import Sealed, sealed_rounds

SUBSETS_MAX = 6
"""Ways to leave reveals out that are tried a round: the theorem is for all, worlds are many."""


Judge = Callable[[Case], Verdict]


class Judged(msgspec.Struct, frozen=True):
    """A closed round with the verdict that this observer computed."""

    sealed: Sealed
    case: Case
    verdict: Verdict
    judge: Judge = judge
    """Asked again about cases with less in them."""


def check_rounds(ledger: Ledger, faults: Faults) -> None:
    """Every checker on every closed round."""
    for sealed in sealed_rounds(ledger):
        case = sealed.case
        judged = Judged(sealed, case, judge(case))
        for checker in ROUND_CHECKERS:
            checker(ledger, judged)


def signed_as_judged(ledger: Ledger, judged: Judged) -> None:
    """P8: what honest nodes sign and report is what the judge says of this very close."""
    sealed, verdict = judged.sealed, judged.verdict
    request, close_id = sealed.request.packet, sealed.close.packet.id
    digest = shown_digest(verdict, ledger.spyglass.key_of(request.id))
    expected = signature_digest(request.topic, request.id, sealed.quorum.packet.id, close_id, digest)
    for sent in ledger.of_kind(Kind.SIGNATURE):
        about_this = sent.packet.predecessor == close_id and sent.packet.author in ledger.honest_ids
        if about_this and sent.body != Signature(v=1, digest=expected):
            raise Violation("signed_as_judged", sent.at_ms, f"a false signature over {close_id[:8]}")
    for told in ledger.told:
        mine = (
            isinstance(told.report, RoundDecided)
            and told.report.request_id == request.id
            and told.report.checked
        )
        if mine and ledger.is_honest(told.host) and told.report.verdict != verdict:  # type: ignore[union-attr]
            raise Violation("signed_as_judged", told.at_ms, f"n{told.host} reports another verdict")


def winner_is_supported(ledger: Ledger, judged: Judged) -> None:
    """P6: `need` seats agree with the winner directly, counted here pair by pair; spam never wins."""
    verdict, case = judged.verdict, judged.case
    if verdict.outcome is not Outcome.ACCEPTED:
        return
    answers = {reveal.pubkey: reveal.answer for reveal in case.reveals}
    seats = case.panel or {commit.pubkey: 1 for commit in case.commits}
    assert verdict.winner is not None, "an accepted round has a winner"
    friends = [
        pubkey for pubkey in answers if _is_valid(verdict, pubkey) and _near(case, pubkey, verdict.winner)
    ]
    at_ms = judged.sealed.close.at_ms
    if sum(seats[pubkey] for pubkey in friends) < verdict.need:
        raise Violation("winner_is_supported", at_ms, f"only {len(friends)} agree with the winner")
    strangers = sum(count for pubkey, count in seats.items() if pubkey not in ledger.honest_ids)
    if strangers >= verdict.need:
        return
    spam = topic_of(case.request.prompt, "spam")
    spammers = {pubkey for pubkey, answer in answers.items() if answer.startswith(spam)}
    if verdict.winner in spammers and not any(NodeId(pubkey) in ledger.honest_ids for pubkey in spammers):
        raise Violation("winner_is_supported", at_ms, "spam won")


def withholding_cannot_flip(ledger: Ledger, judged: Judged) -> None:
    """P4: without up to f of the reveals the winner is one that agrees with as many, or there is none."""
    verdict, case = judged.verdict, judged.case
    request = judged.sealed.request.body
    assert isinstance(request, Request), "built from a request"
    if verdict.outcome is not Outcome.ACCEPTED or 2 * verdict.need < verdict.n + request.frame.faults + 1:
        return
    for fewer in _without_reveals(case, request.frame.faults):
        other = judged.judge(fewer)
        if other.outcome is Outcome.ACCEPTED and _shared_seats(case, verdict, other) <= request.frame.faults:
            raise Violation(
                "withholding_cannot_flip", judged.sealed.close.at_ms, f"{other.winner} won instead"
            )


def omission_never_rerolls(ledger: Ledger, judged: Judged) -> None:
    """P5: leaving out a commit removes its own ticket and leaves the order of the others as it was."""
    verdict, case = judged.verdict, judged.case
    if verdict.outcome is not Outcome.ACCEPTED or case.panel is None:
        return
    tickets = _tickets(case)
    for omitted in [commit.pubkey for commit in case.commits][:SUBSETS_MAX]:
        other = judged.judge(_without_commit(case, omitted))
        core = [pubkey for pubkey, status in other.statuses.items() if status is Status.CORE]
        expected = min(core, key=lambda pubkey: tickets[pubkey], default=None)
        if other.outcome is Outcome.ACCEPTED and other.winner != expected:
            raise Violation("omission_never_rerolls", judged.sealed.close.at_ms, f"without {omitted[:8]}")


def order_is_free(ledger: Ledger, judged: Judged) -> None:
    """P3: the same sets in another order give the same bytes."""
    case = judged.case
    turned = msgspec.structs.replace(case, commits=case.commits[::-1], reveals=case.reveals[::-1])
    if judged.judge(turned) != judged.verdict:
        raise Violation(
            "order_is_free", judged.sealed.close.at_ms, "the order of reveals changed the verdict"
        )


def copies_do_not_count(ledger: Ledger, judged: Judged) -> None:
    """P2: a commit copied from another key cannot be opened."""
    owner: dict[str, str] = {}
    for commit in judged.case.commits:
        if (
            _is_valid(judged.verdict, commit.pubkey)
            and owner.setdefault(commit.digest, commit.pubkey) != commit.pubkey
        ):
            raise Violation("copies_do_not_count", judged.sealed.close.at_ms, f"{commit.pubkey[:8]} copied")


ROUND_CHECKERS = (
    signed_as_judged,
    winner_is_supported,
    withholding_cannot_flip,
    omission_never_rerolls,
    order_is_free,
    copies_do_not_count,
)

_VALID = frozenset({Status.CORE, Status.ACCEPTED, Status.CONFLICT, Status.OUTSIDE, Status.UNDECIDED})


def _is_valid(verdict: Verdict, pubkey: str) -> bool:
    return verdict.statuses.get(pubkey) in _VALID


def _near(case: Case, left: str, right: str) -> bool:
    radius = case.request.frame.sec_distance_bits[EMBEDDER]
    bits = [bytes.fromhex(case.recomputed.get(pubkey, {}).get(EMBEDDER, "")) for pubkey in (left, right)]
    return left == right or (all(bits) and distance(bits[0], bits[1]) <= radius)


def _without_reveals(case: Case, most: int) -> Iterator[Case]:
    """The case with up to `most` reveals missing: a few of the many ways, the winner's friends first."""
    for count in range(1, min(most, len(case.reveals)) + 1):
        for tried, kept in enumerate(combinations(case.reveals, len(case.reveals) - count)):
            if tried >= SUBSETS_MAX // count:
                break
            yield _with_reveals(case, kept)


def _without_commit(case: Case, omitted: str) -> Case:
    commits = tuple(commit for commit in case.commits if commit.pubkey != omitted)
    kept = tuple(reveal for reveal in case.reveals if reveal.pubkey != omitted)
    return msgspec.structs.replace(_with_reveals(case, kept), commits=commits)


def _with_reveals(case: Case, kept: tuple[CaseReveal, ...]) -> Case:
    keys = {reveal.pubkey for reveal in kept}
    recomputed = {pubkey: bits for pubkey, bits in case.recomputed.items() if pubkey in keys}
    return msgspec.structs.replace(case, reveals=kept, recomputed=recomputed)


def _shared_seats(case: Case, verdict: Verdict, other: Verdict) -> int:
    """Seats that agree with both winners: more than f of them, or the second is another side's answer."""
    first, second = verdict.winner, other.winner
    assert first is not None, "accepted"
    assert second is not None, "accepted"
    return sum(
        case.panel.get(reveal.pubkey, 0) if case.panel is not None else 1
        for reveal in case.reveals
        if _is_valid(verdict, reveal.pubkey)
        and _near(case, reveal.pubkey, first)
        and _near(case, reveal.pubkey, second)
    )


def _tickets(case: Case) -> dict[str, bytes]:
    seed = selection_seed(RequestId(case.request.id), case.selection_salt, case.selection_beacon)
    return {commit.pubkey: selection_ticket(seed, Digest(commit.digest)) for commit in case.commits}
