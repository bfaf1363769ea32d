"""The Ollama server of this machine, as an engine that is there when the server is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dicast.base.errors import AdapterError
from dicast.ports import Engine, Generation
from dicast.protocol.messages import OfferedModel
from dicast.protocol.outputs import StartInference

PORT = 11434
KNOCK_S = 0.5
"""A server on this machine answers within a few milliseconds."""


class LocalOllama:
    """Knocks at the port before it loads the HTTP client, which costs a node without Ollama nothing."""

    name = "ollama"

    def __init__(self, port: int = PORT) -> None:
        self._port = port
        self._engine: Engine | None = None

    async def models(self) -> tuple[OfferedModel, ...]:
        """What the server offers; empty while it is not there."""
        if self._engine is None and await self._knock():
            from dicast.engines.openai import find_ollama

            self._engine = await find_ollama(f"http://127.0.0.1:{self._port}")
        return () if self._engine is None else await self._engine.models()

    async def generate(self, job: StartInference, on_text: Callable[[str], None]) -> Generation:
        """See `Engine.generate`."""
        if self._engine is None:
            raise AdapterError("engine_unreachable", "The Ollama server of this machine is gone.")
        return await self._engine.generate(job, on_text)

    async def close(self) -> None:
        """See `Engine.close`."""
        if self._engine is not None:
            await self._engine.close()

    async def _knock(self) -> bool:
        try:
            async with asyncio.timeout(KNOCK_S):
                _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True
