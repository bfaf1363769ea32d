"""Dialling by WebSocket: wherever we do it, the other side sends us nowhere else."""

from __future__ import annotations

from websockets.asyncio.client import connect


class Connect(connect):
    """A connection that nobody redirects."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """The other side must not send us elsewhere: into a private network, or with our key to others."""
        return exc
