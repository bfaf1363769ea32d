"""Tasks that run until they are cancelled, and what is told when one does not."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


def start_task(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """A task whose end without being cancelled is a mistake of ours, and is seen."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_tell_of_a_bug)
    return task


async def end_tasks(*tasks: asyncio.Task[None] | None) -> None:
    """Cancel them and wait until they have given back what they held."""
    running = [task for task in tasks if task is not None]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


def described(error: BaseException) -> str:
    """An error in one short line."""
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _tell_of_a_bug(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        context = {"message": f"{task.get_name()} stopped", "exception": task.exception(), "task": task}
        task.get_loop().call_exception_handler(context)
