"""The application: every route with the scope it needs, behind one guard."""

from __future__ import annotations

from typing import NamedTuple

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route

from dicast.gateway.anthropic_messages import MessagesRoute
from dicast.gateway.batch_routes import BatchRoutes
from dicast.gateway.file_routes import FileRoutes
from dicast.gateway.guard import Access, Guard, Rules
from dicast.gateway.keys import Scope
from dicast.gateway.native.routes import native_routes
from dicast.gateway.native.table import ALSO, SCOPES
from dicast.gateway.node_routes import NodeRoutes
from dicast.gateway.openai_chat import ChatRoute
from dicast.gateway.openai_completions import CompletionRoute
from dicast.gateway.openai_embeddings import EmbeddingsRoute
from dicast.gateway.openai_models import ModelsRoute
from dicast.gateway.openai_responses import ResponsesRoute
from dicast.gateway.pages import Pages
from dicast.gateway.parts import Endpoint, Parts
from dicast.gateway.telemetry import Tracing

RULES = Rules(
    scopes={
        "POST /v1/chat/completions": Scope.INFER,
        "POST /v1/completions": Scope.INFER,
        "POST /v1/responses": Scope.INFER,
        "POST /v1/embeddings": Scope.INFER,
        "POST /v1/messages": Scope.INFER,
        "POST /v1/files": Scope.INFER,
        "GET /v1/files": Scope.INFER,
        "GET /v1/files/{file_id}": Scope.INFER,
        "GET /v1/files/{file_id}/content": Scope.INFER,
        "DELETE /v1/files/{file_id}": Scope.INFER,
        "POST /v1/batches": Scope.INFER,
        "GET /v1/batches": Scope.INFER,
        "GET /v1/batches/{batch_id}": Scope.INFER,
        "POST /v1/batches/{batch_id}/cancel": Scope.INFER,
        "GET /v1/models": Scope.INFER,
        "GET /v1/models/{model:path}": Scope.INFER,
        "GET /metrics": Scope.READ,
        **SCOPES,
    },
    public=frozenset({"GET /healthz", "GET /", "GET /assets/{path:path}"}),
    also=ALSO,
)


class Way(NamedTuple):
    """One route."""

    method: str
    path: str
    endpoint: Endpoint


def make_app(parts: Parts, access: Access, rules: Rules = RULES) -> Starlette:
    """The ASGI application. Whatever `rules` does not name is closed."""
    routes = make_routes(parts, access)
    guard = Middleware(Guard, routes=routes, rules=rules, access=access, metrics=parts.metrics)
    tracing = Middleware(Tracing, telemetry=parts.asker.telemetry)
    return Starlette(routes=routes, middleware=[guard, tracing])


def make_routes(parts: Parts, access: Access) -> list[BaseRoute]:
    """Every route there is."""
    models, node, pages = ModelsRoute(parts), NodeRoutes(parts, access.drain), Pages()
    files, batches = FileRoutes(parts), BatchRoutes(parts)
    ways = (
        Way("POST", "/v1/chat/completions", ChatRoute(parts).post),
        Way("POST", "/v1/completions", CompletionRoute(parts).post),
        Way("POST", "/v1/responses", ResponsesRoute(parts).post),
        Way("POST", "/v1/embeddings", EmbeddingsRoute(parts).post),
        Way("POST", "/v1/messages", MessagesRoute(parts).post),
        Way("POST", "/v1/files", files.upload),
        Way("GET", "/v1/files", files.every),
        Way("GET", "/v1/files/{file_id}", files.one),
        Way("GET", "/v1/files/{file_id}/content", files.content),
        Way("DELETE", "/v1/files/{file_id}", files.delete),
        Way("POST", "/v1/batches", batches.create),
        Way("GET", "/v1/batches", batches.every),
        Way("GET", "/v1/batches/{batch_id}", batches.one),
        Way("POST", "/v1/batches/{batch_id}/cancel", batches.cancel),
        Way("GET", "/v1/models", models.every),
        Way("GET", "/v1/models/{model:path}", models.one),
        Way("GET", "/metrics", node.metrics),
        Way("GET", "/healthz", node.health),
        Way("GET", "/", pages.index),
        Way("GET", "/assets/{path:path}", pages.asset),
    )
    routes = [Route(way.path, parts.answering(way.endpoint), methods=[way.method]) for way in ways]
    return [*routes, *native_routes(parts, access)]
