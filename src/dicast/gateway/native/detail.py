"""From a round's packets to what a person looks at: panel, answers on a plane, ball, gates, winner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from dicast.base.events import Event
from dicast.base.types import NodeId, RequestId
from dicast.consensus import gates
from dicast.consensus.agreement import Reading, reader
from dicast.consensus.bits import distances, packed_words
from dicast.consensus.case import CaseRequest
from dicast.consensus.constants import EMBEDDER, EMBEDDER_BITS
from dicast.consensus.frame import need
from dicast.consensus.objections import objections_of
from dicast.consensus.reasons import Status
from dicast.consensus.selection import commit_digest, selection_seed, selection_ticket
from dicast.daemon.history import Papers
from dicast.gateway.native.layout import Layout, lay_out
from dicast.gateway.native.records import (
    AnswerView,
    BallView,
    FrameView,
    GateView,
    LayoutView,
    PanelMember,
    PanelView,
    RoundDetail,
    Step,
    WinnerView,
)
from dicast.gateway.told import CERTIFICATE_PATH
from dicast.protocol.messages import (
    Admission,
    Close,
    Kind,
    Panel,
    Quorum,
    Request,
    Reveal,
    prompt_text,
)
from dicast.protocol.round import bits_of, has_bits_of

T = TypeVar("T")
PAIRS_SHOWN_MAX = 64
"""Of one gate: more lines between points than an eye can follow."""
VOTING = frozenset({Status.CORE, Status.ACCEPTED, Status.CONFLICT, Status.OUTSIDE, Status.UNDECIDED})
"""Answers that count in the vote, and so have a place on the plane."""
INSIDE = frozenset({Status.CORE, Status.ACCEPTED})


class Talk(NamedTuple):
    """A round's packets, decoded."""

    request: Request
    panel: Panel | None
    commits: dict[str, Event]
    sealed: frozenset[str]
    reveals: dict[str, tuple[Event, Reveal]]
    close: Close | None
    signed: dict[str, Event]
    seats: dict[str, int]


class Plane(NamedTuple):
    """The answers that are compared, their distances, and where they lie."""

    authors: tuple[str, ...]
    readings: tuple[Reading, ...]
    apart: NDArray[np.integer]
    radius: int
    embedder: str | None
    layout: Layout
    center: int

    def distance(self, place: int) -> int | None:
        """To the centre; None where equality decides and not distance."""
        pair = self.readings[place], self.readings[self.center]
        is_measured = self.embedder is None or all(reading.compared for reading in pair)
        return int(self.apart[self.center, place]) if is_measured else None


def detail_of(papers: Papers) -> RoundDetail:
    """Everything that the packets tell. Takes up to seconds for 256 long answers: call it in a thread."""
    talk = talk_of(papers.events)
    plane = _plane(papers, talk)
    verdict = papers.verdict
    request = talk.request
    return RoundDetail(
        round=papers.summary,
        requester=papers.events[0].pubkey,
        messages=request.messages,
        max_tokens=request.max_tokens,
        temperature=request.temperature_milli / 1000,
        attempt=request.attempt,
        previous=request.previous or None,
        frame=_frame_view(request),
        panel=_panel_view(papers, talk),
        answers=_answers(papers, talk, plane),
        layout=LayoutView(
            embedder=None if plane is None else plane.embedder,
            bits=0 if plane is None or plane.embedder is None else bits_of(plane.embedder),
            shown=1.0 if plane is None else plane.layout.shown,
        ),
        ball=None
        if verdict is None
        else BallView(
            center=verdict.center,
            radius=0 if plane is None else plane.radius,
            size=verdict.ball_size,
            runner_up=verdict.runner_up_size,
            need=verdict.need,
            unique=verdict.unique,
        ),
        gates=() if plane is None else gates_fired(request, plane),
        winner=_winner(papers),
        steps=tuple(_step(event) for event in papers.events),
        certificate_url=f"{CERTIFICATE_PATH}{papers.summary.request_id}"
        if papers.summary.has_certificate
        else None,
    )


