"""Rounds as an observer sees them: every packet of each, and the case that its quorum and close make."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from dicast.base.types import EventId, NodeId
from dicast.consensus.judge import Case, CaseCommit, CaseRequest, CaseReveal
from dicast.consensus.text import embedding_text
from dicast.consensus.wordpiece import is_too_long
from dicast.protocol.messages import (
    Admission,
    Close,
    Commit,
    Kind,
    Panel,
    Quorum,
    Request,
    Reveal,
    prompt_text,
)
from dicast.simulator.embedder import EMBEDDER, embed
from dicast.simulator.ledger import Ledger, Sent


class Sealed(msgspec.Struct, frozen=True):
    """One request with one quorum and one close: what a verdict is about."""

    request: Sent
    quorum: Sent
    close: Sent
    panel: dict[NodeId, int] | None
    commits: tuple[Sent, ...]
    reveals: tuple[Sent, ...]

    @property
    def case(self) -> Case:
        """What the judge reads, with bits that this observer computed."""
        request, close = self.request.body, self.close.body
        assert isinstance(request, Request), "built from a request"
        assert isinstance(close, Close), "built from a close"
        reveals = sorted(map(_case_reveal, self.reveals), key=lambda reveal: reveal.pubkey)
        return Case(
            v=1,
            request=CaseRequest(
                id=self.request.packet.id,
                frame=request.frame.judged(),
                prompt=prompt_text(request.messages),
                models=request.models,
                schema=request.schema,
            ),
            selection_salt=close.selection_salt,
            commits=tuple(sorted(map(_case_commit, self.commits), key=lambda commit: commit.pubkey)),
            reveals=tuple(reveals),
            panel=None if self.panel is None else {str(key): seats for key, seats in self.panel.items()},
            recomputed={reveal.pubkey: bits for reveal in reveals if (bits := _bits(reveal.answer, request))},
        )


def sealed_rounds(ledger: Ledger) -> Iterator[Sealed]:
    """Every (request, quorum, close) of which all packets were made and that contradicts nothing."""
    for close in ledger.of_kind(Kind.CLOSE):
        sealed = _sealed(ledger, close)
        if sealed is not None:
            yield sealed


def request_of(ledger: Ledger, start: EventId | None) -> Sent | None:
    """The request behind a predecessor id: itself, or the one its panel follows."""
    sent = ledger.by_id.get(start) if start is not None else None
    if sent is not None and isinstance(sent.body, Panel):
        sent = ledger.by_id.get(sent.packet.predecessor or EventId(""))
    return sent if sent is not None and isinstance(sent.body, Request) else None


def _sealed(ledger: Ledger, close: Sent) -> Sealed | None:
    quorum = ledger.by_id.get(close.packet.predecessor or EventId(""))
    if quorum is None or not isinstance(quorum.body, Quorum) or not isinstance(close.body, Close):
        return None
    request = request_of(ledger, quorum.packet.predecessor)
    if request is None or not isinstance(request.body, Request):
        return None
    commits = [ledger.by_id.get(EventId(commit)) for commit in quorum.body.commits]
    reveals = [ledger.by_id.get(EventId(reveal)) for reveal in close.body.reveals]
    known_commits = [one for one in commits if one is not None and isinstance(one.body, Commit)]
    known_reveals = [one for one in reveals if one is not None and isinstance(one.body, Reveal)]
    if len(known_commits) < len(commits) or len(known_reveals) < len(reveals):
        return None
    panel = _panel(ledger, request, quorum)
    told = ledger.spyglass.told(request.packet.id, request.body, ledger.secret)
    if told is None:
        return None
    request = msgspec.structs.replace(request, body=told)
    sealed = Sealed(request, quorum, close, panel, tuple(known_commits), tuple(known_reveals))
    return sealed if _is_consistent(sealed) else None


def _panel(ledger: Ledger, request: Sent, quorum: Sent) -> dict[NodeId, int] | None:
    body = request.body
    assert isinstance(body, Request), "the caller checked"
    if body.admission is Admission.OPEN:
        return None
    if body.admission is Admission.LISTED:
        return {NodeId(member): 1 for member in sorted(body.members)}
    start = ledger.by_id.get(quorum.packet.predecessor or EventId(""))
    if start is None or not isinstance(start.body, Panel):
        return {}
    return {NodeId(member): seats for member, seats in sorted(start.body.members.items())}


def _is_consistent(sealed: Sealed) -> bool:
    committed = [commit.packet.author for commit in sealed.commits]
    revealed = [reveal.packet.author for reveal in sealed.reveals]
    once = len(set(committed)) == len(committed) and len(set(revealed)) == len(revealed)
    inside = set(revealed) <= set(committed) and (sealed.panel is None or set(committed) <= set(sealed.panel))
    return once and inside and bool(committed)


def _case_commit(sent: Sent) -> CaseCommit:
    assert isinstance(sent.body, Commit), "the caller checked"
    return CaseCommit(sent.packet.author, sent.body.digest)


def _case_reveal(sent: Sent) -> CaseReveal:
    body = sent.body
    assert isinstance(body, Reveal), "the caller checked"
    return CaseReveal(sent.packet.author, body.answer, body.model, body.salt, dict(body.embeddings))


def _bits(answer: str, request: Request) -> dict[str, str]:
    text = embedding_text(answer, request.frame.fuzzy)
    if not text or is_too_long(text):
        return {}
    return {EMBEDDER: embed(text).hex()}
