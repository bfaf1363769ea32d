"""The security frame: how many must answer, how close, and how many must agree (`spec/03-frame.md`)."""

from __future__ import annotations

import msgspec

from dicast.base.errors import Rejection
from dicast.base.limits import (
    CASE_SEATS_MAX,
    DEADLINE_MS_MAX,
    DEADLINE_MS_MIN,
    GRACE_MS_MAX,
    REVEAL_MS_MAX,
)
from dicast.consensus import error_rates
from dicast.consensus.constants import BASIS_POINTS, DISTANCE_BITS_MAX, EMBEDDER, EMBEDDER_BITS
from dicast.consensus.form import Form, form_fault, form_of
from dicast.consensus.reasons import FrameFault

_DEADLINE_MS = 60_000
_REVEAL_MS = 10_000
_GRACE_MS = 2_000
_USUAL_TIMES = (("deadline_ms", _DEADLINE_MS), ("reveal_ms", _REVEAL_MS), ("grace_ms", _GRACE_MS))


class JudgedFrame(msgspec.Struct, frozen=True, omit_defaults=True):
    """The part of a frame that the judge reads."""

    quorum: int
    sec_percentage_bp: int
    sec_distance_bits: dict[str, int]
    gates: tuple[str, ...]
    exact: tuple[str, ...] = ()
    fuzzy: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


