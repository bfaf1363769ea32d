"""From the packets of a closed round to the case that the judge reads."""

from __future__ import annotations

from dicast.base.errors import RemoteProtocolError
from dicast.base.types import EventId, NodeId
from dicast.consensus.judge import Case, CaseCommit, CaseRequest, CaseReveal
from dicast.consensus.text import embedding_text
from dicast.consensus.wordpiece import is_too_long
from dicast.protocol.messages import Admission, Refusal, prompt_text
from dicast.protocol.round import Round

Bits = dict[str, dict[str, str]]
"""Recomputed bits: key -> embedder -> hex."""


def case_of(round_: Round, recomputed: Bits) -> Case:
    """The case of a closed round whose packets are all here.

    Raises `RemoteProtocolError` when the sealer's lists contradict themselves: then nobody signs.
    """
    close = round_.close_body
    assert close is not None, "the round is closed"
    assert not round_.missing(), "the round is complete"
    commits = _by_author(round_, round_.sealed, of_reveals=False)
    reveals = _by_author(round_, tuple(EventId(reveal) for reveal in close.reveals), of_reveals=True)
    request = round_.request
    if any(author not in commits for author in reveals):
        raise RemoteProtocolError(Refusal.BODY, "A reveal of the close has no commit in the quorum.")
    is_open = request.admission is Admission.OPEN
    if is_open and len(commits) > request.seats:
        raise RemoteProtocolError(Refusal.BODY, "The quorum holds more commits than the round has seats.")
    if not is_open and any(author not in round_.seats for author in commits):
        raise RemoteProtocolError(Refusal.BODY, "A commit of the quorum is by a stranger.")
    return Case(
        v=1,
        request=CaseRequest(
            id=round_.id,
            frame=request.frame.judged(),
            prompt=prompt_text(request.messages),
            models=request.models,
            schema=request.schema,
        ),
        selection_salt=close.selection_salt,
        commits=tuple(
            CaseCommit(author, round_.commits[commit][1].digest) for author, commit in sorted(commits.items())
        ),
        reveals=tuple(_reveal(round_, author, reveal) for author, reveal in sorted(reveals.items())),
        panel=None if is_open else dict(sorted(round_.seats.items())),
        recomputed=recomputed,
    )


def texts_to_embed(round_: Round) -> dict[NodeId, str]:
    """What the embedder reads of each reveal that the close names; malformed answers are not read at all."""
    close = round_.close_body
    assert close is not None, "the round is closed"
    texts: dict[NodeId, str] = {}
    for reveal_id in close.reveals:
        packet, body = round_.reveals[EventId(reveal_id)]
        text = embedding_text(body.answer, round_.request.frame.fuzzy)
        if text and not is_too_long(text):
            texts[packet.author] = text
    return texts


def unlike(embeddings: dict[str, str]) -> dict[str, str]:
    """Bits that differ from these in every place: what stands for bits that are only known to be others."""
    return {
        name: bytes(255 - byte for byte in bytes.fromhex(bits)).hex() for name, bits in embeddings.items()
    }


def _by_author(round_: Round, ids: tuple[EventId, ...], of_reveals: bool) -> dict[NodeId, EventId]:
    kept = round_.reveals if of_reveals else round_.commits
    found: dict[NodeId, EventId] = {}
    for event_id in ids:
        author = kept[event_id][0].author
        if author in found:
            raise RemoteProtocolError(Refusal.BODY, "The sealer lists one key twice.")
        found[author] = event_id
    return found


def _reveal(round_: Round, author: NodeId, reveal_id: EventId) -> CaseReveal:
    body = round_.reveals[reveal_id][1]
    return CaseReveal(
        pubkey=author,
        answer=body.answer,
        model=body.model,
        salt=body.salt,
        embeddings=dict(body.embeddings),
    )
