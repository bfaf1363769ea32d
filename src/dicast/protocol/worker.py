"""The worker: runs a prompt, commits to the answer, reveals it for the first quorum that holds its commit."""

from __future__ import annotations

from dicast.base.limits import REVEAL_BYTES_MAX
from dicast.base.types import EventId, Now, RequestId
from dicast.consensus.selection import commit_digest, sampling_seed
from dicast.consensus.text import canonical_text, clean_output, embedding_text
from dicast.consensus.wordpiece import is_too_long
from dicast.protocol.context import Context
from dicast.protocol.envelope import Packet
from dicast.protocol.inputs import Embedded, InferenceFinished
from dicast.protocol.messages import (
    Admission,
    Commit,
    DeclineReason,
    Reveal,
    Role,
    Usage,
    WorkState,
    WorkStatus,
)
from dicast.protocol.outputs import CancelInference, StartEmbedding, StartInference, WorkProgress
from dicast.protocol.questions import Questions
from dicast.protocol.records import Draft, RoundRecord
from dicast.protocol.remembered import Remembered
from dicast.protocol.round import Round
from dicast.protocol.round_key import as_long, spoken
from dicast.protocol.seat import BUSY, STEPS, Phase, Seat
from dicast.protocol.slots import Slots

BYTES_PER_TOKEN_MAX = 128
"""Of a blob, sealed and escaped as it may be: no model reads so many as one token on the average."""


