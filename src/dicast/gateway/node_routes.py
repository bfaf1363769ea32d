"""The gateway's own routes: health, metrics, certificates."""

from __future__ import annotations

import asyncio
import re

from starlette.requests import Request
from starlette.responses import Response

from dicast.gateway.errors import GatewayError
from dicast.gateway.parts import Parts
from dicast.gateway.replies import json_response

HEALTH_TIMEOUT_S = 2.0
"""Container probes commonly give up after some seconds."""
_REQUEST_ID = re.compile(r"[0-9a-f]{64}")


class NodeRoutes:
    """Answers `/healthz`, `/metrics` and `/api/certificates/{id}`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def health(self, request: Request) -> Response:
        """Whether the node behind the gateway answers; says nothing else, since anybody may ask."""
        del request
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT_S):
                await self._parts.client.status()
        except TimeoutError as error:
            raise GatewayError("node_not_running", "The node does not answer.") from error
        return json_response({"status": "ok"})

    async def metrics(self, request: Request) -> Response:
        """Prometheus' text format."""
        del request
        page = self._parts.metrics.page(await self._parts.client.status())
        return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def certificate(self, request: Request) -> Response:
        """The certificate of a round, as `dicast verify` reads it."""
        request_id = request.path_params["request_id"]
        if _REQUEST_ID.fullmatch(request_id) is None:
            raise GatewayError("certificate_missing", "A request id is 64 hex digits.")
        content = await self._parts.client.certificate(request_id)
        return Response(content, media_type="application/json")
