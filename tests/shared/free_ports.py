"""Ports of loopback that nobody uses, nor takes while a server is away."""

from __future__ import annotations

import random
import socket

FIRST, LAST = 10_000, 32_000
"""Below those that systems give to outgoing connections, which would take the place of a killed server."""


def free_port() -> int:
    """One that can be listened at, by TCP and by UDP."""
    while not is_free(port := random.SystemRandom().randint(FIRST, LAST)):
        pass
    return port


def is_free(port: int) -> bool:
    try:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(type=kind) as probe:
                probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True
