"""`/api/presets` and `/api/frame`: what a frame means, before anybody is asked."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from dicast.base.errors import DicastError
from dicast.consensus import error_rates
from dicast.consensus.constants import EMBEDDER, EMBEDDER_BITS
from dicast.consensus.frame import (
    PRESETS,
    Frame,
    check_frame,
    error_rate,
    frame_from_shares,
    is_minority,
    need,
)
from dicast.gateway.native.node_records import ErrorRate, FrameReport, PresetList, PresetView, Problem
from dicast.gateway.native.queries import FrameQuery, read_query
from dicast.gateway.parts import Parts
from dicast.gateway.replies import json_response

DISHONEST = (0.05, 0.1, 0.2, 0.3, 0.4)
"""Shares of dishonest nodes for which the chances are told."""
DIGITS = 12
"""Chances below are none to speak of."""


class FrameRoutes:
    """Frames by name and by number."""

    def __init__(self, parts: Parts) -> None:
        self._default = parts.asker.defaults.preset

    async def presets(self, request: Request) -> Response:
        """Every named frame."""
        del request
        views = (
            PresetView(
                name=preset.name,
                gates=preset.frame.gates,
                checked_form=preset.checked_form,
                is_default=preset.name == self._default,
                report=frame_report(preset.frame, preset.seats),
            )
            for preset in PRESETS.values()
        )
        return json_response(PresetList(tuple(views)))

    async def frame(self, request: Request) -> Response:
        """What these numbers mean together; whether they can hold is part of the answer."""
        query = read_query(request.query_params, FrameQuery)
        preset = PRESETS[query.preset or self._default]
        base = preset.frame
        seats = query.seats or query.quorum or preset.seats
        quorum = query.quorum or min(base.quorum, seats)
        distance = base.sec_distance_bits[EMBEDDER] / EMBEDDER_BITS[EMBEDDER]
        shares = (
            distance if query.sec_distance is None else query.sec_distance,
            base.sec_percentage_bp / 10_000 if query.sec_percentage is None else query.sec_percentage,
        )
        try:
            frame = frame_from_shares(quorum, *shares, seats, base)
        except DicastError as error:
            kept = frame_from_shares(quorum, distance, base.sec_percentage_bp / 10_000, seats, base)
            return json_response(frame_report(kept, seats, error))
        return json_response(frame_report(frame, seats))


def frame_report(frame: Frame, seats: int, problem: DicastError | None = None) -> FrameReport:
    """What a frame means; `problem` is what stood in the way of it."""
    needed = need(frame.sec_percentage_bp, seats)
    try:
        check_frame(frame, seats)
    except DicastError as error:
        problem = problem or error
    return FrameReport(
        seats=seats,
        quorum=frame.quorum,
        need=needed,
        faults=frame.faults,
        sec_percentage=frame.sec_percentage_bp / 10_000,
        sec_distance=round(frame.sec_distance_bits[EMBEDDER] / EMBEDDER_BITS[EMBEDDER], 4),
        sec_distance_bits=frame.sec_distance_bits[EMBEDDER],
        minority=is_minority(frame),
        rates=tuple(
            ErrorRate(
                share,
                round(error_rate(frame, seats, share), DIGITS),
                round(error_rates.accept(seats, needed, share), DIGITS),
            )
            for share in DISHONEST
        ),
        problem=None if problem is None else Problem(problem.code, problem.message, problem.next_step),
    )
