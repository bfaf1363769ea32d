"""Waiting in tests: for what happens, and never for a time that passes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

WAIT_SECONDS_MAX = 60
"""Of what takes a moment; a busy machine takes long for it, and a test fails when it never happens."""
LOOK_SECONDS = 0.01


async def until(condition: Callable[[], object]) -> None:
    """Look again and again, for what is waited for has no event of its own."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not condition():
            looked = asyncio.Event()
            loop.call_later(LOOK_SECONDS, looked.set)
            await looked.wait()
