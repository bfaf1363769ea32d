"""Every native route: what it takes, what it answers, what it needs. Routes, guard and OpenAPI read this."""

from __future__ import annotations

from typing import Any, NamedTuple

from dicast.daemon.api import PlanResult
from dicast.gateway.keys import Scope
from dicast.gateway.native import node_records, queries, records
from dicast.gateway.native.ask_routes import NativeAnswer, NativeAsk
from dicast.gateway.native.key_routes import CREATED, KeyWanted

JSON = "application/json"
SSE = "text/event-stream"


class Spec(NamedTuple):
    """One route. `rule` is its method and path; `media` what it answers with beside or in place of JSON."""

    rule: str
    scope: Scope
    says: str
    answers: Any = None
    query: Any = None
    body: Any = None
    status: int = 200
    media: tuple[str, ...] = (JSON,)
    lacks: str = ""
    """The code of the 404 for what is not there."""
    also: tuple[Scope, ...] = ()
    """Scopes that are enough for what is the key's own."""


_READ, _ASK, _ADMIN = Scope.READ, Scope.INFER, Scope.ADMIN
_FILES = ("application/jsonl", "text/csv")

SPECS: tuple[Spec, ...] = (
    Spec("GET /api/status", _READ, "How node and gateway are doing.", node_records.NodeStatus),
    Spec(
        "GET /api/session",
        _READ,
        "Who asks, and what that key may do.",
        node_records.Session,
        also=(_ASK, _ADMIN),
    ),
    Spec("GET /api/peers", _READ, "Every live node, small, for maps.", node_records.PeerMap),
    Spec("GET /api/nodes", _READ, "Every live node.", node_records.NodeList),
    Spec("GET /api/nodes/{node_id}", _READ, "One live node.", node_records.NodeView, lacks="node_missing"),
    Spec("GET /api/rounds", _READ, "Rounds, newest first.", records.RoundPage, queries.RoundsQuery),
    Spec(
        "GET /api/rounds/{request_id}",
        _READ,
        "Everything about a round.",
        records.RoundDetail,
        lacks="round_missing",
    ),
    Spec(
        "GET /api/certificates",
        _READ,
        "Rounds that have a certificate, newest first.",
        records.RoundPage,
        queries.CertificatesQuery,
    ),
    Spec(
        "GET /api/certificates/{request_id}",
        _READ,
        "A certificate, as `dicast verify` reads it.",
        lacks="certificate_missing",
        also=(_ASK,),
    ),
    Spec(
        "GET /api/certificates/{request_id}/summary",
        _READ,
        "What the gateway's own check of a certificate says.",
        records.CertificateSummary,
        lacks="certificate_missing",
        also=(_ASK,),
    ),
    Spec(
        "GET /api/search",
        _READ,
        "Rounds, nodes and models by a text.",
        node_records.Found,
        queries.SearchQuery,
    ),
    Spec("GET /api/settings", _READ, "The settings in force, without secrets.", node_records.SettingList),
    Spec("GET /api/logs", _READ, "The newest lines of the log.", node_records.LogPage, queries.LogsQuery),
    Spec("GET /api/usage", _READ, "What keys spent.", node_records.UsageList, queries.UsageQuery),
    Spec("GET /api/presets", _READ, "Every named frame.", node_records.PresetList),
    Spec("GET /api/frame", _READ, "What a frame means.", node_records.FrameReport, queries.FrameQuery),
    Spec("GET /api/events", _READ, "Live events.", query=queries.EventsQuery, media=(SSE,)),
    Spec("WS /api/ws", _READ, "Live events over a WebSocket."),
    Spec("GET /api/export/rounds", _READ, "Every round.", query=queries.ExportQuery, media=_FILES),
    Spec("GET /api/export/logs", _READ, "The log.", query=queries.ExportQuery, media=_FILES),
    Spec("GET /api/export/usage", _READ, "What keys spent.", query=queries.ExportQuery, media=_FILES),
    Spec("GET /api/openapi.json", _READ, "This document."),
    Spec("POST /api/plan", _ASK, "What asking would mean; asks nobody.", PlanResult, body=NativeAsk),
    Spec("POST /api/ask", _ASK, "Ask the network.", NativeAnswer, body=NativeAsk, media=(JSON, SSE)),
    Spec("GET /api/keys", _ADMIN, "Every key, without the keys.", node_records.KeyList),
    Spec("POST /api/keys", _ADMIN, "Make a key.", node_records.NewKey, body=KeyWanted, status=CREATED),
    Spec("DELETE /api/keys/{key_id}", _ADMIN, "Revoke a key.", node_records.KeyList, lacks="key_missing"),
)
SCOPES: dict[str, Scope] = {spec.rule: spec.scope for spec in SPECS}
ALSO: dict[str, tuple[Scope, ...]] = {spec.rule: spec.also for spec in SPECS if spec.also}
