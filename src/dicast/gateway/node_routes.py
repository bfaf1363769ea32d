"""What machines ask: health and metrics."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from dicast.gateway.drain import Drain
from dicast.gateway.errors import GatewayError
from dicast.gateway.parts import Parts
from dicast.gateway.replies import json_response

HEALTH_TIMEOUT_S = 2.0
"""Container probes commonly give up after some seconds."""


class NodeRoutes:
    """Answers `/healthz` and `/metrics`."""

    def __init__(self, parts: Parts, drain: Drain) -> None:
        self._parts = parts
        self._drain = drain

    async def health(self, request: Request) -> Response:
        """Whether the node behind the gateway answers; says nothing else, since anybody may ask."""
        del request
        if self._drain.draining:
            raise GatewayError("draining", "The gateway is about to stop.")
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT_S):
                await self._parts.client.status()
        except TimeoutError as error:
            raise GatewayError("node_not_running", "The node does not answer.") from error
        return json_response({"status": "ok"})

    async def metrics(self, request: Request) -> Response:
        """Prometheus' text format."""
        del request
        page = self._parts.metrics.page(await self._parts.client.status(), self._parts.asker)
        return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8")
