"""`/v1/models`: what the nodes that are known now offer, as OpenAI's and as Anthropic's clients read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dicast.consensus.constants import EMBEDDER
from dicast.gateway.errors import Dialect, GatewayError
from dicast.gateway.frames import ANY_MODEL, model_and_preset
from dicast.gateway.guard import dialect_of
from dicast.gateway.openai_embeddings import NAMES
from dicast.gateway.parts import Parts, limit_of
from dicast.gateway.replies import json_response

PAGE_MAX = 1_000
"""Anthropic's own bound."""
UNKNOWN_DATE = "1970-01-01T00:00:00Z"
"""Clients need a date and the network knows none: as Anthropic writes it for such models."""


class ModelsRoute:
    """Answers `GET /v1/models` and `GET /v1/models/{model}`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def every(self, request: Request) -> Response:
        """Every model, and `any`; for OpenAI's clients the embedder too."""
        nodes = await self._nodes()
        if dialect_of(request.scope) is Dialect.ANTHROPIC:
            return json_response(_page(request, [_described(name, nodes[name]) for name in nodes]))
        nodes |= await self._embedder()
        return json_response({"object": "list", "data": [_record(name, nodes[name]) for name in nodes]})

    async def one(self, request: Request) -> Response:
        """One model; `name@preset` is the model of that name. Without a name: every one."""
        if not request.path_params["model"]:
            return await self.every(request)
        name, _ = model_and_preset(request.path_params["model"])
        nodes = await self._nodes()
        if name in NAMES and name not in nodes:
            nodes = await self._embedder()
            name = EMBEDDER
        if name not in nodes:
            raise GatewayError("model_not_found", f"No known node offers {name[:64]!r}.", field="model")
        written = _described if dialect_of(request.scope) is Dialect.ANTHROPIC else _record
        return json_response(written(name, nodes[name]))

    async def _nodes(self) -> dict[str, int]:
        """How many nodes offer each model."""
        status, peers = await self._parts.client.status(), await self._parts.client.peers()
        workers = [one for one in (status, *peers) if "worker" in one.roles and one.models]
        counts = Counter(model for one in workers for model in one.models)
        return {ANY_MODEL: len(workers), **dict(sorted(counts.items()))}

    async def _embedder(self) -> dict[str, int]:
        """The embedder behind `/v1/embeddings`, which is this node's own; nothing where it has none."""
        return {EMBEDDER: 1} if EMBEDDER in (await self._parts.client.status()).embedders else {}


def _record(name: str, nodes: int) -> dict[str, Any]:
    """`created` is a field that clients need and the network does not know: the beginning of 1970."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "dicast", "dicast": {"nodes": nodes}}


def _described(name: str, nodes: int) -> dict[str, Any]:
    """The same for Anthropic's clients."""
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": UNKNOWN_DATE,
        "lifecycle": "active",
        "dicast": {"nodes": nodes},
    }


def _page(request: Request, models: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A page as Anthropic's clients turn it: what comes after an id, or just before one."""
    limit = limit_of(request, PAGE_MAX, PAGE_MAX)
    names: list[str] = [one["id"] for one in models]
    after, before = request.query_params.get("after_id"), request.query_params.get("before_id")
    first = names.index(after) + 1 if after in names else 0
    end = names.index(before) if before in names else len(names)
    wanted = models[first:end]
    shown = wanted[-limit:] if before in names else wanted[:limit]
    return {
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(shown) < len(wanted),
    }
