"""What may be dialled by WebSocket, judged by its form alone."""

from __future__ import annotations

from urllib.parse import urlsplit


def is_websocket(address: str) -> bool:
    """Whether it is ws or wss, has a host, and a port that can be."""
    try:
        parts = urlsplit(address)
        return parts.scheme in ("ws", "wss") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False