def talk_of(events: Sequence[Event]) -> Talk:
    """Packets by what they say; the node has checked them."""
    of: dict[Kind, list[Event]] = {}
    for event in events:
        of.setdefault(Kind(event.kind), []).append(event)
    request = _decoded(events[0], Request)
    panel = next((_decoded(event, Panel) for event in of.get(Kind.PANEL, ())), None)
    quorum = next((_decoded(event, Quorum) for event in of.get(Kind.QUORUM, ())), None)
    close = next((_decoded(event, Close) for event in of.get(Kind.CLOSE, ())), None)
    commits: dict[str, Event] = {event.pubkey: event for event in of.get(Kind.COMMIT, ())}
    counted = None if close is None else frozenset(close.reveals)
    reveals: dict[str, tuple[Event, Reveal]] = {
        event.pubkey: (event, _decoded(event, Reveal))
        for event in of.get(Kind.REVEAL, ())
        if counted is None or event.id in counted
    }
    seats: dict[str, int]
    if request.admission is Admission.LISTED:
        seats = dict.fromkeys(request.members, 1)
    else:
        seats = dict(panel.members) if panel is not None else dict.fromkeys(commits, 1)
    sealed = frozenset(quorum.commits) if quorum is not None else frozenset[str]()
    signed: dict[str, Event] = {event.pubkey: event for event in of.get(Kind.SIGNATURE, ())}
    return Talk(request, panel, commits, sealed, reveals, close, signed, seats)


def gates_fired(request: Request, plane: Plane) -> tuple[GateView, ...]:
    """Every gate that keeps near answers apart, and which."""
    compared = [index for index, reading in enumerate(plane.readings) if reading.compared]
    if len(compared) < 2 or plane.embedder is None:
        return ()
    readings = [plane.readings[index] for index in compared]
    authors = [plane.authors[index] for index in compared]
    near = np.triu(plane.apart[np.ix_(compared, compared)] <= plane.radius, 1)
    everything = slice(0, len(compared))
    prompt = prompt_text(request.messages)
    fired: list[GateView] = []
    for name in request.frame.gates:
        features = [gates.features(name.removesuffix("_strict"), one.prose, prompt) for one in readings]
        kept = np.zeros_like(near)
        for objection in objections_of(name, features) if name != "json" else ():
            kept |= objection.between(everything, everything, near)
        pairs = np.argwhere(kept).tolist()
        if pairs:
            shown = tuple((authors[left], authors[right]) for left, right in pairs[:PAIRS_SHOWN_MAX])
            fired.append(GateView(gate=name, count=len(pairs), pairs=shown))
    return tuple(fired)


def _plane(papers: Papers, talk: Talk) -> Plane | None:
    """The answers that can be compared; None when there is none."""
    request, verdict = talk.request, papers.verdict
    read = reader(
        CaseRequest(
            id=papers.events[0].id,
            frame=request.frame.judged(),
            prompt=prompt_text(request.messages),
            models=request.models,
            schema=request.schema,
        )
    )
    authors: list[str] = []
    readings: list[Reading] = []
    for author, (_, reveal) in sorted(talk.reveals.items()):
        votes = verdict is None or verdict.statuses.get(author) in VOTING
        reading = read(reveal.answer) if votes and has_bits_of(reveal, request) else None
        if reading is not None:
            authors.append(author)
            readings.append(reading)
    if not authors:
        return None
    embedder = min(request.frame.sec_distance_bits, default=None)
    if embedder is None:
        groups = np.array([readings.index(one) for one in _firsts(readings)])
        apart, radius = (groups[:, None] != groups[None, :]).astype(np.int64), 0
    else:
        words = packed_words([talk.reveals[author][1].embeddings[embedder] for author in authors])
        apart = distances(words, slice(0, len(authors)), slice(0, len(authors)))
        radius = request.frame.sec_distance_bits[embedder]
    is_center = verdict is not None and verdict.center in authors
    center = authors.index(verdict.center or "") if verdict is not None and is_center else _middle(apart)
    layout = lay_out(apart, center)
    return Plane(tuple(authors), tuple(readings), apart, radius, embedder, layout, center)


def _firsts(readings: Sequence[Reading]) -> list[Reading]:
    """For each reading the first of its group."""
    first: dict[str, Reading] = {}
    return [first.setdefault(reading.group, reading) for reading in readings]


def _middle(apart: NDArray[np.integer]) -> int:
    """Before there is a verdict: the answer that is nearest to all."""
    return int(apart.sum(axis=1).argmin())


