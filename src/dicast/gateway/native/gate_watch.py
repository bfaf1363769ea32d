"""Tells those who listen which gates fired, after a certificate is there; one round at a time."""

from __future__ import annotations

import asyncio

import msgspec

from dicast.base.errors import DicastError
from dicast.client import Event
from dicast.gateway.native.live import GATES, Live
from dicast.gateway.native.records import GateView
from dicast.gateway.native.rounds import RoundRoutes
from dicast.protocol.outputs import CertificateReady

WAITING_MAX = 16
"""Rounds that wait to be laid out; beyond it nobody is told, and may still look."""


class _Gates(msgspec.Struct, frozen=True):
    gates: tuple[GateView, ...]


class GateWatch:
    """Follows the live events; works only while somebody listens to them."""

    def __init__(self, rounds: RoundRoutes, live: Live) -> None:
        self._rounds = rounds
        self._live = live
        self._waiting: asyncio.Queue[str] = asyncio.Queue(WAITING_MAX)
        self._working: asyncio.Task[None] | None = None

    def start(self) -> None:
        """From now on."""
        self._live.on_event = self._see

    def _see(self, event: Event) -> None:
        if isinstance(event, CertificateReady) and not self._waiting.full():
            self._waiting.put_nowait(event.request_id)
            if self._working is None or self._working.done():
                self._working = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        while not self._waiting.empty():
            request_id = self._waiting.get_nowait()
            try:
                detail = await self._rounds.detail(request_id)
            except DicastError:
                continue  # it is gone, or the node is: nobody is told
            gates = msgspec.json.decode(detail, type=_Gates).gates
            if gates:
                told = {"request_id": request_id, "gates": msgspec.to_builtins(gates)}
                self._live.tell(GATES, told)
