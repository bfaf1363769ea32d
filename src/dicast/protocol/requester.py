"""The requester: opens a round, seals the commits and closes the reveals in time, says the verdict."""

from __future__ import annotations

import msgspec

from dicast.base.errors import Rejection
from dicast.base.limits import ATTEMPTS_MAX, OPEN_ROUNDS_MAX
from dicast.base.types import EventId, NodeId, Now, RequestId
from dicast.consensus.frame import need
from dicast.consensus.reasons import Outcome, Reason, Status
from dicast.consensus.verdict import Verdict
from dicast.protocol.admission import check_question
from dicast.protocol.archive import Archive
from dicast.protocol.certificate import make_certificate, signed_seats
from dicast.protocol.confirming import as_signed
from dicast.protocol.context import Context, Tables
from dicast.protocol.envelope import Packet
from dicast.protocol.errand import STEPS, Errand, Errands, Phase
from dicast.protocol.inputs import Asked, Question
from dicast.protocol.messages import Admission, Close, Quorum, WorkState, WorkStatus
from dicast.protocol.opening import FIRST, Again, can_open, drawn_panel, make_request, members_in_default
from dicast.protocol.outputs import (
    AskRefused,
    CertificateReady,
    MemberProgress,
    RoundDecided,
    RoundEnded,
    RoundOpened,
    RoundProgress,
)
from dicast.protocol.records import RoundRecord, Table
from dicast.protocol.round import Round
from dicast.protocol.sealing import countable_commits, countable_reveals, signing_seats
from dicast.protocol.validator import Judged

SIGNING_MS = 5_000
"""How long signatures are waited for after the verdict: an embedder reads 256 answers in this time."""
SIGNING_GRACE_MS = 300
"""After `need` seats have signed, the others get this long."""


