"""From a question to the request that opens its round."""

from __future__ import annotations

import msgspec

from dicast.base.codec import CodecError, decode_as, encode
from dicast.base.errors import Rejection, RemoteProtocolError
from dicast.base.limits import PACKET_BYTES_MAX, PROMPT_BYTES_MAX
from dicast.base.types import NodeId, Now
from dicast.consensus.panel import candidates_root
from dicast.consensus.reasons import Reason, Status
from dicast.consensus.selection import selection_salt_hash
from dicast.consensus.verdict import Verdict
from dicast.protocol.admission import (
    by_trust,
    candidate_units,
    candidates_of,
    choose_members,
    make_panel,
    too_few_nodes,
)
from dicast.protocol.attached import SERVING, attached_key, attachment_of, blob_of, messages_in
from dicast.protocol.context import Context
from dicast.protocol.inputs import Question
from dicast.protocol.messages import Admission, Panel, Request, prompt_text
from dicast.protocol.round import Round
from dicast.protocol.round_key import seal_request, with_wraps


class Again(msgspec.Struct, frozen=True):
    """Which attempt it is, the request of the one before, and who was silent in it."""

    attempt: int
    previous: str
    left_out: frozenset[NodeId]


FIRST = Again(1, "", frozenset())


def members_in_default(verdict: Verdict) -> frozenset[NodeId]:
    """Who owed a step and did not take it. For a quorum that is too small nobody owes a reveal."""
    owed = {Status.SILENT, Status.UNREVEALED}
    if verdict.reason is Reason.QUORUM_NOT_REACHED:
        owed.discard(Status.UNREVEALED)
    return frozenset(NodeId(author) for author, status in verdict.statuses.items() if status in owed)


def make_request(
    context: Context, question: Question, sequence: int, salt: str, again: Again
) -> tuple[Request, dict[NodeId, int]]:
    """The request, and the candidates of its draw (none unless it is drawn); raises `Rejection`."""
    members: tuple[NodeId, ...] = ()
    candidates: dict[NodeId, int] = {}
    beacon_round = 0
    match Admission(question.admission):
        case Admission.LISTED:
            members = choose_members(context, question, sequence, again.left_out)
        case Admission.OPEN:
            known = len(candidates_of(context, question))
            if known < question.frame.quorum:
                raise too_few_nodes(question, known)
        case Admission.DRAWN:
            beacon_round = _beacon_round(context, question)
            candidates = candidate_units(context, question)
    request = Request(
        v=1,
        messages=question.messages,
        frame=question.frame,
        admission=Admission(question.admission),
        seats=question.seats,
        max_tokens=question.max_tokens,
        temperature_milli=question.temperature_milli,
        selection_salt_hash=selection_salt_hash(salt),
        sequence=sequence,
        attempt=again.attempt,
        models=question.models,
        members=members,
        schema=question.schema,
        candidates_root=candidates_root(candidates) if candidates else "",
        beacon_round=beacon_round,
        previous=again.previous,
        streamer=next(iter(by_trust(context, members)), "") if question.stream else "",
    )
    return _as_sent(context, question, request, salt), candidates


def _as_sent(context: Context, question: Question, request: Request, salt: str) -> Request:
    """The request sealed, and with its messages beside it, where they have to be; raises `Rejection`."""
    if len(prompt_text(question.messages).encode("utf-8", "replace")) <= PROMPT_BYTES_MAX:
        try:
            return _checked(context, question, request, salt)
        except Rejection as refusal:
            if refusal.code != "prompt_too_large":
                raise
    round_key = context.identity.round_key(salt) if question.encrypted else None
    key = attached_key(round_key, context.settings.secret)
    try:
        blob = blob_of(question.messages, key)
        messages_in(blob, key)  # as a member will
    except RemoteProtocolError as error:
        raise Rejection("question_invalid", f"The question cannot be sent: {error.message}") from error
    nodes = context.addresses.get(SERVING, ())
    beside = msgspec.structs.replace(request, messages=(), attachment=attachment_of(blob, nodes))
    return _checked(context, question, beside, salt)


def drawn_panel(context: Context, round_: Round, candidates: dict[NodeId, int], beacon: str) -> Panel:
    """Who has a seat in a drawn round of ours; in an encrypted one with its key for each of them."""
    panel = make_panel(round_.id, candidates, round_.request.seats, beacon)
    return with_wraps(context.identity.key, panel, round_.key)


def can_open(context: Context, question: Question, sequence: int, again: Again) -> bool:
    """Could another attempt be asked now? Said with the verdict, so that nobody waits for it in vain."""
    try:
        make_request(context, question, sequence, "00" * 32, again)
    except Rejection:
        return False
    return True


def _checked(context: Context, question: Question, request: Request, salt: str) -> Request:
    """The request, sealed if it is to be; what a peer would refuse, our own caller is told now."""
    if question.encrypted:
        request = seal_request(context.identity.key, context.identity.round_key(salt), request)
    try:
        decode_as(encode(request), Request)
        size = context.packet_bytes(request, Now(0, 0))
    except CodecError as error:
        raise Rejection("question_invalid", f"The question cannot be sent: {error.message}") from error
    if size > PACKET_BYTES_MAX:
        raise Rejection(
            "prompt_too_large",
            f"As it is sent the request has {size} bytes, at most {PACKET_BYTES_MAX} travel.",
            "Ask fewer members, or shorten the schema.",
        )
    return request


def _beacon_round(context: Context, question: Question) -> int:
    latest = context.latest_beacon
    number = question.beacon_round or (latest or 0) + 1
    if latest is None or number <= latest:
        raise Rejection(
            "no_beacon",
            "A drawn round needs a beacon round that is not public yet.",
            "Configure a beacon, or ask with admission listed.",
        )
    return number
