"""The engines' in-memory twin: answers come from a function, word by word."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from dicast.engines.answer import Answer, model_missing, too_long, within_deadline
from dicast.ports import Generation
from dicast.protocol.messages import OfferedModel
from dicast.protocol.outputs import StartInference

MODEL: Final = "memory"
CONTEXT_TOKENS: Final = 8_192


def echo(job: StartInference) -> str:
    """The last message, as the answer."""
    return job.messages[-1].content


class MemoryEngine:
    """Answers with `reply(job)`; where `hold` is given, the last word waits until it is set."""

    name = "memory"

    def __init__(
        self,
        reply: Callable[[StartInference], str] = echo,
        models: tuple[str, ...] = (MODEL,),
        context_tokens: int = CONTEXT_TOKENS,
        hold: asyncio.Event | None = None,
    ) -> None:
        self._reply = reply
        self._models = models
        self._context_tokens = context_tokens
        self._hold = hold

    async def models(self) -> tuple[OfferedModel, ...]:
        """The models it was told to have."""
        return tuple(
            OfferedModel(name=name, engine=self.name, context_tokens=self._context_tokens)
            for name in self._models
        )

    async def generate(self, job: StartInference, on_text: Callable[[str], None]) -> Generation:
        """Hand out the reply word by word; a word counts as a token."""
        if job.model not in self._models:
            raise model_missing(self.name, job.model)
        prompt_tokens = sum(len(message.content.split()) for message in job.messages)
        if prompt_tokens > self._context_tokens:
            raise too_long(self.name, prompt_tokens, self._context_tokens)
        answer = Answer(self.name, on_text)
        words = self._reply(job).split(" ")[: job.max_tokens]
        async with within_deadline(job, self.name):
            for index, word in enumerate(words):
                if self._hold is not None and index == len(words) - 1:
                    await self._hold.wait()
                answer.add(word if index == 0 else f" {word}")
                await asyncio.sleep(0)
        return answer.finish(job.model, prompt_tokens, len(words))

    async def close(self) -> None:
        """Nothing is held."""
