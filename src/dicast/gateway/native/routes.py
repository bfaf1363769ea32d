"""The native routes bound to what answers them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from dicast.gateway.guard import Access
from dicast.gateway.native.ask_routes import AskRoutes
from dicast.gateway.native.exports import ExportRoutes
from dicast.gateway.native.frame_routes import FrameRoutes
from dicast.gateway.native.gate_watch import GateWatch
from dicast.gateway.native.key_routes import KeyRoutes
from dicast.gateway.native.live import Live
from dicast.gateway.native.nodes import LookRoutes
from dicast.gateway.native.openapi import document
from dicast.gateway.native.rounds import RoundRoutes
from dicast.gateway.native.streams import StreamRoutes
from dicast.gateway.native.table import SPECS
from dicast.gateway.parts import Parts

Answering = Callable[[Request], Awaitable[Response]]


def native_routes(parts: Parts, access: Access) -> list[BaseRoute]:
    """Every route under `/api`; live streams end when the gateway drains."""
    live = Live(parts.client)
    rounds = RoundRoutes(parts)
    GateWatch(rounds, live).start()
    access.drain.at_begin(live.close)
    streams = StreamRoutes(parts, live)
    answering = _answering(parts, access, live, streams) | _of_rounds(rounds)
    routes: list[BaseRoute] = []
    for spec in SPECS:
        method, path = spec.rule.split(" ")
        if method == "WS":
            routes.append(WebSocketRoute(path, streams.socket))
        else:
            routes.append(Route(path, parts.answering(answering[spec.rule]), methods=[method]))
    return routes


def _answering(parts: Parts, access: Access, live: Live, streams: StreamRoutes) -> dict[str, Answering]:
    look, frames = LookRoutes(parts, access, live), FrameRoutes(parts)
    ask, keys, exports = AskRoutes(parts), KeyRoutes(parts, access), ExportRoutes(parts)
    return {
        "GET /api/status": look.status,
        "GET /api/session": look.session,
        "GET /api/peers": look.peers,
        "GET /api/nodes": look.nodes,
        "GET /api/nodes/{node_id}": look.node,
        "GET /api/settings": look.settings,
        "GET /api/logs": look.logs,
        "GET /api/usage": keys.usage,
        "GET /api/presets": frames.presets,
        "GET /api/frame": frames.frame,
        "GET /api/events": streams.events,
        "GET /api/export/rounds": exports.rounds,
        "GET /api/export/logs": exports.logs,
        "GET /api/export/usage": exports.usage,
        "GET /api/openapi.json": OpenApi().get,
        "POST /api/plan": ask.plan,
        "POST /api/ask": ask.ask,
        "GET /api/keys": keys.every,
        "POST /api/keys": keys.create,
        "DELETE /api/keys/{key_id}": keys.revoke,
    }


def _of_rounds(rounds: RoundRoutes) -> dict[str, Answering]:
    return {
        "GET /api/rounds": rounds.every,
        "GET /api/rounds/{request_id}": rounds.one,
        "GET /api/certificates": rounds.certified,
        "GET /api/certificates/{request_id}": rounds.certificate,
        "GET /api/certificates/{request_id}/summary": rounds.checked,
        "GET /api/search": rounds.search,
    }


class OpenApi:
    """The document, made once."""

    def __init__(self) -> None:
        self._body = msgspec.json.encode(document())

    async def get(self, request: Request) -> Response:
        """The document."""
        del request
        return Response(self._body, media_type="application/json")
