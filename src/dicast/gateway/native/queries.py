"""Reading what stands behind the `?`: every name known, every value of its type, nothing twice."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from starlette.datastructures import QueryParams

from dicast.base.limits import MEMBERS_MAX
from dicast.daemon.history import PAGE_MAX
from dicast.gateway.errors import GatewayError, invalid

T = TypeVar("T")
TEXT_MAX = 200
"""A search is a few words."""
Text = Annotated[str, msgspec.Meta(max_length=TEXT_MAX)]
Cursor = Annotated[str, msgspec.Meta(pattern=r"^([0-9]{15}[0-9a-f]{64})?$")]
Limit = Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seats = Annotated[int, msgspec.Meta(ge=1, le=MEMBERS_MAX)]
Nothing = Literal[""]


class RoundsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which rounds to list."""

    limit: Limit = 50
    cursor: Cursor = ""
    state: Literal["open", "decided", "ended"] | Nothing = ""
    outcome: Literal["accepted", "undetermined"] | Nothing = ""
    role: Literal["requester", "member"] | Nothing = ""
    model: Text = ""
    q: Text = ""


class CertificatesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which certificates to list."""

    limit: Limit = 50
    cursor: Cursor = ""


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to look for in prompts, answers, ids and models."""

    q: Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_MAX)]
    limit: Limit = 20


class LogsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lines of the log: the newest so many, at least of this level."""

    level: Literal["debug", "info", "warning", "error"] = "debug"
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 200


class UsageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far back to look."""

    days: Annotated[int, msgspec.Meta(ge=1, le=400)] = 30


class ExportQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to write it down."""

    format: Literal["jsonl", "csv"] = "jsonl"


class FrameQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A frame; what is left out comes from the preset."""

    preset: Literal["story", "default", "careful", "financial"] | Nothing = ""
    seats: Seats | None = None
    quorum: Seats | None = None
    sec_percentage: Share | None = None
    sec_distance: Share | None = None


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events to hear: comma-separated types, one round; `logs` adds the lines of the node's log."""

    types: Annotated[str, msgspec.Meta(max_length=1_000)] = ""
    round: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$")] = ""
    logs: bool = False
    last_event_id: Annotated[str, msgspec.Meta(max_length=64)] = ""


def read_query(params: QueryParams, kind: type[T]) -> T:
    """The query as `kind`. Raises GatewayError."""
    given: dict[str, Any] = dict(params)
    if len(given) != len(params.multi_items()):
        raise GatewayError("invalid_request", "A parameter stands there twice.")
    nothing = [name for name, value in given.items() if value.lower() == "null"]
    if any(name not in ("q", "model") for name in nothing):
        raise invalid(nothing[0], "leave the parameter out instead.")
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$.")
        raise invalid(place.rstrip("`") or "query", f"{reason}.") from error
