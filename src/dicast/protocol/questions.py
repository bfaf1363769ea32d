"""Attached questions of all rounds: ours are shared, those of rounds with our seat fetched."""

from __future__ import annotations

import msgspec

from dicast.base.errors import RemoteProtocolError
from dicast.base.limits import (
    ATTACHED_FETCH_MS_MAX,
    ATTACHED_ROUNDS_MAX,
    ATTACHED_ROUNDS_PER_REQUESTER_MAX,
)
from dicast.base.types import NodeId, Now, RequestId
from dicast.protocol.attached import attached_key, blob_of, told_by
from dicast.protocol.context import Context
from dicast.protocol.inputs import Question
from dicast.protocol.outputs import DropBlob, FetchBlob, ShareBlob
from dicast.protocol.records import Table
from dicast.protocol.round import Round

FETCHING_PART, FETCHING_OF = 3, 4
"""Of the time left: after it nobody could answer any more, and the requester is to hear why."""


class Questions:
    """Which blobs the driver was asked to keep, or to get, and for whom."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._held: dict[RequestId, str] = {}
        self._theirs: dict[RequestId, NodeId] = {}

    def share(self, round_: Round, question: Question) -> None:
        """A round of ours: its question is known to us, durable, and there to be fetched."""
        attachment = round_.attachment
        if attachment is None:
            return
        blob = blob_of(question.messages, self._key(round_))
        if not round_.is_known:
            told = msgspec.structs.replace(round_.request, messages=question.messages, attachment=None)
            round_.learn(told)
            self._context.effects.put(Table.ATTACHED, round_.id, blob)
        self._hold(round_, ShareBlob(round_.id, attachment, blob))

    def fetch(self, round_: Round, now: Now) -> None:
        """We have a seat in a round whose question we lack."""
        attachment = round_.attachment
        if attachment is None or round_.is_known or round_.id in self._held:
            return
        until_ms = round_.sealing_ms if round_.quorum is None else round_.expires_ms
        left_ms = (until_ms - now.monotonic_ms) * FETCHING_PART // FETCHING_OF
        self._theirs[round_.id] = round_.requester
        self._hold(
            round_,
            FetchBlob(
                request_id=round_.id,
                attachment=attachment,
                requester=round_.requester,
                deadline_ms=max(1, min(left_ms, ATTACHED_FETCH_MS_MAX)),
            ),
        )

    def hear(self, round_: Round, blob: bytes) -> bool:
        """The bytes are here: is it the question that was named, and can it be answered?"""
        try:
            round_.learn(told_by(round_.request, blob, self._key(round_)))
        except RemoteProtocolError:
            self.drop(round_)
            return False
        return True

    def is_full_for(self, requester: NodeId) -> bool:
        """No room for another attached question of others, or for none of this requester."""
        theirs = sum(one == requester for one in self._theirs.values())
        return len(self._theirs) >= ATTACHED_ROUNDS_MAX or theirs >= ATTACHED_ROUNDS_PER_REQUESTER_MAX

    def settle(self, round_: Round) -> None:
        """The round is over for us: it takes no other's place any more."""
        self._theirs.pop(round_.id, None)

    def drop(self, round_: Round) -> None:
        """The round is over for us, or was withdrawn."""
        self._theirs.pop(round_.id, None)
        held = self._held.pop(round_.id, None)
        if held is not None:
            self._context.effects.run(DropBlob(round_.id, held))

    def erase(self, round_: Round) -> None:
        """The round leaves the store, also one that we only find there when we start."""
        if round_.attachment is None:
            return
        self._held.setdefault(round_.id, round_.attachment.sha256)
        self.drop(round_)
        if round_.requester == self._context.own_id:
            self._context.effects.delete(Table.ATTACHED, round_.id)

    def _hold(self, round_: Round, run: ShareBlob | FetchBlob) -> None:
        self._held[round_.id] = run.attachment.sha256
        self._context.effects.run(run)

    def _key(self, round_: Round) -> bytes | None:
        return attached_key(round_.key, self._context.settings.secret)
