"""Group commit: batches that wait together are made durable at once; then all else is done in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from dicast.ports import Store
from dicast.protocol.outputs import Batch, Write
from dicast.stores.memory import MemoryStore


class Commits:
    """Performs batches in order; what a batch asks for comes after its own writes and all earlier ones.

    A disk that takes half a second to sync keeps nobody else waiting: a thread of its own waits for it.
    """

    def __init__(self, store: Store, act: Callable[[Batch], None]) -> None:
        self._store = store
        self._act = act
        self._is_instant = isinstance(store, MemoryStore)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    async def perform(self, batches: Sequence[Batch]) -> None:
        """With one wait for the disk. Raises what the store raises; then none from the first write on."""
        first = next((index for index, batch in enumerate(batches) if batch.writes), len(batches))
        for batch in batches[:first]:
            self._act(batch)
        waiting = batches[first:]
        if not waiting:
            return
        writes = tuple(write for batch in waiting for write in batch.writes)
        await self._apply(writes)
        for batch in waiting:
            self._act(batch)

    async def _apply(self, writes: Sequence[Write]) -> None:
        if self._is_instant:  # a thread would take longer than the work
            self._store.apply(writes)
        else:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._store.apply, writes)

    def close(self) -> None:
        """Wait for the write that is under way, if any, and close the store."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._store.close()
