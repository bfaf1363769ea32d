"""The security frame: how many must answer, how close, and how many must agree (`spec/03-frame.md`)."""

from __future__ import annotations

import msgspec

from dicast.base.errors import Rejection
from dicast.consensus.constants import (
    BASIS_POINTS,
    DEADLINE_MS_MAX,
    DISTANCE_BITS_MAX,
    EMBEDDER,
    EMBEDDER_BITS,
    GRACE_MS_MAX,
    REVEAL_MS_MAX,
    SEATS_MAX,
)
from dicast.consensus.reasons import FrameFault


class JudgedFrame(msgspec.Struct, frozen=True):
    """The part of a frame that the judge reads."""

    quorum: int
    sec_percentage_bp: int
    sec_distance_bits: dict[str, int]
    gates: tuple[str, ...]
    exact: tuple[str, ...] = ()
    fuzzy: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """A whole frame: what the judge reads, the withheld reveals to survive (`faults`), and the budgets."""

    quorum: int
    sec_percentage_bp: int
    sec_distance_bits: dict[str, int]
    gates: tuple[str, ...]
    exact: tuple[str, ...] = ()
    fuzzy: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    faults: int = 0
    deadline_ms: int = 60_000
    reveal_ms: int = 10_000
    grace_ms: int = 2_000

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
    """A named frame; `checked_form` says that it is for labels and JSON only."""

    name: str
    seats: int
    frame: Frame
    checked_form: bool = False


def need(sec_percentage_bp: int, seats: int) -> int:
    """Seats that must agree: the percentage of the seats drawn, rounded up."""
    return -(-sec_percentage_bp * seats // BASIS_POINTS)
