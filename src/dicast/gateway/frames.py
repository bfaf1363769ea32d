"""The security frame of a request: from its body, its `X-Dicast-*` headers, or the name of its model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec

from dicast.base.limits import ATTEMPTS_MAX, DEADLINE_MS_MAX, DEADLINE_MS_MIN, MEMBERS_MAX, MODELS_MAX
from dicast.client import AskKeywords
from dicast.consensus.frame import PRESETS
from dicast.gateway.errors import GatewayError, invalid

ANY_MODEL = "any"
"""The name that stands for every model."""
HEADER_PREFIX = "x-dicast-"

Seats = Annotated[int, msgspec.Meta(ge=1, le=MEMBERS_MAX)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Texts = Annotated[tuple[str, ...], msgspec.Meta(max_length=MODELS_MAX)]


class FrameFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body's `dicast` field; what is left out comes from headers, model name or the default."""

    preset: str | None = None
    quorum: Seats | None = None
    seats: Seats | None = None
    sec_distance: Share | None = None
    sec_percentage: Share | None = None
    deadline_ms: Annotated[int, msgspec.Meta(ge=DEADLINE_MS_MIN, le=DEADLINE_MS_MAX)] | None = None
    attempts: Annotated[int, msgspec.Meta(ge=1, le=ATTEMPTS_MAX)] | None = None
    models: Texts | None = None
    labels: Texts | None = None
    exact: Texts | None = None
    fuzzy: Texts | None = None
    stream: Literal["optimistic", "verified"] | None = None


HEADERS: dict[str, str] = {
    f"{HEADER_PREFIX}{name.replace('_', '-')}": name for name in FrameFields.__struct_fields__
}
"""The header of every field; lists are separated by commas."""
_LISTS = frozenset({"models", "labels", "exact", "fuzzy"})


def frame_of_headers(headers: Iterable[tuple[str, str]]) -> FrameFields:
    """The frame that headers write; an `X-Dicast-*` header that is none of ours is refused."""
    given: dict[str, Any] = {}
    for raw_name, value in headers:
        name = raw_name.lower()
        if not name.startswith(HEADER_PREFIX):
            continue
        field = HEADERS.get(name)
        if field is None or field in given:
            raise invalid(name, f"given twice or unknown; there are {', '.join(HEADERS)}.")
        given[field] = [one.strip() for one in value.split(",")] if field in _LISTS else value
    try:
        return msgspec.convert(given, FrameFields, strict=False)
    except msgspec.ValidationError as error:
        raise GatewayError("invalid_request", f"X-Dicast headers: {error}") from error


def model_and_preset(name: str) -> tuple[str, str | None]:
    """`tiny-1@careful` -> tiny-1, careful. What follows an @ and is no preset belongs to the name."""
    model, mark, preset = name.rpartition("@")
    return (model, preset) if mark and preset in PRESETS else (name, None)


def frame_options(
    model: str, models: tuple[str, ...], body: FrameFields, headers: FrameFields
) -> AskKeywords:
    """What to ask with. For every field the body stands above the headers, these above the model's name."""
    named, preset = model_and_preset(model)
    chosen = _merged(body, _merged(headers, FrameFields(preset=preset)))
    accepted = _models(named, (*models, *(chosen.models or ())))
    given: Mapping[str, Any] = {
        "preset": chosen.preset,
        "quorum": chosen.quorum,
        "seats": chosen.seats,
        "sec_distance": chosen.sec_distance,
        "sec_percentage": chosen.sec_percentage,
        "timeout_s": None if chosen.deadline_ms is None else chosen.deadline_ms / 1000,
        "attempts": chosen.attempts,
        "labels": chosen.labels,
        "exact": chosen.exact,
        "fuzzy": chosen.fuzzy,
        "models": accepted,
    }
    return AskKeywords(**{name: value for name, value in given.items() if value is not None})  # type: ignore[typeddict-item]


def waits_for_verdict(body: FrameFields, headers: FrameFields) -> bool:
    """Whether a stream shall tell nothing before the verdict."""
    return _merged(body, headers).stream == "verified"


def _models(named: str, others: tuple[str, ...]) -> tuple[str, ...]:
    """All accepted models, each once; empty accepts every model."""
    everything = dict.fromkeys((named, *others))
    if not named:
        raise invalid("model", "the name is empty; `any` accepts every model.")
    if len(everything) > MODELS_MAX:
        raise invalid("models", f"more than {MODELS_MAX} models.")
    if list(everything) == [ANY_MODEL]:
        return ()
    return tuple(name for name in everything if name != ANY_MODEL)


def _merged(above: FrameFields, below: FrameFields) -> FrameFields:
    return FrameFields(
        **{
            name: value if (value := getattr(above, name)) is not None else getattr(below, name)
            for name in FrameFields.__struct_fields__
        }
    )
