"""What must never happen, checked from outside the nodes. Each reads the ledger and raises `Violation`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from dicast.base.types import EventId, NodeId, RequestId
from dicast.protocol.certificate import CertificateError, EmbeddingCheck, verify
from dicast.protocol.envelope import PacketReader
from dicast.protocol.evidence import EXCLUSIVE
from dicast.protocol.messages import Admission, Commit, Kind, Panel, Quorum, Request
from dicast.protocol.outputs import (
    AskRefused,
    CertificateReady,
    Penalised,
    RoundDecided,
    RoundEnded,
    RoundOpened,
)
from dicast.simulator.embedder import embed
from dicast.simulator.faults import Faults
from dicast.simulator.ledger import Ask, Ledger, Sent, Violation
from dicast.simulator.question_checkers import (
    attached_stay_sealed,
    only_members_fetch,
    only_what_was_asked_runs,
)
from dicast.simulator.rounds import request_of
from dicast.simulator.secrecy_checkers import answers_stay_sealed, private_stays_private, prompts_stay_sealed

Checker = Callable[[Ledger, Faults], None]
SLACK_MS = 6_000
"""What repeats, signatures and judging may add to the budgets of a round on a healthy network."""


def one_word_each(ledger: Ledger, faults: Faults) -> None:
    """P1, P8: an honest key signs at most one commit, reveal, quorum, close and signature a round."""
    said: dict[tuple[NodeId, Kind, EventId], Sent] = {}
    for sent in ledger.sent:
        packet = sent.packet
        if packet.author not in ledger.honest_ids or packet.kind not in EXCLUSIVE:
            continue
        start = _round_of(ledger, sent)
        first = said.setdefault((packet.author, packet.kind, start), sent)
        if first is not sent:
            _fail(
                "one_word_each",
                sent,
                f"{_short(packet.author)} said two {packet.kind.name} in {_short(start)}",
            )


def one_verdict(ledger: Ledger, faults: Faults) -> None:
    """P8: honest validators of one close sign the same digest."""
    digests: dict[EventId, Sent] = {}
    for sent in ledger.of_kind(Kind.SIGNATURE):
        close = sent.packet.predecessor
        if sent.packet.author not in ledger.honest_ids or close is None:
            continue
        first = digests.setdefault(close, sent)
        if first.body != sent.body:
            _fail("one_verdict", sent, f"two verdicts for close {_short(close)}")


def only_timely_commits(ledger: Ledger, faults: Faults) -> None:
    """P2: an honest requester seals only commits of members that were out before it sealed."""
    for sent in ledger.of_kind(Kind.QUORUM):
        request = request_of(ledger, sent.packet.predecessor)
        if sent.packet.author not in ledger.honest_ids or request is None:
            continue
        assert isinstance(sent.body, Quorum), "packets of this kind have this body"
        for commit_id in sent.body.commits:
            fault = _commit_fault(ledger, EventId(commit_id), sent, request)
            if fault:
                _fail("only_timely_commits", sent, f"{fault}: {_short(commit_id)}")


def no_early_reveal(ledger: Ledger, faults: Faults) -> None:
    """P1: an honest member reveals only after a quorum that holds its commit."""
    for sent in ledger.of_kind(Kind.REVEAL):
        author, quorum_id = sent.packet.author, sent.packet.predecessor
        if author not in ledger.honest_ids:
            continue
        quorum = ledger.by_id.get(quorum_id or EventId(""))
        if quorum is None or not isinstance(quorum.body, Quorum) or quorum.at_ms > sent.at_ms:
            _fail("no_early_reveal", sent, f"{_short(author)} revealed for no quorum")
        commits = (ledger.by_id.get(EventId(commit)) for commit in quorum.body.commits)
        if not any(commit is not None and commit.packet.author == author for commit in commits):
            _fail("no_early_reveal", sent, f"{_short(author)} revealed for a quorum without its commit")


def no_honest_penalty(ledger: Ledger, faults: Faults) -> None:
    """Whatever the network did, no honest node blames an honest key."""
    for told in ledger.told:
        report = told.report
        if (
            isinstance(report, Penalised)
            and ledger.is_honest(told.host)
            and report.node_id in ledger.honest_ids
        ):
            name = f"n{ledger.node_ids.index(report.node_id)}"
            raise Violation(
                "no_honest_penalty", told.at_ms, f"n{told.host} blames {name} for {report.reason}"
            )


def every_ask_ends(ledger: Ledger, faults: Faults) -> None:
    """Liveness: every question to an honest node ends with a verdict or a named reason, in time."""
    ended: dict[tuple[int, str], int] = {}
    for told in (*ledger.untold, *ledger.told):
        match told.report:
            case AskRefused(ask_id) | RoundEnded(ask_id):
                ended[told.host, ask_id] = told.at_ms
            case RoundDecided(ask_id, next_attempt=False):
                ended[told.host, ask_id] = told.at_ms
            case _:
                pass
    for ask in ledger.asked:
        if not ledger.is_honest(ask.host) or ask.ask_id in ledger.lost_asks:
            continue
        limit_ms = max(ask.at_ms, faults.heal_ms) + budget_ms(ask)
        at_ms = ended.get((ask.host, ask.ask_id))
        if at_ms is None and limit_ms <= faults.end_ms:
            raise Violation("every_ask_ends", limit_ms, f"n{ask.host} never ended {ask.ask_id}")
        if at_ms is not None and at_ms > limit_ms:
            raise Violation("every_ask_ends", at_ms, f"n{ask.host} ended {ask.ask_id} too late")


def an_end_is_an_end(ledger: Ledger, faults: Faults) -> None:
    """A round that ended, or whose certificate is out, is never opened again, over any number of restarts."""
    over: set[tuple[int, RequestId]] = set()
    for told in ledger.told:
        match told.report:
            case RoundEnded(request_id=request_id) | CertificateReady(request_id=request_id):
                over.add((told.host, request_id))
            case RoundOpened(request_id=request_id) if (told.host, request_id) in over:
                raise Violation("an_end_is_an_end", told.at_ms, f"n{told.host} opens {request_id} again")
            case _:
                pass


def healthy_asks_are_accepted(ledger: Ledger, faults: Faults) -> None:
    """Liveness after healing: with honest live members the verdict is `accepted` and signed."""
    decided = {
        (told.host, told.report.ask_id): told.report
        for told in ledger.told
        if isinstance(told.report, RoundDecided)
    }
    ready = {
        (told.host, told.report.ask_id): told.report
        for told in ledger.told
        if isinstance(told.report, CertificateReady)
    }
    for ask in ledger.asked:
        place = (ask.host, ask.ask_id)
        if not ask.healthy or ask.at_ms + budget_ms(ask) > faults.end_ms:
            continue
        if place not in decided or decided[place].verdict.outcome != "accepted":
            verdict = decided[place].verdict if place in decided else None
            raise Violation("healthy_asks_are_accepted", ask.at_ms, f"n{ask.host} {ask.ask_id}: {verdict}")
        signed = ready[place].signed_seats if place in ready else 0
        if signed < decided[place].verdict.need:
            raise Violation("healthy_asks_are_accepted", ask.at_ms, f"{ask.ask_id} has {signed} signatures")


def certificates_hold(ledger: Ledger, faults: Faults) -> None:
    """P9: a certificate of an honest requester checks offline, weights included."""
    for told in ledger.told:
        report = told.report
        if not isinstance(report, CertificateReady) or not ledger.is_honest(told.host):
            continue
        try:
            found = verify(report.certificate, _embed, PacketReader(ledger.secret))
        except CertificateError as error:
            raise Violation("certificates_hold", told.at_ms, f"n{told.host}: {error}") from error
        if found.signed_seats != report.signed_seats or found.embeddings is EmbeddingCheck.NOT_CHECKED:
            raise Violation("certificates_hold", told.at_ms, f"n{told.host}: {found.signed_seats} signed")


def budget_ms(ask: Ask) -> int:
    """How long a question may take on a healthy network, all its attempts together."""
    frame = ask.question.frame
    once = frame.deadline_ms + frame.grace_ms + frame.reveal_ms + SLACK_MS
    return once * ask.question.attempts


_READER = PacketReader()


def _embed(name: str, texts: object) -> list[bytes]:
    assert isinstance(texts, list), "the verifier hands a list"
    return [embed(str(text)) for text in texts]  # type: ignore[reportUnknownVariableType]


def _commit_fault(ledger: Ledger, commit_id: EventId, quorum: Sent, request: Sent) -> str:
    commit = ledger.by_id.get(commit_id)
    assert isinstance(request.body, Request), "built from a request"
    if commit is None or not isinstance(commit.body, Commit):
        return "sealed what nobody made"
    if not _READER.is_signed(commit.packet):
        return "sealed a forged commit"
    if commit.at_ms > quorum.at_ms:
        return "sealed a late commit"
    if commit.packet.predecessor != quorum.packet.predecessor:
        return "sealed a commit of another round"
    author = commit.packet.author
    if request.body.admission is Admission.LISTED and author not in request.body.members:
        return "sealed a stranger's commit"
    start = ledger.by_id.get(quorum.packet.predecessor or EventId(""))
    if start is not None and isinstance(start.body, Panel) and author not in start.body.members:
        return "sealed a commit that was not drawn"
    return ""


def _round_of(ledger: Ledger, sent: Sent) -> EventId:
    """The request of a packet, so that one key has one word a round and not one a predecessor."""
    start = sent.packet.predecessor
    for _ in range(4):
        before = ledger.by_id.get(start or EventId(""))
        if before is None or isinstance(before.body, Request):
            break
        start = before.packet.predecessor
    return start or EventId("")


def _fail(checker: str, sent: Sent, detail: str) -> NoReturn:
    raise Violation(checker, sent.at_ms, detail)


def _short(text: str) -> str:
    return text[:8]


CHECKERS: tuple[Checker, ...] = (
    one_word_each,
    one_verdict,
    only_timely_commits,
    no_early_reveal,
    no_honest_penalty,
    every_ask_ends,
    an_end_is_an_end,
    healthy_asks_are_accepted,
    certificates_hold,
    prompts_stay_sealed,
    answers_stay_sealed,
    private_stays_private,
    only_what_was_asked_runs,
    only_members_fetch,
    attached_stay_sealed,
)