def _answers(papers: Papers, talk: Talk, plane: Plane | None) -> tuple[AnswerView, ...]:
    verdict = papers.verdict
    places = {} if plane is None else {author: place for place, author in enumerate(plane.authors)}
    views: list[AnswerView] = []
    for author, (_, reveal) in sorted(talk.reveals.items()):
        status = None if verdict is None else verdict.statuses.get(author)
        place = places.get(author)
        distance = None if plane is None or place is None else plane.distance(place)
        point = None if plane is None or place is None or distance is None else plane.layout.points[place]
        views.append(
            AnswerView(
                node_id=author,
                seats=talk.seats.get(author, 1),
                answer=reveal.answer,
                model=reveal.model,
                engine=reveal.engine,
                usage=reveal.usage,
                status=None if status is None else status.value,
                support=None if verdict is None else verdict.support.get(author),
                in_ball=status in INSIDE,
                is_winner=verdict is not None and verdict.winner == author,
                x=None if point is None else float(point[0]),
                y=None if point is None else float(point[1]),
                distance=distance,
                ticket=_ticket(papers, talk, author, reveal),
            )
        )
    return tuple(views)


def _ticket(papers: Papers, talk: Talk, author: str, reveal: Reveal) -> str | None:
    if talk.close is None:
        return None
    request_id = RequestId(papers.summary.request_id)
    seed = selection_seed(request_id, talk.close.selection_salt, "")
    digest = commit_digest(request_id, NodeId(author), reveal.salt, reveal.answer, reveal.model)
    return selection_ticket(seed, digest).hex()


def _winner(papers: Papers) -> WinnerView | None:
    verdict = papers.verdict
    if verdict is None or verdict.winner is None:
        return None
    support = verdict.support[verdict.winner]
    core = sum(status is Status.CORE for status in verdict.statuses.values())
    drawn = "It is the only answer with so many."
    if core > 1:
        drawn = f"Of the {core} answers with so many it drew the lowest ticket."
    return WinnerView(
        node_id=verdict.winner,
        answer=verdict.answer or "",
        support=support,
        core=core,
        why=f"{support} of {verdict.n} seats agree with it; {verdict.need} had to. {drawn}",
    )


def _panel_view(papers: Papers, talk: Talk) -> PanelView:
    statuses = {} if papers.verdict is None else papers.verdict.statuses
    members = tuple(
        PanelMember(
            node_id=author,
            seats=seats,
            committed_unix_ms=_time(talk.commits.get(author)),
            revealed_unix_ms=_time(talk.reveals[author][0]) if author in talk.reveals else None,
            signed_unix_ms=_time(talk.signed.get(author)),
            sealed=author in talk.commits and talk.commits[author].id in talk.sealed,
            status=statuses[author].value if author in statuses else None,
        )
        for author, seats in sorted(talk.seats.items())
    )
    panel = talk.panel
    return PanelView(
        admission=talk.request.admission.value,
        members=members,
        beacon_round=talk.request.beacon_round,
        beacon="" if panel is None else panel.beacon,
        candidates=0 if panel is None else len(panel.candidates),
    )


def _frame_view(request: Request) -> FrameView:
    frame = request.frame
    radius = frame.sec_distance_bits.get(EMBEDDER, max(frame.sec_distance_bits.values(), default=0))
    return FrameView(
        seats=request.seats,
        quorum=frame.quorum,
        need=need(frame.sec_percentage_bp, request.seats),
        faults=frame.faults,
        sec_percentage=frame.sec_percentage_bp / 10_000,
        sec_distance=round(radius / EMBEDDER_BITS[EMBEDDER], 4),
        sec_distance_bits=dict(frame.sec_distance_bits),
        gates=frame.gates,
        exact=frame.exact,
        fuzzy=frame.fuzzy,
        labels=frame.labels,
        deadline_ms=frame.deadline_ms,
        reveal_ms=frame.reveal_ms,
        grace_ms=frame.grace_ms,
    )


def _step(event: Event) -> Step:
    return Step(
        at_unix_ms=event.created_at * 1000,
        step=Kind(event.kind).name.lower(),
        node_id=event.pubkey,
        event_id=event.id,
    )


def _time(event: Event | None) -> int | None:
    return None if event is None else event.created_at * 1000


def _decoded(event: Event, kind: type[T]) -> T:
    return msgspec.json.decode(event.content, type=kind)
