"""Which step of a round a packet may take: its predecessor, its author and its moment must fit."""

from __future__ import annotations

from dicast.base.nip44 import SealError
from dicast.base.types import NodeId, Now
from dicast.protocol.admission import is_drawn, is_possible
from dicast.protocol.context import Context
from dicast.protocol.envelope import Packet
from dicast.protocol.messages import (
    Admission,
    Body,
    Close,
    Commit,
    Continue,
    Panel,
    Quorum,
    Refusal,
    Reveal,
    SealedReveal,
    Signature,
    Stream,
    Want,
    WorkStatus,
)
from dicast.protocol.round import Acceptance, Round
from dicast.protocol.round_key import member_key, opened


def accept(context: Context, round_: Round, packet: Packet, body: Body, now: Now) -> Acceptance:
    """Let the round hear a signed packet that names one of its steps."""
    quorum_id = round_.quorum.id if round_.quorum is not None else None
    close_id = round_.close.id if round_.close is not None else None
    match body:
        case Panel() if packet.predecessor == round_.id:
            return _accept_panel(context, round_, packet, body, now)
        case Commit() if packet.predecessor == round_.start_id:
            return round_.hear_commit(packet, body, lambda author: _may_join(context, author))
        case Quorum() if packet.predecessor == round_.start_id:
            return round_.hear_quorum(packet, body)
        case Reveal() | SealedReveal() if packet.predecessor == quorum_id:
            return round_.hear_reveal(packet, body)
        case Close() if packet.predecessor == quorum_id:
            return round_.hear_close(packet, body)
        case Signature() if packet.predecessor == close_id:
            return round_.hear_signature(packet, body)
        case WorkStatus() | Want() | Stream() | Continue():
            return None
        case _:
            return Refusal.UNKNOWN_PREDECESSOR


def _accept_panel(context: Context, round_: Round, packet: Packet, body: Panel, now: Now) -> Acceptance:
    """A panel must follow from the request and from the beacon as we saw it ourselves."""
    if round_.request.admission is not Admission.DRAWN:
        return Refusal.BODY
    value = context.beacon(round_.request.beacon_round, now)
    if value is None:
        return Refusal.UNKNOWN_PREDECESSOR
    if value != body.beacon:  # whose beacon is wrong, theirs or ours, nobody can tell here
        return Refusal.IMPOSSIBLE
    if not is_drawn(round_.id, round_.request, body):
        return Refusal.BODY
    if not round_.request.sealed or context.own_id not in body.members or packet.author != round_.requester:
        return round_.hear_panel(packet, body)
    return _unsealed(context, round_, packet, body)


def _unsealed(context: Context, round_: Round, packet: Packet, body: Panel) -> Acceptance:
    """We were drawn into an encrypted round: the panel opens its question."""
    key = member_key(context.identity.key, round_.requester, round_.request, body)
    try:
        request = opened(round_.request, key)
    except SealError:
        return Refusal.SEALED
    if key is None or not is_possible(request):
        return Refusal.IMPOSSIBLE
    acceptance = round_.hear_panel(packet, body)
    if acceptance is None:
        round_.unseal(request, key)
    return acceptance


def _may_join(context: Context, node_id: NodeId) -> bool:
    return node_id == context.own_id or context.directory.is_known(node_id)
