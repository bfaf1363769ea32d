"""`/v1/models`: what the nodes that are known now offer."""

from __future__ import annotations

from collections import Counter
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dicast.gateway.errors import GatewayError
from dicast.gateway.frames import ANY_MODEL, model_and_preset
from dicast.gateway.parts import Parts
from dicast.gateway.replies import json_response


class ModelsRoute:
    """Answers `GET /v1/models` and `GET /v1/models/{model}`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def every(self, request: Request) -> Response:
        """Every model, and `any`."""
        del request
        nodes = await self._nodes()
        return json_response({"object": "list", "data": [_record(name, nodes[name]) for name in nodes]})

    async def one(self, request: Request) -> Response:
        """One model; `name@preset` is the model of that name."""
        name, _ = model_and_preset(request.path_params["model"])
        nodes = await self._nodes()
        if name not in nodes:
            raise GatewayError("model_not_found", f"No known node offers {name[:64]!r}.", field="model")
        return json_response(_record(name, nodes[name]))

    async def _nodes(self) -> dict[str, int]:
        """How many nodes offer each model."""
        status, peers = await self._parts.client.status(), await self._parts.client.peers()
        workers = [one for one in (status, *peers) if "worker" in one.roles and one.models]
        counts = Counter(model for one in workers for model in one.models)
        return {ANY_MODEL: len(workers), **dict(sorted(counts.items()))}


def _record(name: str, nodes: int) -> dict[str, Any]:
    """`created` is a field that clients need and the network does not know: the beginning of 1970."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "dicast", "dicast": {"nodes": nodes}}
