"""The words of a verdict and of a refused frame or case, shared by every language (`spec/06-judge.md`)."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """What a round ends with."""

    ACCEPTED = "accepted"
    UNDETERMINED = "undetermined"


class Reason(StrEnum):
    """Why a round ended so."""

    AGREED = "agreed"
    QUORUM_NOT_REACHED = "quorum_not_reached"
    TOO_FEW_REVEALS = "too_few_reveals"
    NO_AGREEMENT = "no_agreement"


class Status(StrEnum):
    """What the verdict says about one member."""

    SILENT = "silent"
    UNREVEALED = "unrevealed"
    DIGEST_MISMATCH = "digest_mismatch"
    MODEL_REFUSED = "model_refused"
    MALFORMED = "malformed"
    EMBEDDING_MISMATCH = "embedding_mismatch"
    CORE = "core"
    ACCEPTED = "accepted"
    CONFLICT = "conflict"
    OUTSIDE = "outside"
    UNDECIDED = "undecided"


class FrameFault(StrEnum):
    """Why a security frame is refused: the `code` of the `Rejection`."""

    QUORUM = "frame_quorum"
    SEATS = "frame_seats"
    PERCENTAGE = "frame_percentage"
    DISTANCE = "frame_distance"
    GATES = "frame_gates"
    FORM = "frame_form"
    FAULTS = "frame_faults"
    TIME = "frame_time"
    PRESET = "frame_preset"
