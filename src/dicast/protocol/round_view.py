"""A round as it is shown to people."""

from __future__ import annotations

import msgspec

from dicast.base.types import NodeId, RequestId
from dicast.protocol import seat
from dicast.protocol.errand import Errand
from dicast.protocol.round import Round


class RoundView(msgspec.Struct, frozen=True):
    """A round as shown to people."""

    request_id: RequestId
    requester: NodeId
    ours: bool
    step: str
    seats: int
    commits: int
    reveals: int
    signatures: int


def view_of(round_: Round, errand: Errand | None, phase: seat.Phase | None) -> RoundView:
    """A round as facts: `errand` if it is ours, `phase` if we have a seat."""
    step = errand.phase.value if errand is not None else phase.value if phase is not None else "watching"
    return RoundView(
        request_id=round_.id,
        requester=round_.requester,
        ours=errand is not None,
        step=step,
        seats=sum(round_.seats.values()) or round_.request.seats,
        commits=len(round_.commits_of),
        reveals=len(round_.reveals_of),
        signatures=len(round_.signatures),
    )
