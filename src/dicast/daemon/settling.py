"""Whether a node that has just started knows everybody it is going to know at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from dicast.base.errors import ConfigurationError, DicastError
from dicast.ports import TransportHealth

CONNECTED = frozenset({"up", "degraded"})
CONNECT_S = 5.0
"""A relay that does not answer in this time is reported, not waited for."""
OTHERS_S = 1.0
"""Once one relay answered, the others get this long: they mostly know the same announcements."""
QUIET_S = 0.1
"""A relay counts as up after its stored announcements; checking a thousand of them takes this long."""


class Told(Protocol):
    """Whatever tells how a network is doing."""

    def health(self) -> TransportHealth:
        """How it is doing now."""
        ...


class Settling:
    """Settled: every transport is up and nobody new came, or waiting for the rest took too long."""

    def __init__(self, transports: Sequence[Told], clock: Callable[[], float] = time.monotonic) -> None:
        self._transports = transports
        self._clock = clock
        self._started = clock()
        self._connected: float | None = None
        self._all_up: float | None = None
        self._last_peer = self._started

    def peer_seen(self) -> None:
        """Somebody new announced itself."""
        self._last_peer = self._clock()

    def is_settled(self) -> bool:
        """Whether waiting longer is pointless."""
        if not self._transports:
            return True
        now = self._clock()
        states = [transport.health().state for transport in self._transports]
        if self._connected is None and any(state in CONNECTED for state in states):
            self._connected = now
        if self._all_up is None and all(state == "up" for state in states):
            self._all_up = now
        if self._connected is None:
            return now - self._started > CONNECT_S
        if now - max(self._connected, self._last_peer) < QUIET_S:
            return False
        return now - (self._all_up or now) >= QUIET_S or now - self._connected > OTHERS_S

    def explained(self, error: DicastError) -> DicastError:
        """The refusal; where no transport is connected, that is the reason instead."""
        if error.code != "no_peers" or not self._transports:
            return error
        if any(transport.health().state in CONNECTED for transport in self._transports):
            return error
        details = "; ".join(transport.health().detail for transport in self._transports)
        return ConfigurationError(
            "relay_down",
            f"No relay answers ({details}).",
            "Check the address and the network with `dicast doctor`; `dicast relay` runs one here.",
        )
