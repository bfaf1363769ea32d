"""What `/api` answers about nodes, frames, settings, keys, logs and usage."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from dicast.daemon.api import PeerRecord, StatusResult
from dicast.daemon.history import RoundSummary
from dicast.daemon.tellings import LogLine
from dicast.gateway.keys import Scope


class GatewayView(msgspec.Struct, frozen=True, kw_only=True):
    """How the gateway itself is doing."""

    version: str
    uptime_s: int
    asking: int
    waiting: int
    listeners: int
    needs_key: bool
    draining: bool


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The node behind this gateway, its engines and models, and the gateway."""

    npub: str
    node: StatusResult
    gateway: GatewayView


class NodeView(msgspec.Struct, frozen=True, kw_only=True):
    """A node as it announced itself, and what was seen of it."""

    npub: str
    node: PeerRecord


class NodeList(msgspec.Struct, frozen=True):
    """Every live node, this one first."""

    items: tuple[NodeView, ...]


class PeerPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A node for the map: small, because there may be thousands."""

    id: str
    roles: tuple[str, ...]
    models: int
    load: int
    slots: int
    is_self: bool


class PeerMap(msgspec.Struct, frozen=True):
    """Every live node, small."""

    items: tuple[PeerPoint, ...]


class ErrorRate(msgspec.Struct, frozen=True):
    """With this share of dishonest nodes: chances that a lie is accepted, and that the truth is."""

    dishonest: float
    false_accept: float
    accept: float


class Problem(msgspec.Struct, frozen=True):
    """Why a frame cannot hold, and what would."""

    code: str
    message: str
    next_step: str


class FrameReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a frame means; `problem` is null when it can hold."""

    seats: int
    quorum: int
    need: int
    faults: int
    sec_percentage: float
    sec_distance: float
    sec_distance_bits: int
    minority: bool
    rates: tuple[ErrorRate, ...]
    problem: Problem | None = None


class PresetView(msgspec.Struct, frozen=True, kw_only=True):
    """A named frame; `is_default` is what a question without a frame gets here."""

    name: str
    gates: tuple[str, ...]
    checked_form: bool
    is_default: bool
    report: FrameReport


class PresetList(msgspec.Struct, frozen=True):
    """Every named frame, from the weakest to the strongest."""

    items: tuple[PresetView, ...]


class SettingView(msgspec.Struct, frozen=True, kw_only=True):
    """One setting in force; a secret is shown as `[secret]`.

    `source`: `default`, `file`, a variable (`DICAST_SLOTS`), a flag (`--slots`), `ticket`, or `start` for
    what `dicast up` adds by itself. To change it: `lines` in `file`, `variable` or `flag`; then start again.
    """

    key: str
    value: Any
    default: Any
    is_default: bool
    source: str = "default"
    file: str = ""
    lines: str = ""
    variable: str = ""
    flag: str = ""


class SettingList(msgspec.Struct, frozen=True):
    """Every setting of the node, and of this gateway (`gateway.…`); they are changed in the configuration."""

    items: tuple[SettingView, ...]


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key without the key itself; limits that are null do not exist; `…_today` counts since 00:00 UTC."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    requests_per_minute: int
    tokens_per_day: int | None
    rounds_per_day: int | None
    created_unix_s: int
    tokens_today: int = 0
    rounds_today: int = 0


class KeyList(msgspec.Struct, frozen=True):
    """Every key."""

    items: tuple[KeyView, ...]


class NewKey(msgspec.Struct, frozen=True):
    """A key that was just made: the only time it can be seen."""

    secret: str
    key: KeyView


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: `key` is null on loopback without one; `scopes` is what may be done."""

    scopes: tuple[Scope, ...]
    needs_key: bool
    key: KeyView | None


class LogPage(msgspec.Struct, frozen=True):
    """The newest lines of the node's log, oldest first; secrets are cut out, prompts are never in it."""

    items: tuple[LogLine, ...]


class Found(msgspec.Struct, frozen=True):
    """What a search found."""

    rounds: tuple[RoundSummary, ...]
    nodes: tuple[NodeView, ...]
    models: tuple[str, ...]


class UsageDay(msgspec.Struct, frozen=True, kw_only=True):
    """What one key spent on one day (UTC); `key` is `-` for questions without one."""

    day: str
    key: str
    name: str
    rounds: int
    tokens: int


class UsageList(msgspec.Struct, frozen=True):
    """What was spent, newest day first."""

    items: tuple[UsageDay, ...]


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong: `code` is stable, `message` ends with the next step."""

    message: str
    type: str
    code: str
    param: str | None = None
    dicast: Annotated[dict[str, Any], msgspec.Meta(description="More about it, by code.")] = {}


class ErrorAnswer(msgspec.Struct, frozen=True):
    """Every answer that is not 2xx."""

    error: ErrorBody
