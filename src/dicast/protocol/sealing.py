"""What counts in a round: which commits a quorum seals, which reveals a close names, who may still sign."""

from __future__ import annotations

from dicast.base.types import EventId, NodeId
from dicast.consensus.panel import open_seats
from dicast.protocol.messages import Admission
from dicast.protocol.round import Round


def countable_commits(round_: Round) -> dict[NodeId, EventId]:
    """Keys with exactly one commit; in an open round only those with the lowest tickets."""
    single = {author: ids[0] for author, ids in round_.commits_of.items() if len(ids) == 1}
    if round_.request.admission is not Admission.OPEN:
        return single
    seats = open_seats(round_.id, single, round_.request.seats)
    return {author: single[author] for author in seats}


def countable_reveals(round_: Round) -> list[EventId]:
    """Reveals of keys inside the quorum, ascending; two different reveals of one commit count as none."""
    authors = {round_.commits[commit][0].author for commit in round_.sealed}
    single = (ids[0] for author, ids in round_.reveals_of.items() if len(ids) == 1 and author in authors)
    return sorted(single)


def signing_seats(round_: Round) -> int:
    """Seats of everybody whose reveal the close names: who is expected to sign; at least one."""
    assert round_.close_body is not None, "signatures follow the close"
    authors = (round_.reveals[EventId(reveal)][0].author for reveal in round_.close_body.reveals)
    return max(1, sum(round_.seats_of(author) for author in authors))
