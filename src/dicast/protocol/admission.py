"""Who may answer: what a requester may ask, whom it names, and what a draw must follow from."""

from __future__ import annotations

from dicast.base.errors import Rejection
from dicast.base.hashing import tagged, u32
from dicast.base.limits import ATTACHED_PROMPT_BYTES_MAX, MEMBERS_MAX, PROMPT_BYTES_MAX, UNITS_MAX
from dicast.base.types import NodeId, RequestId
from dicast.consensus.constants import UNPROVEN_SHARE
from dicast.consensus.frame import check_frame, largest_frame
from dicast.consensus.panel import candidates_root, draw, randomness
from dicast.consensus.schema import parse_schema
from dicast.protocol.context import Context
from dicast.protocol.directory import Peer
from dicast.protocol.inputs import Question
from dicast.protocol.messages import (
    PANEL_CANDIDATES_MAX,
    SEALED_CANDIDATES_MAX,
    Admission,
    Announcement,
    Panel,
    Request,
    Role,
    prompt_text,
)
from dicast.protocol.round import bits_of


def check_question(question: Question) -> None:
    """Refuse at once what can never be answered; raises `Rejection` with code, reason and next step."""
    size = len(prompt_text(question.messages).encode("utf-8", "replace"))
    if not question.messages or not prompt_text(question.messages).strip():
        raise Rejection("prompt_empty", "There is no question.", "Give a prompt.")
    if size > ATTACHED_PROMPT_BYTES_MAX:
        raise Rejection(
            "prompt_too_large",
            f"The prompt has {size} bytes; at most {ATTACHED_PROMPT_BYTES_MAX} travel.",
            "Shorten it, or ask about its parts one by one.",
        )
    if not 1 <= question.seats <= MEMBERS_MAX:
        raise Rejection(
            "too_many_seats",
            f"seats {question.seats} is outside 1…{MEMBERS_MAX}.",
            f"Ask for at most {MEMBERS_MAX}.",
        )
    for embedder in question.frame.sec_distance_bits:
        if not bits_of(embedder):
            raise Rejection(
                "embedder_unknown",
                f"sec_distance_bits {embedder}: the name does not end in its bits.",
                "Write e.g. minilm-l6-v2/381.",
            )
    if question.schema:
        parse_schema(question.schema)
    check_frame(question.frame, question.seats, question.admission != Admission.DRAWN)


def is_possible(request: Request, prompt_bytes_max: int = PROMPT_BYTES_MAX) -> bool:
    """May this request be answered at all? What its own requester would have been refused."""
    members = set(request.members)
    listed = request.admission is Admission.LISTED
    if listed and (len(members) != len(request.members) or len(members) != request.seats):
        return False
    if not listed and members:
        return False
    if request.streamer and request.streamer not in members:
        return False
    if (request.admission is Admission.DRAWN) != bool(request.candidates_root and request.beacon_round):
        return False
    if not all(map(bits_of, request.frame.sec_distance_bits)):
        return False
    try:
        if request.schema:
            parse_schema(request.schema)
        check_frame(request.frame, request.seats, request.admission is not Admission.DRAWN)
    except Rejection:
        return False
    return len(prompt_text(request.messages).encode()) <= prompt_bytes_max


def choose_members(
    context: Context, question: Question, sequence: int, left_out: frozenset[NodeId]
) -> tuple[NodeId, ...]:
    """Members of a `listed` round: in good standing, idle first, spread over models; raises `Rejection`."""
    if question.members:
        chosen = tuple(dict.fromkeys(question.members))
    else:
        candidates = [peer for peer in candidates_of(context, question) if peer.node_id not in left_out]
        heard = [peer for peer in candidates if not context.directory.was_silent(peer.node_id)]
        silent = [peer for peer in candidates if context.directory.was_silent(peer.node_id)]
        ranked = [*_spread(context, heard, sequence), *_spread(context, silent, sequence)]
        chosen = tuple(ranked[: question.seats])
    if len(chosen) < question.seats:
        raise too_few_nodes(question, len(chosen))
    return chosen[: question.seats]


def by_trust(context: Context, members: tuple[NodeId, ...]) -> list[NodeId]:
    """Members, whose provisional text is worth most first: ourselves, then by standing, then by speed."""
    directory = context.directory

    def rank(node_id: NodeId) -> tuple[bool, bool, int, int, int, NodeId]:
        standing = directory.standing(node_id)
        withheld = standing.unrevealed * 8 // (standing.agreed + standing.unrevealed + 8)
        agreed = min(UNITS_MAX, standing.agreed).bit_length()
        is_other = node_id != context.own_id
        silent = directory.was_silent(node_id)
        return is_other, silent, withheld, -agreed, -directory.speed(node_id), node_id

    return sorted((one for one in members if not directory.is_banned(one)), key=rank)


