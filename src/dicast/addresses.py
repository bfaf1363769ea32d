"""What may be dialled by WebSocket, judged by its form alone."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_USER = re.compile(r"(://)[^/@\s]*@")


def is_websocket(address: str) -> bool:
    """Whether it is ws or wss, has a host, and a port that can be."""
    try:
        parts = urlsplit(address)
        return parts.scheme in ("ws", "wss") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def without_user(address: str) -> str:
    """The address as it may be shown: without the user and the password that some relays take in it."""
    return _USER.sub(r"\1", address)