class Worker:
    """This node's seats in the rounds of others and its own."""

    def __init__(self, context: Context, committed: Remembered, questions: Questions) -> None:
        self._context = context
        self._questions = questions
        self._seats: dict[RequestId, Seat] = {}
        self.slots = Slots(context.settings.slots)
        self._committed = committed

    def phase(self, request_id: RequestId) -> Phase | None:
        """Where our seat in a round stands; None without one."""
        seat = self._seats.get(request_id)
        return seat.phase if seat is not None else None

    def wants(self, round_: Round) -> bool:
        """Would we take part in this round as a worker?"""
        if Role.WORKER not in self._context.settings.roles or round_.id in self._committed:
            return False
        if self._context.directory.is_banned(round_.requester):
            return False
        admission = round_.request.admission
        return admission is not Admission.LISTED or self._context.own_id in round_.seats

    def hear_request(self, round_: Round, now: Now) -> None:
        """Take the work or decline it with a reason; a drawn round waits for its panel."""
        reason = self._obstacle(round_, now)
        if reason is not None:
            self._decline(round_, reason, now)
        elif round_.request.admission is Admission.DRAWN:
            self._sit(round_.id, Phase.WAITING)
        else:
            self._take(round_, now)

    def take_due(self, now: Now) -> None:
        """Decline what waited for a slot for too long."""
        for round_ in self.slots.late(now):
            self._decline(round_, DeclineReason.BUSY, now)

    def begin_waiting(self, now: Now) -> list[Round]:
        """Begin what waited for a slot that is free now."""
        begun: list[Round] = []
        while (round_ := self.slots.next()) is not None:
            self._start(round_, now)
            begun.append(round_)
        return begun

    def hear_panel(self, round_: Round, now: Now) -> None:
        """The draw is known: work if we hold a seat."""
        seat = self._seats.get(round_.id)
        if seat is None or seat.phase is not Phase.WAITING:
            return
        if self._context.own_id in round_.seats:
            self._start(round_, now)
        else:
            self._step(round_.id, Phase.OVER)

    def hear_question(self, round_: Round, now: Now) -> None:
        """The attached question is here: work, if there is still a slot."""
        if self.phase(round_.id) is not Phase.FETCHING:
            return
        reason = self._obstacle(round_, now) if round_.panel is None else None
        if reason is not None:
            self._decline(round_, reason, now)
        elif round_.panel is None:
            self._take(round_, now)
        else:
            self._start(round_, now)

    def hear_no_question(self, round_: Round, now: Now) -> None:
        """Nobody gives the attached question, or what was given is none."""
        if self.phase(round_.id) is Phase.FETCHING:
            self._decline(round_, DeclineReason.QUESTION_MISSING, now)

    def hear_finished(self, round_: Round, done: InferenceFinished, now: Now) -> None:
        """The engine answered: clean, check the size, embed, commit."""
        seat = self._seats.get(round_.id)
        if seat is None or seat.phase is not Phase.RUNNING:
            return None
        self.slots.measure(round_.id, now)
        answer = clean_output(done.text)
        text = embedding_text(answer, round_.request.frame.fuzzy)
        if not canonical_text(answer) or not text or is_too_long(text):
            return self._decline(round_, DeclineReason.ANSWER_MALFORMED, now)
        usage = (done.prompt_tokens, done.completion_tokens, done.first_token_ms, done.total_ms)
        seat.draft = Draft(answer, done.model, done.engine, {}, usage)
        seat.awaited = sorted(round_.request.frame.sec_distance_bits)
        for embedder in seat.awaited:
            self._context.effects.run(StartEmbedding(f"answer:{round_.id}", embedder, (text,)))
        if seat.awaited:
            return self._step(round_.id, Phase.EMBEDDING)
        return self._commit(round_, seat.draft, now)

    def hear_embedded(self, round_: Round, done: Embedded, now: Now) -> None:
        """One embedder finished our answer; with the last of them we commit."""
        seat = self._seats.get(round_.id)
        if seat is None or seat.phase is not Phase.EMBEDDING or done.embedder not in seat.awaited:
            return
        draft = seat.draft
        assert draft is not None, "an answer is embedded after it was drafted"
        seat.awaited.remove(done.embedder)
        bits = {**draft.embeddings, done.embedder: done.bits[0]}
        seat.draft = Draft(draft.answer, draft.model, draft.engine, dict(sorted(bits.items())), draft.usage)
        if not seat.awaited:
            self._commit(round_, seat.draft, now)

    def hear_failed(self, round_: Round, code: str, now: Now) -> None:
        """The engine or the embedder gave up."""
        seat = self._seats.get(round_.id)
        if seat is not None and seat.phase in BUSY:
            known = {reason.value for reason in DeclineReason}
            reason = DeclineReason(code) if code in known else DeclineReason.ENGINE_FAILED
            self._decline(round_, reason, now)

    def hear_quorum(self, round_: Round, now: Now) -> None:
        """Reveal for the first quorum that holds our commit; a quorum that is too small reveals nothing."""
        seat = self._seats.get(round_.id)
        if seat is None or seat.phase in {Phase.REVEALED, Phase.OVER} or round_.quorum is None:
            return None
        self._context.repeats.stop(round_.id, "commit")
        own = round_.commits_of.get(self._context.own_id, [])
        if seat.phase is not Phase.COMMITTED or not any(commit in round_.sealed for commit in own):
            self._context.effects.run(CancelInference(round_.id))
            return self._step(round_.id, Phase.OVER)
        request = round_.request
        if request.admission is not Admission.DRAWN and len(round_.sealed) < request.frame.quorum:
            return self._step(round_.id, Phase.OVER)
        return self._reveal(round_, seat, now)

    def hear_close(self, round_: Round) -> None:
        """Nothing more is owed: the reveals are fixed."""
        self._context.repeats.stop(round_.id, "reveal")
        self._context.repeats.stop(round_.id, "commit")
        if self.phase(round_.id) not in {None, Phase.OVER}:
            self._step(round_.id, Phase.OVER)

    def hear_cancelled(self, round_: Round) -> None:
        """The requester no longer waits."""
        self.abandon(round_, "cancelled")

    def abandon(self, round_: Round, detail: str) -> None:
        """End our part without blame."""
        seat = self._seats.get(round_.id)
        if seat is None or seat.phase is Phase.OVER:
            return
        if seat.phase in BUSY:
            self._context.effects.run(CancelInference(round_.id))
        if round_.id in self._context.records:  # a restart must not take it up again
            self._context.change_record(round_.id, declined=True)
        self._context.repeats.stop(round_.id, "commit")
        self._context.repeats.stop(round_.id, "reveal")
        self._step(round_.id, Phase.OVER)
        self._context.effects.report(WorkProgress(round_.id, "abandoned", detail))

    def forget(self, request_id: RequestId) -> None:
        """The round expired."""
        self._seats.pop(request_id, None)
        self.slots.leave(request_id)

    def resume(self, round_: Round, record: RoundRecord, now: Now) -> None:
        """After a restart: what was stored is sent again, never made anew."""
        own = round_.commits_of.get(self._context.own_id, [])
        revealed = round_.reveals_of.get(self._context.own_id, [])
        if record.declined:
            return
        if record.draft is not None and own:
            seat = self._sit(round_.id, Phase.COMMITTED)
            seat.draft = record.draft
            if revealed:
                self._step(round_.id, Phase.REVEALED)
                self._repeat(round_, "reveal", round_.reveals[revealed[0]][0], now)
            elif round_.quorum is not None:
                self.hear_quorum(round_, now)
            else:
                self._repeat(round_, "commit", round_.commits[own[0]][0], now)
        elif round_.quorum is None and self.wants(round_):
            self._sit(round_.id, Phase.WAITING)

    def hear_models(self, round_: Round, now: Now) -> None:
        """Our engines are known (again): work that a restart interrupted goes on."""
        seat = self._seats.get(round_.id)
        drawn = round_.request.admission is Admission.DRAWN
        ready = not drawn or self._context.own_id in round_.seats
        if (
            seat is not None
            and seat.phase is Phase.WAITING
            and ready
            and now.monotonic_ms < round_.sealing_ms
        ):
            self._start(round_, now)

    def _obstacle(self, round_: Round, now: Now) -> DeclineReason | None:
        request, context = round_.request, self._context
        if self._model_for(round_) is None:
            return DeclineReason.MODEL_MISSING
        if self._is_beyond(round_):
            return DeclineReason.CONTEXT_LENGTH_EXCEEDED
        if not set(request.frame.sec_distance_bits) <= set(context.settings.embedders):
            return DeclineReason.EMBEDDER_MISSING
        if request.admission is Admission.DRAWN:
            public = context.latest_beacon
            if public is None or request.beacon_round <= public:
                return DeclineReason.BEACON_PUBLIC
        if self._committed.is_full:
            return DeclineReason.BUSY
        may_wait = request.admission is Admission.LISTED and self.slots.may_wait(round_.requester, now)
        return None if self.slots.is_free or may_wait else DeclineReason.BUSY

    def _model_for(self, round_: Round) -> str | None:
        """The first of the models that were asked for; where any will do, one that is made for anything."""
        models = self._context.models
        if round_.request.models:
            offered = {model.name for model in models}
            return next((name for name in round_.request.models if name in offered), None)
        general = (model.name for model in models if not model.domain)
        return next(general, models[0].name if models else None)

    def _is_beyond(self, round_: Round) -> bool:
        """Is an attached question longer than the model can read? Seen before it is fetched."""
        name = self._model_for(round_)
        tokens = next((model.context_tokens for model in self._context.models if model.name == name), 0)
        size = round_.attachment.size if round_.attachment is not None else 0
        return bool(tokens) and size > tokens * BYTES_PER_TOKEN_MAX

    def _take(self, round_: Round, now: Now) -> None:
        """Begin, or wait a moment for a slot. Nothing is kept of who waits: its request comes again."""
        if self.slots.is_free or not round_.is_known:
            self._start(round_, now)
        else:
            self._sit(round_.id, Phase.QUEUED)
            self.slots.wait(round_, now)
            self._context.effects.report(WorkProgress(round_.id, "queued"))

    def _start(self, round_: Round, now: Now) -> None:
        model, request = self._model_for(round_), round_.request
        if model is None:
            return self._decline(round_, DeclineReason.MODEL_MISSING, now)
        context = self._context
        self._keep(round_)
        if not round_.is_known:
            self._sit(round_.id, Phase.FETCHING)
            context.effects.report(WorkProgress(round_.id, "fetching"))
            return self._questions.fetch(round_, now)
        self._sit(round_.id, Phase.RUNNING)
        self.slots.begin(round_, now)
        self._tell(round_, WorkState.ACCEPTED, None, now)
        context.effects.run(
            StartInference(
                request_id=round_.id,
                messages=request.messages,
                model=model,
                max_tokens=request.max_tokens,
                temperature_milli=request.temperature_milli,
                seed=sampling_seed(round_.id, context.own_id),
                deadline_ms=max(1, round_.sealing_ms - now.monotonic_ms),
                schema=request.schema,
                stream=bool(request.streamer),
            )
        )
        context.effects.report(WorkProgress(round_.id, "running", model))
        return None

    def _keep(self, round_: Round) -> None:
        """What a restart needs to go on with this round."""
        context = self._context
        if round_.id not in context.records:
            context.keep_record(RoundRecord(request_id=round_.id, opened_unix_ms=round_.opened_unix_ms))
            context.keep_packet(round_, round_.packet.wire, round_.packet.id)
            if round_.panel is not None:
                context.keep_packet(round_, round_.panel.wire, round_.panel.id)

    def _decline(self, round_: Round, reason: DeclineReason, now: Now) -> None:
        self._sit(round_.id, Phase.OVER)
        if round_.id in self._context.records:
            self._context.change_record(round_.id, declined=True)
        if round_.request.admission is Admission.LISTED:
            self._tell(round_, WorkState.DECLINED, reason, now)
        self._context.effects.report(WorkProgress(round_.id, "declined", reason.value))

    def _tell(self, round_: Round, state: WorkState, reason: DeclineReason | None, now: Now) -> None:
        if round_.requester != self._context.own_id or state is WorkState.DECLINED:
            body = WorkStatus(v=1, state=state, reason=reason)
            self._context.effects.speak(body, now, EventId(round_.id), (round_.requester,))

    def _commit(self, round_: Round, draft: Draft, now: Now) -> None:
        context = self._context
        if self._is_too_large(round_, draft, now):
            return self._decline(round_, DeclineReason.ANSWER_TOO_LARGE, now)
        salt = context.identity.commit_salt(round_.id).hex()
        digest = commit_digest(round_.id, context.own_id, salt, draft.answer, draft.model)
        context.change_record(round_.id, draft=draft)
        self._committed.add(round_.id, now, context.effects)
        packet = context.effects.speak(Commit(v=1, digest=digest), now, round_.start_id)
        context.keep_packet(round_, packet.wire, packet.id)
        self._step(round_.id, Phase.COMMITTED)
        self._repeat(round_, "commit", packet, now)
        context.effects.report(WorkProgress(round_.id, "committed"))
        return None

    def _is_too_large(self, round_: Round, draft: Draft, now: Now) -> bool:
        if len(draft.answer) > REVEAL_BYTES_MAX:
            return True
        body = as_long(self._opening(round_, draft), round_.key)
        return body is None or self._context.packet_bytes(body, now) > REVEAL_BYTES_MAX

    def _opening(self, round_: Round, draft: Draft) -> Reveal:
        """What opens our commit."""
        return _reveal_of(draft, self._context.identity.commit_salt(round_.id).hex())

    def _reveal(self, round_: Round, seat: Seat, now: Now) -> None:
        assert seat.draft is not None, "only a committed draft is revealed"
        assert round_.quorum is not None, "a reveal follows its quorum"
        body = spoken(self._opening(round_, seat.draft), self._context.own_id, round_.key)
        assert body is not None, "an answer that is committed to can be sent"
        self._context.keep_packet(round_, round_.quorum.wire, round_.quorum.id)
        packet = self._context.effects.speak(body, now, round_.quorum.id)
        self._context.keep_packet(round_, packet.wire, packet.id)
        self._step(round_.id, Phase.REVEALED)
        self._repeat(round_, "reveal", packet, now)
        self._context.effects.report(WorkProgress(round_.id, "revealed"))

    def _repeat(self, round_: Round, step: str, packet: Packet, now: Now) -> None:
        self._context.repeats.begin(round_.id, step, packet.wire, now.monotonic_ms, round_.expires_ms)

    def _step(self, request_id: RequestId, phase: Phase) -> None:
        seat = self._seats[request_id]
        assert phase in STEPS[seat.phase], f"a seat cannot go from {seat.phase} to {phase}"
        seat.phase = phase
        self._leave_slot(request_id, phase)

    def _sit(self, request_id: RequestId, phase: Phase) -> Seat:
        seat = self._seats[request_id] = Seat(phase)
        self._leave_slot(request_id, phase)
        return seat

    def _leave_slot(self, request_id: RequestId, phase: Phase) -> None:
        if phase not in BUSY:
            self.slots.leave(request_id)


def _reveal_of(draft: Draft, salt: str) -> Reveal:
    prompt, completion, first_ms, total_ms = draft.usage
    usage = Usage(
        prompt_tokens=prompt, completion_tokens=completion, first_token_ms=first_ms, total_ms=total_ms
    )
    return Reveal(
        v=1,
        answer=draft.answer,
        model=draft.model,
        salt=salt,
        embeddings=dict(sorted(draft.embeddings.items())),
        usage=usage,
        engine=draft.engine,
    )
