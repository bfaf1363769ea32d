"""Stopping gently: requests that are open finish, new ones are refused, probes look elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager


class Drain:
    """Counts what is open. After `begin` nothing new comes in; `finished` waits for the rest."""

    def __init__(self) -> None:
        self.draining = False
        self._open = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._to_end: list[Callable[[], None]] = []

    def at_begin(self, end: Callable[[], None]) -> None:
        """Call `end` when draining begins: for streams that would never finish by themselves."""
        self._to_end.append(end)

    @contextmanager
    def counted(self) -> Generator[None]:
        """One open request."""
        self._open += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._open -= 1
            if not self._open:
                self._idle.set()

    def begin(self) -> None:
        """Refuse what is new; harmless when repeated."""
        if not self.draining:
            self.draining = True
            for end in self._to_end:
                end()

    async def finished(self, timeout_s: float) -> bool:
        """Wait until nothing is open, or the time is over; whether everything finished."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True
