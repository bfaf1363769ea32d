"""All rounds this node takes part in: which packet belongs to which, and which role hears it."""

from __future__ import annotations

from collections.abc import Iterator

from dicast.base.nip44 import SealError
from dicast.base.types import NodeId, Now, RequestId
from dicast.protocol.accepting import accept
from dicast.protocol.admission import is_possible
from dicast.protocol.answers import Answers
from dicast.protocol.chain import Chain
from dicast.protocol.context import Context, Tables
from dicast.protocol.envelope import Packet
from dicast.protocol.errand import Phase
from dicast.protocol.inputs import Asked, Embedded, InferenceFinished, InferenceProgressed
from dicast.protocol.messages import (
    Admission,
    Body,
    Close,
    Commit,
    Continue,
    Panel,
    Quorum,
    Refusal,
    Request,
    Reveal,
    SealedReveal,
    Signature,
    Stream,
    Want,
    WorkState,
    WorkStatus,
)
from dicast.protocol.open_rounds import OpenRounds
from dicast.protocol.questions import Questions
from dicast.protocol.records import Table, packet_key
from dicast.protocol.remembered import Remembered
from dicast.protocol.requester import Requester
from dicast.protocol.restore import restored_counts, restored_rounds
from dicast.protocol.round import Conflict, Round
from dicast.protocol.round_key import check_sealed, key_for, opened
from dicast.protocol.round_view import RoundView, view_of
from dicast.protocol.seat import Phase as SeatPhase
from dicast.protocol.streams import Streams
from dicast.protocol.validator import Validator
from dicast.protocol.worker import Worker

LINGER_MS = 20_000
"""Kept after the verdict: a close is repeated four times meanwhile, a missing packet wanted ten times."""


