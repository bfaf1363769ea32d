"""What a person sees while a question is asked: plain lines on standard error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from dicast.cli.live_text import LiveText
from dicast.cli.output import note
from dicast.client_channel import Event
from dicast.consensus.reasons import Reason, Status
from dicast.consensus.verdict import Verdict
from dicast.daemon import api
from dicast.protocol.outputs import MemberProgress, RoundDecided, RoundOpened, RoundProgress

ENCRYPTED_PROMPT = "Question and answers are encrypted to the members: nobody else can read them."
OPEN_PROMPT = "The prompt and the answers travel in the open: the relays and all members can read them."
NOT_TRUTH = "Agreement is not truth: a wrong noun that most models share passes. Keys are not people."
WORDING = "agreed in content; the wording is one node's"

ANSWERS_SHOWN_MAX = 9
"""As many as a person compares."""
ANSWER_CHARS_SHOWN = 160
"""Two lines of a terminal."""

REJECTED = {
    "silent": "did not commit",
    "unrevealed": "committed and did not reveal",
    "digest_mismatch": "revealed something else than it committed to",
    "model_refused": "answered with a model that was not asked for",
    "malformed": "gave no readable answer",
    "embedding_mismatch": "lied about the embedding of its answer",
    "conflict": "said nearly the same, but a gate found a contradiction",
    "outside": "said something else",
    "accepted": "agrees with the centre, but with too few others",
}
"""Why the answer of a member does not count, by its status in the verdict."""


class Progress:
    """Writes a line for each step of a round."""

    def __init__(self) -> None:
        self._committed: set[str] = set()
        self._revealed: set[str] = set()
        self._seats = 0
        self._live = LiveText()
        self.declined: dict[str, str] = {}
        """Why members of the last round declined, by key."""

    def show(self, event: Event) -> None:
        """One event of the ask."""
        self._live.hear(event)
        match event:
            case RoundOpened():
                self._committed.clear()
                self._revealed.clear()
                self.declined.clear()
                self._seats = event.seats
                again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
                self._note(f"round {event.request_id[:12]} is open{again}")
            case MemberProgress():
                self._member(event)
            case RoundProgress():
                self._note(f"{event.step}: {event.seats} of {self._seats} seats")
            case RoundDecided():
                if event.next_attempt:
                    self._note(f"undetermined ({event.verdict.reason}); asking again")
            case api.ReportsDropped():
                self._note(f"({event.count} steps were not shown: this terminal is slow)")
            case _:
                pass

    def _member(self, event: MemberProgress) -> None:
        who = event.member[:12]
        if event.step == "declined":
            if self.declined.get(event.member) != event.detail:
                self._note(f"{who} declined: {event.detail}")
            self.declined[event.member] = event.detail
        elif event.step == "committed" and event.member not in self._committed:
            self._committed.add(event.member)
            self._note(f"{who} committed ({len(self._committed)} of {self._seats})")
        elif event.step == "revealed" and event.member not in self._revealed:
            self._revealed.add(event.member)
            self._note(f"{who} revealed ({len(self._revealed)})")

    def end(self) -> None:
        """The verdict is there."""
        self._live.interrupt()

    def _note(self, text: str) -> None:
        self._live.interrupt()
        note(text)


def explain_plan(plan: api.PlanResult) -> None:
    """Before asking: how many nodes, and how often the frame errs."""
    for warning in plan.warnings:
        note(f"warning: {warning}")
    if plan.own_only:
        note("Asking your own node alone.")
        return
    asked = f"{plan.seats} of the {plan.known_workers} nodes that can answer"
    note(f"Asking {asked}; {plan.quorum} must commit, {plan.need} must agree.")
    if plan.seats > 1:
        note(f"Chance that a lie is accepted: {rates_in_words(plan)}.")
    note(ENCRYPTED_PROMPT if plan.encrypted else OPEN_PROMPT)


def rates_in_words(plan: api.PlanResult) -> str:
    """How often the frame errs, for a few shares of dishonest nodes."""
    (first, chance), *others = ((share.replace("%", " %"), rate) for share, rate in plan.error_rates.items())
    rest = "".join(f", {percent(rate)} if {share} do" for share, rate in others)
    return f"{percent(chance)} if {first} of all nodes lie together{rest}"


def explain_answer(answer: api.Answer, declined: Mapping[str, str]) -> None:
    """After the verdict: what agreed, what did not and why, and what it is worth."""
    verdict = answer.verdict
    if answer.is_accepted and not answer.verified:
        note("not verified: one node answered, and nobody checked it.")
    elif answer.is_accepted:
        note(agreed_in_words(verdict) + ".")
        note(NOT_TRUTH)
    else:
        note(f"undetermined: {reason_in_words(verdict)}.")
        for text in sorted({one.answer for one in answer.reveals.values()})[:ANSWERS_SHOWN_MAX]:
            note(f"  said: {' '.join(text.split())[:ANSWER_CHARS_SHOWN]}")
    for line in rejected_lines(verdict, declined):
        note(line)
    if answer.is_accepted and answer.verified and not answer.checked:
        note(f"The embeddings were checked by {answer.signed_seats} signing members, not by this node.")


def agreed_in_words(verdict: Verdict) -> str:
    """How many agree."""
    agreed = f"{verdict.ball_size} of {verdict.n} seats agree, {verdict.need} were needed"
    return f"accepted: {agreed} ({WORDING})"


def rejected_lines(verdict: Verdict, declined: Mapping[str, str] | None = None) -> list[str]:
    """A line for every reason for which answers did not count; `declined` says why members did not commit."""
    counted = Counter(
        (status.value, (declined or {}).get(author, "") if status is Status.SILENT else "")
        for author, status in verdict.statuses.items()
    )
    return [
        f"  {count} × {status}: {f'declined: {cause}' if cause else rejected_words(verdict, status)}"
        for (status, cause), count in sorted(counted.items(), key=_in_order)
        if status in REJECTED
    ]


def _in_order(counted: tuple[tuple[str, str], int]) -> tuple[int, str]:
    (status, cause), _ = counted
    return list(REJECTED).index(status) if status in REJECTED else -1, cause


def rejected_words(verdict: Verdict, status: str) -> str:
    """Why an answer of this status does not count."""
    if status == Status.UNREVEALED and verdict.reason is Reason.QUORUM_NOT_REACHED:
        return "committed; with so few commits nobody had to reveal"
    return REJECTED[status]


def reason_in_words(verdict: Verdict) -> str:
    """Why there is no answer."""
    match verdict.reason.value:
        case "quorum_not_reached":
            return "too few nodes committed in time (quorum_not_reached)"
        case "too_few_reveals":
            return f"fewer than {verdict.need} readable answers were revealed (too_few_reveals)"
        case "no_agreement":
            return f"no answer has the agreement of {verdict.need} seats; the largest group has " + (
                f"{verdict.ball_size} (no_agreement)"
            )
        case other:
            return other


def percent(chance: float) -> str:
    """A probability for people."""
    if chance == 0:
        return "0 %"
    return f"{chance:.2%}".replace("%", " %") if chance >= 0.0001 else f"{chance:.0e}"
