"""For those who cannot embed: which verdict the members signed, when somebody revealed false bits."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, islice

from dicast.base.errors import RemoteProtocolError
from dicast.base.types import EventId, NodeId
from dicast.consensus.judge import Case, judge
from dicast.consensus.reasons import Status
from dicast.protocol.casework import Bits, case_of, unlike
from dicast.protocol.certificate import verdict_signature
from dicast.protocol.round import Round
from dicast.protocol.validator import Judged

TRIES_MAX = 64
"""Every single member of a round of ten, and every pair: each try is one verdict of a few milliseconds."""


def as_signed(round_: Round, topic: str, judged: Judged) -> Judged:
    """The verdict that enough seats signed alike; `judged` itself where we checked, or none can be found.

    A verdict depends on which reveals carry false bits, not on what the true ones are: so it is enough to
    find the members whose bits the signers found false. The bits given back are marks: an empty text each.
    Who failed for another reason is not marked, as the verdict does not tell whether its bits are true.
    """
    digest = None if judged.checked else _signed_by(round_, judged.verdict.need)
    if digest is None:
        return judged
    for liars in islice(_suspects(round_, digest), TRIES_MAX):
        bits: Bits = {author: unlike(_embeddings(round_, author)) for author in liars}
        verdict = judge(_case(round_, bits))
        if verdict_signature(round_, topic, verdict) == digest:
            false = [one for one in sorted(liars) if verdict.statuses[one] is Status.EMBEDDING_MISMATCH]
            marks: Bits = {author: dict.fromkeys(bits[author], "") for author in false}
            return Judged(verdict, False, marks)
    return judged


def _signed_by(round_: Round, needed: int) -> str | None:
    seats: dict[str, int] = {}
    for author, (_, body) in sorted(round_.signatures.items()):
        seats[body.digest] = seats.get(body.digest, 0) + round_.seats_of(author)
    return next((digest for digest, count in seats.items() if count >= needed), None)


def _suspects(round_: Round, digest: str) -> Iterator[tuple[NodeId, ...]]:
    """Everybody who did not sign it, then members one by one, then in pairs."""
    authors = sorted(_reveals(round_))
    silent = tuple(one for one in authors if one not in round_.signatures)
    others = tuple(one for one in authors if one in silent or round_.signatures[one][1].digest != digest)
    yield from {silent: None, others: None}
    for count in (1, 2):
        yield from combinations(authors, count)


def _case(round_: Round, bits: Bits) -> Case:
    try:
        return case_of(round_, bits)
    except RemoteProtocolError as error:
        raise AssertionError("this round was judged before") from error


def _reveals(round_: Round) -> dict[NodeId, EventId]:
    assert round_.close_body is not None, "signatures follow the close"
    ids = (EventId(one) for one in round_.close_body.reveals)
    return {round_.reveals[event_id][0].author: event_id for event_id in ids}


def _embeddings(round_: Round, author: NodeId) -> dict[str, str]:
    return round_.reveals[_reveals(round_)[author]][1].embeddings