class RoundTable:
    """Rounds by id, and the roles that act in them."""

    def __init__(self, context: Context, tables: Tables) -> None:
        self._context = context
        self._open = OpenRounds(context.own_id)
        self._rounds = self._open.by_id
        self.chain = Chain()
        self._answers = Answers(context)
        self._requester = Requester(context, tables)
        committed = Remembered(Table.COMMITTED, restored_counts(tables, Table.COMMITTED))
        self._questions = Questions(context)
        self._worker = Worker(context, committed, self._questions)
        signed = Remembered(Table.SIGNED, restored_counts(tables, Table.SIGNED))
        self._validator = Validator(context, signed)
        self._streams = Streams(context)

    @property
    def load(self) -> int:
        """Prompts being run."""
        return self._worker.slots.load

    def views(self) -> tuple[RoundView, ...]:
        """Rounds as facts, by id."""
        rounds = (self._rounds[request_id] for request_id in sorted(self._rounds))
        return tuple(
            view_of(one, self._requester.errand(one.id), self._worker.phase(one.id)) for one in rounds
        )

    def find(self, request_id: RequestId) -> Round | None:
        """A round that is among ours."""
        return self._rounds.get(request_id)

    def restore(self, tables: Tables, now: Now) -> None:
        """Resume what was open, forget what is over."""
        for round_, record in restored_rounds(self._context, tables, now):
            self._context.records[round_.id] = record
            certified = round_.id in tables.get(Table.CERTIFICATE, {})
            if now.monotonic_ms >= round_.expires_ms:
                self._requester.bury(round_, record, certified)
                self._erase(round_)
                continue
            self._open.add(round_)
            self.chain.follow(round_, now)
            self._requester.resume(round_, record, certified, now)
            self._worker.resume(round_, record, now)
            self._resume_question(round_, now)
            self._advance(round_, now)

    # What comes from our own side

    def ask(self, asked: Asked, now: Now) -> None:
        """A local caller asks."""
        self._context.directory.expire(now)
        self._make_room(of_others=False)
        self._requester.ask(asked, len(self._rounds), now)

    def cancel(self, ask_id: str, now: Now) -> None:
        """A local caller no longer waits."""
        request_id = self._requester.round_of(ask_id)
        if request_id is not None:
            self._requester.cancel(self._rounds[request_id], now)
            self._note(self._rounds[request_id])
            self._questions.drop(self._rounds[request_id])
            self._streams.end(request_id)

    def hear_finished(self, done: InferenceFinished, now: Now) -> None:
        """An engine answered."""
        round_ = self._rounds.get(done.request_id)
        if round_ is not None:
            self._streams.speaker.hear_finished(round_, done.text, now)
            self._worker.hear_finished(round_, done, now)

    def hear_progress(self, progress: InferenceProgressed, now: Now) -> None:
        """An engine made a piece of an answer."""
        round_ = self._rounds.get(progress.request_id)
        if round_ is not None and self._is_working(round_):
            self._streams.speaker.hear_progress(round_, progress.text, now)

    def hear_failed(self, request_id: RequestId, code: str, now: Now) -> None:
        """An engine gave up."""
        round_ = self._rounds.get(request_id)
        if round_ is not None:
            self._worker.hear_failed(round_, code, now)

    def hear_embedded(self, done: Embedded, now: Now) -> None:
        """An embedder finished one of our jobs."""
        purpose, _, request_id = done.job_id.partition(":")
        round_ = self._rounds.get(RequestId(request_id))
        if round_ is None:
            return
        if purpose == "answer":
            self._worker.hear_embedded(round_, done, now)
        else:
            self._validator.hear_embedded(round_, done, now)
            self._advance(round_, now)

    def hear_embedding_failed(self, job_id: str, now: Now) -> None:
        """An embedder gave up on one of our jobs."""
        purpose, _, request_id = job_id.partition(":")
        round_ = self._rounds.get(RequestId(request_id))
        if round_ is None:
            return
        if purpose == "answer":
            self._worker.hear_failed(round_, "embedder_missing", now)
        else:
            self._validator.hear_failed(round_, now)
            self._advance(round_, now)

    def hear_blob(self, request_id: RequestId, blob: bytes | None, now: Now) -> None:
        """An attached question came, or nobody gave it."""
        round_ = self._rounds.get(request_id)
        if round_ is None or round_.is_known or round_.withdrawn:
            return
        if blob is None or not self._questions.hear(round_, blob):
            self._questions.drop(round_)
            self._worker.hear_no_question(round_, now)
            return
        self._worker.hear_question(round_, now)
        self._begin_streaming(round_, now)
        self._advance(round_, now)

    def hear_models(self, now: Now) -> None:
        """What our engines can run changed."""
        for round_ in list(self._rounds.values()):
            self._worker.hear_models(round_, now)
            self._begin_streaming(round_, now)

    def begin_waiting(self, now: Now) -> bool:
        """Slots that became free are taken by those that wait for one; whether anybody began."""
        if not self._worker.slots.is_waited_for:
            return False
        begun = self._worker.begin_waiting(now)
        for round_ in begun:
            self._begin_streaming(round_, now)
        return bool(begun)

    def hear_beacon(self, now: Now) -> None:
        """A beacon round became public: draws that waited for it go on."""
        for round_ in list(self._rounds.values()):
            self._requester.hear_beacon(round_, now)

    def take_due(self, now: Now) -> None:
        """Deadlines of every role, and rounds that are over."""
        for request_id in self._requester.take_due(self._rounds, now):
            self._note(self._rounds[request_id])
        self._worker.take_due(now)
        self._streams.take_due(self._rounds, self._is_working, now)
        for request_id in self._validator.take_due(now):
            self._advance(self._rounds[request_id], now)
        for round_ in self._open.expired(now.monotonic_ms):
            self._worker.abandon(round_, "expired")
            self._forget(round_)

    def deadlines(self) -> Iterator[tuple[int | None, str]]:
        """When each part wants to be woken, and why."""
        yield self._requester.deadline_ms, "round"
        yield self._worker.slots.deadline_ms, "slot"
        yield self._validator.deadline_ms, "want"
        yield self._streams.deadline_ms, "stream"
        yield self._open.deadline_ms, "expiry"

    # What comes from the network

    def awaited_beacon(self, request_id: RequestId, now: Now) -> int | None:
        """The beacon round that a drawn round of ours waits for, while its value is not known here."""
        round_ = self._rounds.get(request_id)
        if round_ is None or round_.request.admission is not Admission.DRAWN:
            return None
        number = round_.request.beacon_round
        return number if self._context.beacon(number, now) is None else None

    def wants(self, packet: Packet, request: Request, now: Now) -> bool:
        """Would this node take part in the round that a request opens?"""
        return self._worker.wants(Round(packet, request, now.monotonic_ms, now.unix_ms))

    def hear(self, packet: Packet, body: Body, now: Now) -> Refusal | None:
        """A signed packet of a round of ours: the round accepts it, then the roles act."""
        if isinstance(body, Request):
            return self._hear_request(packet, body, now)
        assert packet.predecessor is not None, "only requests open rounds"
        request_id = self.chain.round_of(packet.predecessor, now)
        round_ = self._rounds.get(request_id) if request_id is not None else None
        if round_ is None:
            return Refusal.UNKNOWN_PREDECESSOR
        acceptance = accept(self._context, round_, packet, body, now)
        if isinstance(acceptance, Conflict):
            self._context.accuse(round_, acceptance, now)
            return Refusal.CONFLICT
        if acceptance is None:
            self._act(round_, packet, body, now)
            refusal = self._streams.hear(round_, packet, body, now)
            self._advance(round_, now)
            return refusal
        return acceptance

    def _hear_request(self, packet: Packet, request: Request, now: Now) -> Refusal | None:
        if packet.id in self._rounds:
            return Refusal.DUPLICATE
        errand = self._requester.errand(RequestId(packet.id))
        key = key_for(self._context.identity, packet.author, request, errand.salt if errand else "")
        try:
            request = _as_far_as_known(request, key)
        except SealError:
            return Refusal.SEALED
        if not is_possible(request):
            return Refusal.IMPOSSIBLE
        if packet.author != self._context.own_id and self._is_full_for(packet.author, request):
            return Refusal.FULL
        round_ = Round(packet, request, now.monotonic_ms, now.unix_ms, key)
        self._open.add(round_)
        self.chain.follow(round_, now)
        if errand is not None:
            self._questions.share(round_, errand.question)
            self._requester.opened(round_, now)
            self._streams.opened(round_, errand.ask_id, now)
        if self._worker.wants(round_):
            self._worker.hear_request(round_, now)
            self._begin_streaming(round_, now)
        return None

    def _resume_question(self, round_: Round, now: Now) -> None:
        """After a restart: ours is shared again; one that we committed to an answer of is fetched again."""
        errand = self._requester.errand(round_.id)
        if errand is not None:
            self._questions.share(round_, errand.question)
        elif self._context.own_id in round_.commits_of:
            self._questions.fetch(round_, now)

    def _begin_streaming(self, round_: Round, now: Now) -> None:
        if self._is_working(round_):
            self._streams.speaker.begin(round_, now)

    def _is_full_for(self, requester: NodeId, request: Request) -> bool:
        """No room for strangers at all, or none for another round of this one."""
        if request.attachment is not None and self._questions.is_full_for(requester):
            return True
        self._make_room(of_others=True)
        self._make_room(of_others=False)
        return self._open.is_full_for(requester)

    def _act(self, round_: Round, packet: Packet, body: Body, now: Now) -> None:
        match body:
            case Panel():
                self.chain.follow(round_, now)
                if not round_.is_known and self._questions.is_full_for(round_.requester):
                    self._worker.abandon(round_, "busy")
                self._worker.hear_panel(round_, now)
            case Commit():
                self._requester.hear_commit(round_, packet, now)
            case Quorum():
                self.chain.follow(round_, now)
                self._worker.hear_quorum(round_, now)
            case Reveal() | SealedReveal():
                self._requester.hear_reveal(round_, packet, now)
            case Close():
                self.chain.follow(round_, now)
                self._worker.hear_close(round_)
            case Signature():
                self._requester.hear_signature(round_, packet.author, now)
                if round_.is_signed_by_all:
                    self._context.repeats.stop(round_.id, "close")
            case WorkStatus(state=WorkState.CANCELLED):
                if packet.author == round_.requester:
                    round_.withdrawn = True
                    self._worker.hear_cancelled(round_)
                    self._questions.drop(round_)
            case WorkStatus():
                self._requester.hear_status(round_, packet.author, body, now)
            case Want():
                self._answers.give(round_, packet, body, now)
            case Stream() | Continue():
                pass  # no role reads a stream
            case _:
                raise AssertionError("only packets of a round get here")

    # Bookkeeping

    def _advance(self, round_: Round, now: Now) -> None:
        self._validator.advance(round_, now)
        judged = self._validator.judged(round_.id)
        if judged is not None:
            self._requester.hear_judged(round_, judged, now)
        elif self._validator.is_spoiled(round_.id):
            self._requester.hear_spoiled(round_)
        self._settle(round_, now)

    def _settle(self, round_: Round, now: Now) -> None:
        """A round that is over for us is kept a while for whoever still wants its packets."""
        if self._is_over(round_):
            self._questions.settle(round_)
            alone = set(round_.seats) == {self._context.own_id}
            round_.expires_ms = min(round_.expires_ms, now.monotonic_ms + (0 if alone else LINGER_MS))
        self._note(round_)

    def _note(self, round_: Round) -> None:
        self._open.note(round_, self._is_over(round_))

    def _is_working(self, round_: Round) -> bool:
        return self._worker.phase(round_.id) is SeatPhase.RUNNING

    def _is_over(self, round_: Round) -> bool:
        errand = self._requester.errand(round_.id)
        if errand is not None:
            return errand.phase is Phase.OVER
        return round_.withdrawn or self._validator.judged(round_.id) is not None

    def _make_room(self, *, of_others: bool) -> None:
        """For one more of all rounds, or of those of others: what only lingers goes first, oldest first."""
        for request_id in self._open.to_leave(of_others=of_others):
            self._forget(self._rounds[request_id])

    def _forget(self, round_: Round) -> None:
        self._open.remove(round_)
        self._requester.forget(round_.id)
        self._worker.forget(round_.id)
        self._validator.forget(round_.id)
        self._context.repeats.forget(round_.id)
        self._streams.end(round_.id)
        self._erase(round_)

    def _erase(self, round_: Round) -> None:
        self._questions.erase(round_)
        if self._context.records.pop(round_.id, None) is not None:
            self._context.effects.delete(Table.ROUND, round_.id)
        for event_id in round_.stored:
            self._context.effects.delete(Table.PACKET, packet_key(round_.id, event_id))
        round_.stored.clear()


def _as_far_as_known(request: Request, key: bytes | None) -> Request:
    """The request opened, or, of a drawn round whose panel brings the key, as it is. Raises `SealError`."""
    if not request.sealed or key is not None or request.admission is not Admission.DRAWN:
        return opened(request, key)
    check_sealed(request)
    return request
