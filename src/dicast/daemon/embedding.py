"""Texts embedded for whoever asks this node: the same bits that a vote would compare."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from dicast.base.errors import AdapterError, ConfigurationError, Rejection
from dicast.consensus.constants import EMBEDDER
from dicast.consensus.wordpiece import windows
from dicast.daemon import api
from dicast.ports import Embedder

TEXTS_MAX = 256
"""At most so many in one call: each takes some milliseconds, and votes wait meanwhile."""


class Embedding:
    """Embeds one call's texts at a time, so that a round's own embedding never waits for more than one."""

    def __init__(self, embedders: Mapping[str, Embedder]) -> None:
        self._embedders = embedders
        self._turn = asyncio.Lock()

    async def answer(self, call: api.Embed) -> api.EmbedResult:
        """The bits of each text. Raises DicastError."""
        embedder = self._embedders.get(call.embedder or EMBEDDER)
        if embedder is None:
            raise AdapterError(
                "embedder_missing",
                f"This node has no embedder {call.embedder or EMBEDDER}.",
                "`dicast models get minilm` fetches its weights.",
            )
        if not 1 <= len(call.texts) <= TEXTS_MAX:
            raise ConfigurationError(
                "texts_range", f"{len(call.texts)} texts; between 1 and {TEXTS_MAX} are embedded at once.", ""
            )
        async with self._turn:
            try:
                tokens = await asyncio.to_thread(_count, call.texts)
                packed = await asyncio.to_thread(embedder.embed, call.texts)
            except Rejection as error:
                raise ConfigurationError(error.code, error.message, "Shorten the text.") from error
        return api.EmbedResult(embedder.name, embedder.bits, tuple(one.hex() for one in packed), tokens)


def _count(texts: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(sum(map(len, windows(text))) for text in texts)
