"""The engine `tiny`: an embedded model that answers short questions of its domain in full sentences."""

from __future__ import annotations

import asyncio
import codecs
import threading
from collections.abc import Callable
from functools import cached_property
from typing import Final

from dicast.base.errors import AdapterError
from dicast.engines.answer import Answer, model_missing, too_long, within_deadline
from dicast.engines.tiny_network import Decoder, TinyCard, TinyNetwork, read_card
from dicast.ports import Generation
from dicast.protocol.messages import OfferedModel
from dicast.protocol.outputs import StartInference

HOP_TOKENS: Final = 8
"""Tokens a worker thread makes before it looks up: about 2 ms, so that cancelling takes no longer."""

ANSWER_TOKENS: Final = 64
"""Left free in the context for the answer: its longest sentences have half as many."""


class TinyEngine:
    """Runs `tiny-1` on one processor thread; the files are checked and loaded at the first job.

    The model knows single questions: it reads the last user message, and keeps no conversation.
    """

    name = "tiny"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._network: TinyNetwork | None = None

    @cached_property
    def card(self) -> TinyCard:
        """What the model declares."""
        return read_card()

    async def models(self) -> tuple[OfferedModel, ...]:
        """The one embedded model with its domain."""
        card = self.card
        offered = OfferedModel(
            name=card.name, engine=self.name, context_tokens=card.context_tokens, domain=card.domain
        )
        return (offered,)

    async def generate(self, job: StartInference, on_text: Callable[[str], None]) -> Generation:
        """Answer the last user message; the same seed gives the same text on the same build."""
        if job.model != self.card.name:
            raise model_missing(self.name, job.model)
        if job.schema:
            message = f"{job.model} cannot answer in the shape of a schema."
            raise AdapterError(
                "schema_unsupported", message, "Ask a model that can, or ask without a schema."
            )
        answer = Answer(self.name, on_text)
        async with within_deadline(job, self.name):
            network = await asyncio.to_thread(self._load)
            question = self._question(network, job)
            decoder = Decoder(network, question, job.temperature_milli, job.seed)
            made = await _stream(network, decoder, job.max_tokens, answer)
        return answer.finish(job.model, len(question), made)

    def answer_once(self, prompt: str, temperature_milli: int = 0, seed: int = 0) -> str:
        """One answer without an event loop, for tests and benchmarks."""
        network = self._load()
        decoder = Decoder(network, network.tokenizer.encode_question(prompt), temperature_milli, seed)
        return network.tokenizer.decode(decoder.advance(self.card.context_tokens))

    def count_tokens(self, text: str) -> int:
        """How many tokens a text has."""
        return len(self._load().tokenizer.encode(text))

    async def close(self) -> None:
        """Let go of the network; a later job loads it again."""
        with self._lock:
            self._network = None

    def _load(self) -> TinyNetwork:
        with self._lock:
            if self._network is None:
                self._network = TinyNetwork(self.card)
            return self._network

    def _question(self, network: TinyNetwork, job: StartInference) -> list[int]:
        """The tokens to read. All turns count towards the limit: nothing long is passed over in silence."""
        tokens = sum(len(network.tokenizer.encode(message.content)) for message in job.messages)
        prompts = [message.content for message in job.messages if message.role == "user"]
        question = network.tokenizer.encode_question(prompts[-1] if prompts else "")
        needed = max(tokens, len(question)) + ANSWER_TOKENS
        if needed > self.card.context_tokens:
            raise too_long(self.name, needed, self.card.context_tokens)
        return question


async def _stream(network: TinyNetwork, decoder: Decoder, max_tokens: int, answer: Answer) -> int:
    """Hand out the answer as it comes, whole characters at a time; the number of tokens made."""
    characters = codecs.getincrementaldecoder("utf-8")("replace")
    made = 0
    while made < max_tokens and not decoder.ended:
        tokens = await asyncio.to_thread(decoder.advance, min(HOP_TOKENS, max_tokens - made))
        made += len(tokens)
        for token in tokens:
            answer.add(characters.decode(network.tokenizer.token_bytes(token)))
    answer.add(characters.decode(b"", final=True))
    return made
