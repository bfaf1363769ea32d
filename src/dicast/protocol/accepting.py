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
    Continue,
    Panel,
    Refusal,
    Stream,
    Want,
    WorkStatus,
)
from dicast.protocol.round import Acceptance, Round
from dicast.protocol.round_key import member_key, opened


def accept(context: Context, round_: Round, packet: Packet, body: Body, now: Now) -> Acceptance:
    """Let the round hear a signed packet that names one of its steps."""
    if isinstance(body, WorkStatus | Want | Stream | Continue):
        return None
    if not round_.follows(packet, body):
        return Refusal.UNKNOWN_PREDECESSOR
    if isinstance(body, Panel):
        return _accept_panel(context, round_, packet, body, now)
    return round_.hear(packet, body, lambda author: _may_join(context, author))


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
