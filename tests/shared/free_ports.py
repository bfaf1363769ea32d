"""Ports of loopback that nobody uses, nor takes while a server is away."""

from __future__ import annotations

import random
import socket

FIRST, LAST = 10_000, 32_000
"""Below those that systems give to outgoing connections, which would take the place of a killed server."""


def free_port(host: str = "127.0.0.1") -> int:
    """One that can be listened at, by TCP and by UDP."""
    while not is_free(host, port := random.SystemRandom().randint(FIRST, LAST)):
        pass
    return port


def is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(family, kind) as probe:
                probe.bind((host, port))
    except OSError:
        return False
    return True