class Requester:
    """Rounds that this node asked for."""

    def __init__(self, context: Context, tables: Tables) -> None:
        self._context = context
        self._archive = Archive(tables)
        self._sequence = int(tables.get(Table.COUNTER, {}).get("sequence", b"0"))
        self._errands = Errands()

    def errand(self, request_id: RequestId) -> Errand | None:
        """What we know of a round of ours; None when it is not ours."""
        return self._errands.get(request_id)

    def round_of(self, ask_id: str) -> RequestId | None:
        """The round that is open for a caller's question."""
        return self._errands.open_for(ask_id)

    def ask(self, asked: Asked, open_rounds: int, now: Now) -> None:
        """Open a round, or refuse with a code, a reason and the next step."""
        try:
            if self.round_of(asked.ask_id) is not None:
                raise Rejection("ask_repeated", f"The question {asked.ask_id} is open already.")
            if open_rounds >= OPEN_ROUNDS_MAX:
                raise Rejection(
                    "too_many_rounds", f"{OPEN_ROUNDS_MAX} rounds are open.", "Wait for one to end."
                )
            check_question(asked.question)
            if not 1 <= asked.question.attempts <= ATTEMPTS_MAX:
                raise Rejection(
                    "too_many_attempts", f"attempts {asked.question.attempts} is outside 1…{ATTEMPTS_MAX}."
                )
            self._open(asked.ask_id, asked.question, now)
        except Rejection as refusal:
            self._context.effects.report(
                AskRefused(asked.ask_id, refusal.code, refusal.message, refusal.next_step)
            )

    def hear_beacon(self, round_: Round, now: Now) -> None:
        """The beacon that a drawn round waits for became public: draw, and say who has a seat."""
        errand = self._errands.get(round_.id)
        value = self._context.beacon(round_.request.beacon_round, now)
        if errand is None or errand.phase is not Phase.DRAWING or value is None:
            return
        panel = drawn_panel(self._context, round_, errand.candidates, value)
        packet = self._context.effects.speak(panel, now, EventId(round_.id))
        self._context.keep_packet(round_, packet.wire, packet.id)
        self._step(errand, Phase.COLLECTING)
        self._context.repeats.begin(round_.id, "panel", packet.wire, now.monotonic_ms, round_.sealing_ms)
        self._context.effects.report(RoundProgress(round_.id, "drawn", sum(panel.members.values())))

    def hear_status(self, round_: Round, author: NodeId, status: WorkStatus, now: Now) -> None:
        """A member took the work or declined it: a decline is the member's own word that it won't commit."""
        errand = self._errands.get(round_.id)
        if errand is None or author not in round_.seats or status.state is WorkState.CANCELLED:
            return
        detail = status.reason.value if status.reason is not None else ""
        self._context.effects.report(MemberProgress(round_.id, author, status.state.value, detail))
        if status.state is WorkState.DECLINED and errand.phase is Phase.COLLECTING:
            errand.declined.add(author)
            self._consider_sealing(round_, errand, now)

    def hear_commit(self, round_: Round, packet: Packet, now: Now) -> None:
        """A commit came in time."""
        errand = self._errands.get(round_.id)
        if errand is None or errand.phase is not Phase.COLLECTING:
            return
        self._context.keep_packet(round_, packet.wire, packet.id)
        self._context.effects.report(MemberProgress(round_.id, packet.author, "committed"))
        self._consider_sealing(round_, errand, now)

    def hear_reveal(self, round_: Round, packet: Packet, now: Now) -> None:
        """A reveal came in time."""
        errand = self._errands.get(round_.id)
        if errand is None or errand.phase is not Phase.REVEALING:
            return
        self._context.keep_packet(round_, packet.wire, packet.id)
        self._context.effects.report(MemberProgress(round_.id, packet.author, "revealed"))
        if len(round_.reveals_of) >= len(round_.sealed):
            self._close(round_, errand, now)

    def hear_judged(self, round_: Round, judged: Judged, now: Now) -> None:
        """Our own verdict is there; say it, if we checked every embedding ourselves."""
        errand = self._errands.get(round_.id)
        if errand is None or errand.phase is not Phase.JUDGING:
            return
        errand.judged = judged
        self._step(errand, Phase.SIGNING)
        errand.due_ms = now.monotonic_ms + SIGNING_MS
        if judged.checked:
            self._decide(round_, errand, judged, now)
        self.hear_signature(round_, None, now)

    def hear_signature(self, round_: Round, author: NodeId | None, now: Now) -> None:
        """A signature came: enough of them end the waiting."""
        errand = self._errands.get(round_.id)
        if errand is None:
            return
        if author is not None:
            self._context.effects.report(MemberProgress(round_.id, author, "signed"))
        if errand.phase is not Phase.SIGNING or errand.judged is None:
            return
        verdict = errand.judged.verdict
        seats = signed_seats(round_, self._context.topic, verdict)
        if seats >= signing_seats(round_):
            self._certify(round_, errand, now)
        elif seats >= verdict.need and not errand.graced:
            errand.graced = True
            errand.due_ms = min(errand.due_ms, now.monotonic_ms + SIGNING_GRACE_MS)

    def hear_spoiled(self, round_: Round) -> None:
        """Our own lists contradict themselves: only a damaged store does that."""
        errand = self._errands.get(round_.id)
        if errand is not None and errand.phase is not Phase.OVER:
            self._end(round_, errand, "spoiled", "The round's own records contradict each other.")

    def cancel(self, round_: Round, now: Now) -> None:
        """The caller no longer waits: tell the members, who stop working."""
        errand = self._errands.get(round_.id)
        if errand is None or errand.phase is Phase.OVER:
            return
        status = WorkStatus(v=1, state=WorkState.CANCELLED)
        self._context.effects.speak(status, now, EventId(round_.id), tuple(sorted(round_.seats))[:32])
        self._end(round_, errand, "cancelled", "The question was withdrawn.")

    def take_due(self, rounds: dict[RequestId, Round], now: Now) -> list[RequestId]:
        """Deadlines: seal, close, or stop waiting for signatures. The rounds that were due."""
        due = self._errands.due(now.monotonic_ms)
        for request_id in due:
            round_, errand = rounds[request_id], self._errand_of(request_id)
            match errand.phase:
                case Phase.DRAWING:
                    self._end(round_, errand, "no_beacon", "The beacon did not come before the deadline.")
                case Phase.COLLECTING:
                    self._seal(round_, errand, now)
                case Phase.REVEALING:
                    self._close(round_, errand, now)
                case Phase.SIGNING:
                    self._certify(round_, errand, now)
                case _:
                    self._end(round_, errand, "expired", "The round could not be judged in time.")
        return due

    @property
    def deadline_ms(self) -> int | None:
        """When the next of our rounds is due."""
        return self._errands.deadline_ms

    def forget(self, request_id: RequestId) -> None:
        """The round expired."""
        self._errands.forget(request_id)

    def resume(self, round_: Round, record: RoundRecord, certified: bool, now: Now) -> None:
        """After a restart: go on where the store says we stood."""
        if record.question is None:
            return
        question = msgspec.structs.replace(record.question, messages=round_.request.messages)
        errand = self._errands.begin(round_.id, record.ask_id, question, record.salt)
        errand.candidates = {NodeId(key): units for key, units in record.candidates.items()}
        if certified or record.over:
            errand.phase = Phase.OVER
            return
        self._report_opened(round_, errand)
        repeats, until_ms = self._context.repeats, round_.expires_ms
        if round_.close is not None:
            errand.phase, errand.due_ms = Phase.JUDGING, until_ms
            repeats.begin(round_.id, "close", round_.close.wire, now.monotonic_ms, until_ms)
        elif round_.quorum is not None:
            reveal_ms = record.sealed_unix_ms + round_.request.frame.reveal_ms - now.unix_ms
            reveal_ms = max(0, min(reveal_ms, round_.request.frame.reveal_ms))
            errand.phase, errand.due_ms = Phase.REVEALING, now.monotonic_ms + reveal_ms
            repeats.begin(round_.id, "quorum", round_.quorum.wire, now.monotonic_ms, until_ms)
        else:
            self._resume_collecting(round_, errand, now)

    def bury(self, round_: Round, record: RoundRecord, certified: bool) -> None:
        """After a restart: a round of ours whose time ran out meanwhile ends with a reason."""
        if record.question is not None and not certified and not record.over:
            reason = "The round's time was over when this node came back."
            self._context.effects.report(RoundEnded(record.ask_id, round_.id, "expired", reason))

    def _resume_collecting(self, round_: Round, errand: Errand, now: Now) -> None:
        if round_.request.admission is Admission.DRAWN and round_.panel is None:
            errand.phase, errand.due_ms = Phase.DRAWING, max(now.monotonic_ms, round_.sealing_ms)
            return self.hear_beacon(round_, now)
        errand.phase, errand.due_ms = Phase.COLLECTING, max(now.monotonic_ms, round_.sealing_ms)
        first = round_.panel or round_.packet
        self._context.repeats.begin(round_.id, "request", first.wire, now.monotonic_ms, round_.sealing_ms)
        return self._consider_sealing(round_, errand, now)

    def _open(
        self,
        ask_id: str,
        question: Question,
        now: Now,
        again: Again = FIRST,
    ) -> None:
        self._sequence += 1
        salt = self._context.identity.selection_salt(self._sequence, now.unix_ms).hex()
        request, candidates = make_request(self._context, question, self._sequence, salt, again)
        packet = self._context.effects.speak(request, now)
        errand = self._errands.begin(RequestId(packet.id), ask_id, question, salt)
        errand.candidates = candidates
        errand.phase = Phase.DRAWING if candidates else Phase.COLLECTING
        errand.due_ms = now.monotonic_ms + question.frame.deadline_ms
        self._context.effects.put(Table.COUNTER, "sequence", str(self._sequence).encode())

    def opened(self, round_: Round, now: Now) -> None:
        """Our request is out: keep it, repeat it, tell the caller."""
        errand = self._errand_of(round_.id)
        record = RoundRecord(
            request_id=round_.id,
            opened_unix_ms=round_.opened_unix_ms,
            ask_id=errand.ask_id,
            question=self._kept(round_, errand.question),
            salt=errand.salt,
            candidates={**errand.candidates},
        )
        self._context.keep_record(record)
        self._context.keep_packet(round_, round_.packet.wire, round_.packet.id)
        self._context.repeats.begin(
            round_.id, "request", round_.packet.wire, now.monotonic_ms, round_.sealing_ms
        )
        self._report_opened(round_, errand)

    def _kept(self, round_: Round, question: Question) -> Question:
        """What the round's record says of the question: one that is attached lies beside it."""
        if round_.attachment is None:
            return question
        return msgspec.structs.replace(question, messages=())

    def _report_opened(self, round_: Round, errand: Errand) -> None:
        request = round_.request
        self._context.effects.report(
            RoundOpened(
                errand.ask_id,
                round_.id,
                dict(round_.seats),
                request.seats,
                need(request.frame.sec_percentage_bp, request.seats),
                request.frame.quorum,
                request.attempt,
            )
        )

    def _consider_sealing(self, round_: Round, errand: Errand, now: Now) -> None:
        """Every seat committed or declined: seal now. Quorum reached: seal after the grace."""
        countable = countable_commits(round_)
        seats = sum(round_.seats_of(author) for author in countable)
        awaited = [one for one in round_.seats if one not in round_.commits_of and one not in errand.declined]
        if round_.request.admission is Admission.OPEN:
            everybody = seats >= round_.request.seats
        else:
            everybody = not awaited
        if everybody:
            self._seal(round_, errand, now)
        elif seats >= round_.request.frame.quorum and not errand.graced:
            errand.graced = True
            errand.due_ms = min(errand.due_ms, now.monotonic_ms + round_.request.frame.grace_ms)

    def _seal(self, round_: Round, errand: Errand, now: Now) -> None:
        countable = countable_commits(round_)
        packet = self._context.effects.speak(
            Quorum(v=1, commits=tuple(sorted(countable.values()))), now, round_.start_id
        )
        self._context.keep_packet(round_, packet.wire, packet.id)
        self._context.change_record(round_.id, sealed_unix_ms=now.unix_ms)
        self._context.repeats.stop(round_.id, "request")
        self._context.repeats.stop(round_.id, "panel")
        self._context.repeats.begin(round_.id, "quorum", packet.wire, now.monotonic_ms, round_.expires_ms)
        seats = sum(round_.seats_of(author) for author in countable)
        self._context.effects.report(RoundProgress(round_.id, "sealed", seats))
        self._step(errand, Phase.REVEALING)
        too_few = seats < round_.request.frame.quorum
        errand.due_ms = now.monotonic_ms + (0 if too_few else round_.request.frame.reveal_ms)
        errand.graced = False

    def _close(self, round_: Round, errand: Errand, now: Now) -> None:
        """Two different reveals of one commit count as none."""
        assert round_.quorum is not None, "a round is sealed before it is closed"
        single = countable_reveals(round_)
        body = Close(v=1, reveals=tuple(single), selection_salt=errand.salt)
        packet = self._context.effects.speak(body, now, round_.quorum.id)
        self._context.keep_packet(round_, packet.wire, packet.id)
        self._context.repeats.stop(round_.id, "quorum")
        self._context.repeats.begin(round_.id, "close", packet.wire, now.monotonic_ms, round_.expires_ms)
        self._context.effects.report(RoundProgress(round_.id, "closed", len(single)))
        self._step(errand, Phase.JUDGING)
        errand.due_ms = round_.expires_ms

    def _decide(self, round_: Round, errand: Errand, judged: Judged, now: Now) -> None:
        verdict = judged.verdict
        errand.again = self._next_attempt(round_, errand, verdict)
        again = errand.again is not None
        self._context.effects.report(RoundDecided(errand.ask_id, round_.id, verdict, judged.checked, again))
        if self._context.records[round_.id].counted:
            return
        self._context.change_record(round_.id, counted=True)
        owed_reveals = verdict.reason is not Reason.QUORUM_NOT_REACHED
        for author, status in verdict.statuses.items():
            if status is Status.CORE:
                self._context.directory.credit(NodeId(author), self._context.effects)
            elif status is Status.SILENT and NodeId(author) not in errand.declined:
                self._context.directory.note_silent(NodeId(author), now)
            elif status is Status.UNREVEALED and owed_reveals:
                self._context.directory.debit_unrevealed(NodeId(author), self._context.effects)

    def _next_attempt(self, round_: Round, errand: Errand, verdict: Verdict) -> Again | None:
        """What would come after an undetermined round, if it may and can be asked at all."""
        attempt = round_.request.attempt
        if verdict.outcome is Outcome.ACCEPTED or attempt >= min(errand.question.attempts, ATTEMPTS_MAX):
            return None
        again = Again(attempt + 1, round_.id, members_in_default(verdict))
        return again if can_open(self._context, errand.question, self._sequence + 1, again) else None

    def _certify(self, round_: Round, errand: Errand, now: Now) -> None:
        """The waiting for signatures is over: hand out the certificate, or say that nobody confirmed."""
        judged = errand.judged
        assert judged is not None, "only a judged round is certified"
        judged = errand.judged = as_signed(round_, self._context.topic, judged)
        seats = signed_seats(round_, self._context.topic, judged.verdict)
        if not judged.checked:
            if seats < judged.verdict.need:
                counted = f"only {seats} of the needed {judged.verdict.need} seats signed the verdict."
                reason = f"This node has no embedder, and {counted}"
                return self._end(round_, errand, "not_confirmed", reason)
            self._decide(round_, errand, judged, now)
        secret = self._context.settings.secret
        certificate = make_certificate(round_, judged.verdict, judged.bits, secret)
        self._archive.add(round_.id, certificate, self._context.effects)
        self._context.effects.report(CertificateReady(errand.ask_id, round_.id, certificate, seats))
        self._step(errand, Phase.OVER)
        if errand.again is not None:
            self._ask_again(round_, errand, errand.again, now)
        return None

    def _ask_again(self, round_: Round, errand: Errand, again: Again, now: Now) -> None:
        try:
            self._open(errand.ask_id, errand.question, now, again)
        except Rejection as refusal:  # whom we knew with the verdict is gone now
            self._context.effects.report(
                RoundEnded(errand.ask_id, round_.id, refusal.code, f"{refusal.message} {refusal.next_step}")
            )

    def _end(self, round_: Round, errand: Errand, code: str, reason: str) -> None:
        self._context.repeats.forget(round_.id)
        self._context.change_record(round_.id, over=True)
        self._step(errand, Phase.OVER)
        self._context.effects.report(RoundEnded(errand.ask_id, round_.id, code, reason))

    def _errand_of(self, request_id: RequestId) -> Errand:
        errand = self._errands.get(request_id)
        assert errand is not None, "the round is ours"
        return errand

    def _step(self, errand: Errand, phase: Phase) -> None:
        assert phase in STEPS[errand.phase], f"a round cannot go from {errand.phase} to {phase}"
        errand.phase = phase
