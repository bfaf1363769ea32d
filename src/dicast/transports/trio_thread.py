"""A trio loop in a thread of its own, for packages that need one; their bugs end the thread, never us."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from dicast.transports.background import described

STOP_SECONDS_MAX = 1.5  # closing says goodbye to every peer


class TrioThread:
    """Runs one trio function until it ends or `stop`; `ended` then holds why, "" where it was stopped."""

    def __init__(self, work: Callable[[], Awaitable[None]], name: str) -> None:
        self._trio: Any = import_module("trio")
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._scope: Any = self._trio.CancelScope()
        self._token: Any = None
        self.ended: asyncio.Future[str] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def soon(self, call: Callable[..., object], *arguments: object) -> None:
        """Call something on the trio loop; nothing happens where that has ended."""
        if self._token is not None:
            with suppress(self._trio.RunFinishedError):
                self._token.run_sync_soon(call, *arguments)

    def tell(self, call: Callable[..., object], *arguments: object) -> None:
        """From the trio loop: call something on ours; nothing happens where that has ended."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *arguments)

    async def stop(self) -> None:
        """Cancel the work, and wait a moment until it has given back what it held."""
        if not self._thread.is_alive():
            return
        self.soon(self._scope.cancel)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS_MAX):
                await asyncio.shield(self.ended)

    def _run(self) -> None:
        problem = ""
        try:
            self._trio.run(self._main)
        except Exception as error:
            problem = described(_first(error))
        finally:
            self.tell(self._end, problem)

    async def _main(self) -> None:
        self._token = self._trio.lowlevel.current_trio_token()
        with self._scope:
            await self._work()

    def _end(self, problem: str) -> None:
        if not self.ended.done():
            self.ended.set_result(problem)


def _first(error: BaseException) -> BaseException:
    """What went wrong first, out of its groups."""
    inner: Sequence[BaseException] = getattr(error, "exceptions", ())
    return _first(inner[0]) if inner else error
