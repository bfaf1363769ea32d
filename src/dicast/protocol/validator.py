"""The validator: gathers what the close names, recomputes the bits, judges, and signs once a round."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from dicast.base.agenda import Agenda
from dicast.base.errors import RemoteProtocolError
from dicast.base.limits import WANT_PERIOD_MS
from dicast.base.types import Now, RequestId
from dicast.consensus.judge import Verdict, judge
from dicast.protocol.casework import Bits, case_of, texts_to_embed
from dicast.protocol.certificate import verdict_signature
from dicast.protocol.context import Context
from dicast.protocol.inputs import Embedded
from dicast.protocol.messages import Role, Signature, Want
from dicast.protocol.outputs import StartEmbedding, WorkProgress
from dicast.protocol.remembered import Remembered
from dicast.protocol.round import Round

WANTED_AT_ONCE = 64
"""Ids in one `want`; the rest are asked for next time."""
SIGNATURE_REPEATS_MS = 8_000
"""A signature has no answer that ends its repetition: it is repeated 1, 3 and 7 seconds later."""


class Stage(StrEnum):
    """Where a deliberation stands."""

    GATHERING = "gathering"
    EMBEDDING = "embedding"
    JUDGED = "judged"
    SPOILED = "spoiled"


class Judged(msgspec.Struct, frozen=True):
    """A verdict, and whether this node recomputed every embedding itself."""

    verdict: Verdict
    checked: bool
    bits: Bits


class _Deliberation:
    __slots__ = ("asked", "awaited", "bits", "judged", "stage", "texts", "want_ms")

    def __init__(self) -> None:
        self.stage = Stage.GATHERING
        self.want_ms = 0
        self.asked = 0
        self.awaited: list[str] = []
        self.texts: tuple[str, ...] = ()
        self.bits: Bits = {}
        self.judged: Judged | None = None


class Validator:
    """Deliberations of the rounds this node takes part in, from CLOSE to signature."""

    def __init__(self, context: Context, signed: Remembered) -> None:
        self._context = context
        self._signed = signed
        self._open: dict[RequestId, _Deliberation] = {}
        self._wants: Agenda[RequestId] = Agenda()

    def judged(self, request_id: RequestId) -> Judged | None:
        """The verdict of a round, once there is one."""
        deliberation = self._open.get(request_id)
        return deliberation.judged if deliberation is not None else None

    def is_spoiled(self, request_id: RequestId) -> bool:
        """Did the sealer's lists contradict themselves?"""
        deliberation = self._open.get(request_id)
        return deliberation is not None and deliberation.stage is Stage.SPOILED

    def advance(self, round_: Round, now: Now) -> None:
        """Look at a round again: it closed, or something that it lacked has come; without a seat, never."""
        own_id = self._context.own_id
        if (
            round_.close is None
            or not round_.is_known
            or not (own_id == round_.requester or round_.seats_of(own_id))
        ):
            return
        deliberation = self._open.setdefault(round_.id, _Deliberation())
        if deliberation.stage is not Stage.GATHERING:
            return
        if round_.missing():
            self._want(round_, deliberation, now)
        else:
            self._begin(round_, deliberation, now)

    def hear_embedded(self, round_: Round, done: Embedded, now: Now) -> None:
        """One embedder read every answer; with the last of them the round is judged."""
        deliberation = self._open.get(round_.id)
        if deliberation is None or done.embedder not in deliberation.awaited:
            return
        deliberation.awaited.remove(done.embedder)
        by_text = dict(zip(deliberation.texts, done.bits, strict=True))
        for author, text in texts_to_embed(round_).items():
            deliberation.bits.setdefault(author, {})[done.embedder] = by_text[text]
        if not deliberation.awaited:
            self._judge(round_, deliberation, True, now)

    def hear_failed(self, round_: Round, now: Now) -> None:
        """An embedder gave up: judge by what was revealed, and sign nothing."""
        deliberation = self._open.get(round_.id)
        if deliberation is not None and deliberation.stage is Stage.EMBEDDING:
            deliberation.awaited, deliberation.bits = [], {}
            self._judge(round_, deliberation, False, now)

    def forget(self, request_id: RequestId) -> None:
        """The round expired."""
        self._open.pop(request_id, None)
        self._wants.drop(request_id)

    @property
    def deadline_ms(self) -> int | None:
        """When the next missing packet is asked for again."""
        return self._wants.deadline_ms

    def take_due(self, now: Now) -> list[RequestId]:
        """Rounds whose missing packets are to be asked for again."""
        return self._wants.due(now.monotonic_ms)

    def _want(self, round_: Round, deliberation: _Deliberation, now: Now) -> None:
        if now.monotonic_ms < deliberation.want_ms:
            return
        deliberation.want_ms = now.monotonic_ms + WANT_PERIOD_MS
        self._wants.put(round_.id, deliberation.want_ms)
        deliberation.asked += 1
        # The requester holds everything; whoever holds it may answer when the requester does not.
        addressees = (round_.requester,) if deliberation.asked % 3 else ()
        wanted = round_.missing()[:WANTED_AT_ONCE]
        assert round_.close is not None, "only a closed round lacks something"
        self._context.effects.speak(Want(v=1, ids=tuple(wanted)), now, round_.close.id, addressees)

    def _begin(self, round_: Round, deliberation: _Deliberation, now: Now) -> None:
        deliberation.stage = Stage.EMBEDDING
        self._wants.drop(round_.id)
        embedders = sorted(round_.request.frame.sec_distance_bits)
        texts = tuple(dict.fromkeys(texts_to_embed(round_).values()))
        if not embedders or not texts:
            return self._judge(round_, deliberation, True, now)
        if not set(embedders) <= set(self._context.settings.embedders):
            return self._judge(round_, deliberation, False, now)
        deliberation.texts, deliberation.awaited = texts, embedders
        for embedder in embedders:
            self._context.effects.run(StartEmbedding(f"judge:{round_.id}", embedder, texts))
        return None

    def _judge(self, round_: Round, deliberation: _Deliberation, checked: bool, now: Now) -> None:
        try:
            verdict = judge(case_of(round_, deliberation.bits))
        except RemoteProtocolError:
            deliberation.stage = Stage.SPOILED
            self._context.effects.report(WorkProgress(round_.id, "spoiled"))
            return
        deliberation.stage = Stage.JUDGED
        deliberation.judged = Judged(verdict, checked, dict(deliberation.bits))
        if checked and self._may_sign(round_):
            self._sign(round_, verdict, now)

    def _may_sign(self, round_: Round) -> bool:
        context = self._context
        unsigned = round_.id not in self._signed and not self._signed.is_full
        able = Role.VALIDATOR in context.settings.roles and unsigned
        return able and (context.own_id in round_.seats or context.own_id in round_.commits_of)

    def _sign(self, round_: Round, verdict: Verdict, now: Now) -> None:
        _, close = round_.ends()
        context = self._context
        digest = verdict_signature(round_, context.topic, verdict)
        self._signed.add(round_.id, now, context.effects)
        packet = context.effects.speak(Signature(v=1, digest=digest), now, close.id)
        context.keep_packet(round_, close.wire, close.id)
        context.keep_packet(round_, packet.wire, packet.id)
        until_ms = now.monotonic_ms + SIGNATURE_REPEATS_MS
        context.repeats.begin(round_.id, "signature", packet.wire, now.monotonic_ms, until_ms)
        context.effects.report(WorkProgress(round_.id, "signed"))