def candidates_of(context: Context, question: Question) -> list[Peer]:
    """Every live worker that could answer, this node included when it offers to work."""
    embedders = tuple(sorted(question.frame.sec_distance_bits))
    peers = [
        peer
        for peer in context.directory.workers(question.models, embedders)
        if peer.node_id != context.own_id
    ]
    own = own_offer(context, 0)
    serves = any(not question.models or model.name in question.models for model in own.models)
    if Role.WORKER in own.roles and serves and set(embedders) <= set(own.embedders):
        peers.append(Peer(context.own_id, 0, context.topic, 0, own))  # type: ignore[arg-type]
    return sorted(peers, key=lambda peer: peer.node_id)


def candidate_units(context: Context, question: Question) -> dict[NodeId, int]:
    """Candidates of a `drawn` round and their units, at most `PANEL_CANDIDATES_MAX`, heaviest first."""
    peers = candidates_of(context, question)
    units = {peer.node_id: context.directory.units(peer.node_id) for peer in peers}
    most = PANEL_CANDIDATES_MAX if context.settings.secret is None else SEALED_CANDIDATES_MAX
    heaviest = sorted(units, key=lambda node_id: (-units[node_id], node_id))[:most]
    if len(heaviest) < question.frame.quorum:
        raise too_few_nodes(question, len(heaviest))
    candidates = {node_id: units[node_id] for node_id in sorted(heaviest)}
    tickets = sum(candidates.values())
    fresh = min(list(candidates.values()).count(0), question.seats // UNPROVEN_SHARE)
    if tickets + fresh < question.seats:
        raise Rejection(
            "too_few_proven",
            f"{question.seats} seats are drawn, but the known nodes hold {tickets + fresh} tickets: "
            "a node earns one with every round in which this node saw it agree.",
            "Ask listed rounds first, or draw fewer seats.",
        )
    return candidates


def own_offer(context: Context, load: int) -> Announcement:
    """What this node announces."""
    settings = context.settings
    return Announcement(
        v=1,
        models=context.models,
        roles=settings.roles,
        embedders=settings.embedders,
        slots=settings.slots,
        load=load,
        software=settings.software,
        addresses=context.addresses,
    )


def make_panel(request_id: RequestId, candidates: dict[NodeId, int], seats: int, beacon: str) -> Panel:
    """The draw that follows from a beacon."""
    members = draw(candidates, seats, randomness(request_id, beacon))
    return Panel(v=1, beacon=beacon, candidates={**candidates}, members={**members})


def is_drawn(request_id: RequestId, request: Request, panel: Panel) -> bool:
    """Does the panel follow from the request and its own beacon value?"""
    candidates = {NodeId(key): units for key, units in panel.candidates.items()}
    try:
        if candidates_root(candidates) != request.candidates_root:
            return False
        members = draw(candidates, request.seats, randomness(request_id, panel.beacon))
    except Rejection:
        return False
    return dict(members) == dict(panel.members)


def too_few_nodes(question: Question, known: int) -> Rejection:
    """The refusal that names the largest frame that works."""
    if known == 0:
        return Rejection(
            "no_workers",
            "No node that could answer is known.",
            "Start `dicast up` on another machine, name a relay with --relay, or try `make demo`.",
        )
    quorum, need = largest_frame(known, question.frame)
    return Rejection(
        "too_few_nodes",
        f"The frame asks for {question.seats} seats and {known} nodes that could answer are known.",
        f"The largest frame that works: {known} seats, quorum {quorum}, of which {need} must agree.",
    )


def _spread(context: Context, peers: list[Peer], sequence: int) -> list[NodeId]:
    """Best first, models taken in turn, so that one model's mistake is not everybody's."""

    def rank(peer: Peer) -> tuple[int, int, bytes]:
        standing = context.directory.standing(peer.node_id)
        withheld = standing.unrevealed * 8 // (standing.agreed + standing.unrevealed + 8)
        busy = peer.offer.load * 8 // max(1, peer.offer.slots)
        ticket = tagged("dicast/choice/1", bytes.fromhex(peer.node_id), u32(sequence % 2**32))
        return withheld, busy, ticket

    by_model: dict[str, list[NodeId]] = {}
    for peer in sorted(peers, key=rank):
        first = peer.offer.models[0].name if peer.offer.models else ""
        by_model.setdefault(first, []).append(peer.node_id)
    queues = list(by_model.values())
    longest = max(map(len, queues), default=0)
    return [queue[place] for place in range(longest) for queue in queues if place < len(queue)]