class Frame(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A whole frame: what the judge reads, the withheld reveals to survive (`faults`), and the budgets."""

    quorum: int
    sec_percentage_bp: int
    sec_distance_bits: dict[str, int]
    gates: tuple[str, ...]
    exact: tuple[str, ...] = ()
    fuzzy: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    faults: int = 0
    deadline_ms: int = _DEADLINE_MS
    reveal_ms: int = _REVEAL_MS
    grace_ms: int = _GRACE_MS

    def __post_init__(self) -> None:
        """A default that is spelled out is the default: msgspec leaves out only the very same object."""
        for name, usual in _USUAL_TIMES:
            if getattr(self, name) == usual:
                msgspec.structs.force_setattr(self, name, usual)

    def judged(self) -> JudgedFrame:
        """The part that the judge reads."""
        return JudgedFrame(
            quorum=self.quorum,
            sec_percentage_bp=self.sec_percentage_bp,
            sec_distance_bits=self.sec_distance_bits,
            gates=self.gates,
            exact=self.exact,
            fuzzy=self.fuzzy,
            labels=self.labels,
        )


class Preset(msgspec.Struct, frozen=True):
    """A named frame; `checked_form` says that it serves labels and JSON only, which the caller fills in."""

    name: str
    seats: int
    frame: Frame
    checked_form: bool = False


_WORD_GATES = ("numbers", "entities", "polarity")
_STRICT_GATES = ("numbers_strict", "entities_strict", "polarity_strict")


def need(sec_percentage_bp: int, seats: int) -> int:
    """Seats that must agree: the percentage of the seats drawn, rounded up."""
    return -(-sec_percentage_bp * seats // BASIS_POINTS)


def tolerated_faults(sec_percentage_bp: int, seats: int) -> int:
    """The largest f with 2·need ≥ seats + f + 1: so many withheld reveals cannot flip a verdict (P4)."""
    return max(0, 2 * need(sec_percentage_bp, seats) - seats - 1)


def is_minority(frame: Frame | JudgedFrame) -> bool:
    """Half of the seats or fewer decide: two answers may both be supported, so people get a warning."""
    return frame.sec_percentage_bp <= BASIS_POINTS // 2


def largest_frame(known_nodes: int, frame: Frame) -> tuple[int, int]:
    """The largest (quorum, need) of this frame that so few known nodes can fill."""
    return min(frame.quorum, known_nodes), need(frame.sec_percentage_bp, known_nodes)


def error_rate(frame: Frame, seats: int, dishonest: float) -> float:
    """Chance that a lie is accepted when this share of the nodes is dishonest and colludes; for display."""
    return error_rates.false_accept(seats, need(frame.sec_percentage_bp, seats), dishonest)


def _preset(name: str, shape: tuple[int, int, int], bits: int, gates: tuple[str, ...]) -> Preset:
    seats, quorum, percentage_bp = shape
    frame = Frame(
        quorum=quorum,
        sec_percentage_bp=percentage_bp,
        sec_distance_bits={EMBEDDER: bits},
        gates=gates,
        faults=tolerated_faults(percentage_bp, seats),
    )
    return Preset(name, seats, frame, checked_form=name == "financial")


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        _preset("story", (3, 2, 5_100), 130, ()),
        _preset("default", (9, 7, 6_600), 100, _WORD_GATES),
        _preset("careful", (13, 11, 7_000), 100, _STRICT_GATES),
        _preset("financial", (31, 25, 7_000), 100, _STRICT_GATES),
    )
}
"""Frames for people: 3 seats of which 2 agree, 6 of 9, 10 of 13, 22 of 31."""


def frame_from_shares(
    quorum: int,
    sec_distance: float,
    sec_percentage: float,
    seats: int,
    base: Frame = PRESETS["default"].frame,
) -> Frame:
    """`base` with a radius and a percentage written as shares 0–1, and the faults that `seats` tolerate."""
    if not 0 <= sec_distance <= 1:
        raise Rejection(
            FrameFault.DISTANCE,
            f"sec_distance {sec_distance} is not a share of the embedder's bits.",
            "Write it between 0 and 1, e.g. 0.26.",
        )
    if not 0 < sec_percentage <= 1:
        raise Rejection(
            FrameFault.PERCENTAGE,
            f"sec_percentage {sec_percentage} is not a share of the seats.",
            "Write it above 0 and up to 1, e.g. 0.66.",
        )
    percentage_bp = max(1, round(sec_percentage * BASIS_POINTS))
    radius = {
        name: round(sec_distance * EMBEDDER_BITS.get(name, EMBEDDER_BITS[EMBEDDER]))
        for name in base.sec_distance_bits
    }
    return msgspec.structs.replace(
        base,
        quorum=quorum,
        sec_percentage_bp=percentage_bp,
        sec_distance_bits=radius,
        faults=tolerated_faults(percentage_bp, seats),
    )


def check_preset(preset: Preset, frame: Frame) -> None:
    """Refuse prose under a preset that serves labels and JSON only."""
    if preset.checked_form and form_of(frame) in {Form.PROSE, Form.TEXTS}:
        raise Rejection(
            FrameFault.PRESET,
            f"The preset {preset.name} serves labels and JSON only.",
            "Give labels, or JSON pointers in exact or fuzzy; or take the preset careful.",
        )


def check_frame(frame: Frame, seats: int, minority_allowed: bool = True) -> None:
    """Raise a `Rejection` with the field, its value and the largest that works, if the frame cannot hold."""
    _check_seats(frame, seats)
    _check_percentage(frame, minority_allowed)
    _check_distance(frame)
    _check_faults(frame, seats)
    _check_times(frame)
    fault = form_fault(frame)
    if fault is not None:
        field, reason = fault
        code = FrameFault.GATES if field == "gates" else FrameFault.FORM
        raise Rejection(code, f"{field}: {reason}.")


def _check_seats(frame: Frame, seats: int) -> None:
    if not 1 <= seats <= CASE_SEATS_MAX:
        raise Rejection(
            FrameFault.SEATS,
            f"seats {seats} is outside 1…{CASE_SEATS_MAX}.",
            f"The largest that works is {CASE_SEATS_MAX}.",
        )
    if not 1 <= frame.quorum <= seats:
        raise Rejection(
            FrameFault.QUORUM,
            f"quorum {frame.quorum} is outside 1…{seats}, the seats.",
            f"The largest that works is quorum {seats}, "
            f"of which {need(frame.sec_percentage_bp, seats)} must agree.",
        )


def _check_percentage(frame: Frame, minority_allowed: bool) -> None:
    value = frame.sec_percentage_bp
    if not 1 <= value <= BASIS_POINTS:
        raise Rejection(
            FrameFault.PERCENTAGE,
            f"sec_percentage_bp {value} is outside 1…{BASIS_POINTS}.",
            f"The largest that works is {BASIS_POINTS}.",
        )
    if is_minority(frame) and not minority_allowed:
        raise Rejection(
            FrameFault.PERCENTAGE,
            f"sec_percentage_bp {value}: a drawn round needs more than half of the seats.",
            f"The smallest that works is {BASIS_POINTS // 2 + 1}.",
        )


def _check_distance(frame: Frame) -> None:
    for name, bits in sorted(frame.sec_distance_bits.items()):
        if not 0 <= bits <= DISTANCE_BITS_MAX:
            raise Rejection(
                FrameFault.DISTANCE,
                f"sec_distance_bits {bits} of {name} is outside 0…{DISTANCE_BITS_MAX}.",
                f"The largest that works is {DISTANCE_BITS_MAX}.",
            )


def _check_faults(frame: Frame, seats: int) -> None:
    largest = tolerated_faults(frame.sec_percentage_bp, seats)
    if not 0 <= frame.faults <= largest:
        agreeing = need(frame.sec_percentage_bp, seats)
        raise Rejection(
            FrameFault.FAULTS,
            f"faults {frame.faults} is outside 0…{largest}: 2·need ≥ seats + faults + 1 "
            f"fails for need {agreeing} of {seats} seats.",
            f"The largest that works is {largest}; a higher sec_percentage allows more.",
        )


def _check_times(frame: Frame) -> None:
    limits = (
        ("deadline_ms", frame.deadline_ms, DEADLINE_MS_MIN, DEADLINE_MS_MAX),
        ("reveal_ms", frame.reveal_ms, 1, REVEAL_MS_MAX),
        ("grace_ms", frame.grace_ms, 0, GRACE_MS_MAX),
    )
    for field, value, least, most in limits:
        if not least <= value <= most:
            raise Rejection(
                FrameFault.TIME,
                f"{field} {value} is outside {least}…{most}.",
                f"The largest that works is {most}.",
            )
