"""What a chat-completions server says, read with distrust: chunks of an answer, and refusals."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from dicast.base.errors import AdapterError
from dicast.engines.answer import Answer, bad_answer
from dicast.ports import Generation

WORDS_SHOWN_MAX: Final = 300
MODEL_CHARS_MAX: Final = 256  # what an announcement holds
_CONTEXT = re.compile(
    r"context[ _]?(length|size|window)|maximum context|prompt is too long|too many tokens|exceed_context",
    re.IGNORECASE,
)
_MODEL_MISSING = re.compile(
    r"model.{0,200}(not[ _]found|does not exist|not exist|no such)|unknown model", re.I | re.S
)
_ENDED_WELL: Final = frozenset({"stop", "length", "eos", "end_turn"})
_REFUSED: Final = frozenset({"content_filter", "safety", "refusal"})


class Words(msgspec.Struct, frozen=True):
    """Part of an answer, or all of it; a model's thoughts stand in other fields and are not the answer."""

    content: str | None = None


class Choice(msgspec.Struct, frozen=True):
    """One of the answers; we ask for one. `delta` in a stream, `message` without."""

    delta: Words | None = None
    message: Words | None = None
    finish_reason: str | None = None


class Usage(msgspec.Struct, frozen=True):
    """Token counts as the server counts."""

    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0


class Chunk(msgspec.Struct, frozen=True):
    """An event of the stream, or the body of a reply that is not streamed."""

    model: str | None = None
    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None
    error: Any = None


class ModelFacts(msgspec.Struct, frozen=True):
    """What llama.cpp tells about a model that it has loaded."""

    n_ctx: Any = None


class ListedModel(msgspec.Struct, frozen=True):
    """An entry of `/v1/models`; servers name the context length in several ways."""

    id: str
    max_model_len: Any = None
    context_length: Any = None
    loaded_context_length: Any = None
    max_context_length: Any = None
    max_input_tokens: Any = None
    meta: ModelFacts | None = None

    def context_tokens(self) -> int:
        """The context length where it is told, else 0."""
        told = (
            *(self.max_model_len, self.meta.n_ctx if self.meta else 0, self.loaded_context_length),
            *(self.context_length, self.max_context_length, self.max_input_tokens),
        )
        return next((value for value in told if type(value) is int and 0 < value < 2**53), 0)


class Listing(msgspec.Struct, frozen=True):
    """The body of `/v1/models`."""

    data: tuple[ListedModel, ...] | None = ()


class Reply:
    """Puts the chunks of one reply together."""

    def __init__(self, engine: str, answer: Answer, asked_model: str, key: str) -> None:
        self._engine = engine
        self._answer = answer
        self._asked_model = asked_model
        self._key = key
        self._model = ""
        self._ending = ""
        self._usage = Usage()

    def take(self, chunk: Chunk) -> None:
        """One chunk of a stream, or the one body of a server that does not stream."""
        if chunk.error:
            raise refusal_of(self._engine, 200, str(chunk.error), self._key)
        self._note_model(chunk.model)
        if chunk.usage is not None:
            self._usage = chunk.usage
        for choice in chunk.choices[:1]:
            words = choice.delta or choice.message
            if words is not None and words.content:
                self._answer.add(words.content)
            self._ending = choice.finish_reason or self._ending

    def end(self) -> None:
        """The stream said that it is whole; some servers give no other reason."""
        self._ending = self._ending or "stop"

    def finish(self) -> Generation:
        """The whole answer. Raises AdapterError when it did not end as an answer ends."""
        if not self._ending:
            message = f"{self._engine} stopped in the middle of its answer."
            raise AdapterError("engine_unreachable", message, "Is the server running?")
        if self._ending in _REFUSED:
            raise AdapterError("engine_refused", f"{self._engine} would not answer: {self._ending}.")
        if self._ending not in _ENDED_WELL:
            raise bad_answer(self._engine, f"an answer that ended by {self._ending[:40]!r}")
        prompt_tokens, completion_tokens = (
            _count(self._usage.prompt_tokens),
            _count(self._usage.completion_tokens),
        )
        return self._answer.finish(self._model or self._asked_model, prompt_tokens, completion_tokens)

    def _note_model(self, model: str | None) -> None:
        """A server may answer with another model, but then it has to be one, and we report it."""
        if not model or len(model) > MODEL_CHARS_MAX:
            return
        if self._model and model != self._model:
            raise bad_answer(self._engine, "two models' words in one answer")
        self._model = model


def refusal(engine: str, status: int, body: bytes, key: str) -> AdapterError:
    """What an HTTP status other than 200 means."""
    return refusal_of(engine, status, body.decode("utf-8", "replace"), key)


def refusal_of(engine: str, status: int, words: str, key: str) -> AdapterError:
    """The error for a server's own words, with our key struck out."""
    shown = words.replace(key, "…") if key else words
    shown = "".join(character if character.isprintable() else " " for character in shown)[:WORDS_SHOWN_MAX]
    message = f"{engine} refused ({status}): {shown}" if status != 200 else f"{engine} refused: {shown}"
    if status == 413 or _CONTEXT.search(words):
        return AdapterError("context_length_exceeded", message, "Shorten the prompt, or use a larger model.")
    if status in {200, 400, 404} and _MODEL_MISSING.search(words):
        return AdapterError("model_missing", message, "List what it has with `dicast models list`.")
    if status in {401, 403}:
        return AdapterError("engine_refused", message, "Check the API key.")
    if status == 404:
        return AdapterError("engine_refused", message, "Does the address end in /v1?")
    return AdapterError("engine_refused", message, "Look at the engine's own log.")


def _count(value: int | None) -> int:
    return value if value is not None and 0 <= value < 2**53 else 0
