"""Says in the log when a transport is down, why, and what to do; and when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dicast.daemon.lane import Lane
from dicast.daemon.logs import Log

LOOK_S = 1.0
"""Two looks in a row must see the same state: a relay that is still connecting is no news."""
HINT = "Is the address right, and is the relay or broker running? `dicast doctor` tries each. Trying again."
QUIET = frozenset({"starting", "up"})


class HealthLog:
    """What was last said of each transport."""

    def __init__(self, lanes: Sequence[Lane], log: Log) -> None:
        self._lanes = lanes
        self._log = log
        self._seen = {lane.transport.name: "starting" for lane in lanes}
        self._said = dict(self._seen)

    async def follow(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        """Compare every transport's state with what was last said of it."""
        for lane in self._lanes:
            name, health = lane.transport.name, lane.health()
            state = health.state
            is_steady, self._seen[name] = self._seen[name] == state, state
            if not is_steady or state == self._said[name]:
                continue
            if state not in QUIET:
                self._log.warning(f"transport_{state}", transport=name, detail=health.detail, hint=HINT)
            elif self._said[name] not in QUIET:
                self._log.info(f"transport_{state}", transport=name, detail=health.detail)
            self._said[name] = state
