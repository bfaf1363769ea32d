"""What kind of answer a frame asks for: prose, one of some labels, JSON values, or JSON texts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from dicast.consensus.constants import GATES, LABELS_MAX, POINTERS_MAX

_POINTER = re.compile(r"(/([^~]|~[01])*)?", re.DOTALL)
"""RFC 6901: empty, or `/` and tokens in which `~` is written `~0` and `/` is written `~1`."""


class Form(StrEnum):
    """How two answers are compared before any radius is looked at."""

    PROSE = "prose"
    LABELS = "labels"
    VALUES = "values"
    FIELDS = "fields"
    TEXTS = "texts"


class Formed(Protocol):
    """The fields of a frame that decide its form."""

    @property
    def sec_distance_bits(self) -> dict[str, int]: ...
    @property
    def gates(self) -> tuple[str, ...]: ...
    @property
    def exact(self) -> tuple[str, ...]: ...
    @property
    def fuzzy(self) -> tuple[str, ...]: ...
    @property
    def labels(self) -> tuple[str, ...]: ...


def form_of(frame: Formed) -> Form:
    """Labels; JSON with `fuzzy` pointers (fields) or only `exact` (values); prose; texts if none embeds."""
    if frame.labels:
        return Form.LABELS
    if frame.fuzzy:
        return Form.FIELDS
    if frame.exact:
        return Form.VALUES
    return Form.PROSE if frame.sec_distance_bits else Form.TEXTS


def form_fault(frame: Formed) -> tuple[str, str] | None:
    """What is wrong with the form: the field and the reason, or None."""
    return _gates_fault(frame) or _pointers_fault(frame) or _labels_fault(frame) or _embedder_fault(frame)


def _gates_fault(frame: Formed) -> tuple[str, str] | None:
    for gate in frame.gates:
        if gate not in GATES:
            return "gates", f"no gate is named {gate!r}; there are {', '.join(GATES)}"
    if _has_twice(frame.gates):
        return "gates", "a gate is named twice"
    if "json" in frame.gates and not (frame.exact or frame.fuzzy):
        return "gates", "json needs pointers in exact or fuzzy"
    return None


def _pointers_fault(frame: Formed) -> tuple[str, str] | None:
    for field, pointers in (("exact", frame.exact), ("fuzzy", frame.fuzzy)):
        if len(pointers) > POINTERS_MAX:
            return field, f"{len(pointers)} pointers, at most {POINTERS_MAX}"
        for pointer in pointers:
            if _POINTER.fullmatch(pointer) is None:
                return field, f"{pointer!r} is not a JSON pointer"
        if _has_twice(pointers):
            return field, "a pointer is named twice"
    return None


def _labels_fault(frame: Formed) -> tuple[str, str] | None:
    if not frame.labels:
        return None
    if frame.exact or frame.fuzzy:
        return "labels", "labels and JSON pointers exclude each other"
    if len(frame.labels) > LABELS_MAX:
        return "labels", f"{len(frame.labels)} labels, at most {LABELS_MAX}"
    from dicast.consensus import text  # its tables are large: only where labels are asked for

    canonical = [text.canonical_text(label) for label in frame.labels]
    if not all(canonical):
        return "labels", "a label has an empty canonical text"
    if _has_twice(canonical):
        return "labels", "two labels have one canonical text"
    return None


def _embedder_fault(frame: Formed) -> tuple[str, str] | None:
    if frame.sec_distance_bits or form_of(frame) is not Form.FIELDS:
        return None
    return "sec_distance_bits", "fuzzy texts need an embedder"


def _has_twice(names: Sequence[str]) -> bool:
    return len(set(names)) < len(names)
