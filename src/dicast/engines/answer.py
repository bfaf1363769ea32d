"""What every engine needs: a bounded answer that times itself, and a deadline that turns into an error."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final

from dicast.base.errors import AdapterError
from dicast.base.limits import REVEAL_BYTES_MAX
from dicast.ports import Generation
from dicast.protocol.outputs import StartInference

ANSWER_BYTES_MAX: Final = (
    REVEAL_BYTES_MAX  # a longer answer could never be revealed, so making it is wasted work
)


class Answer:
    """Collects an answer piece by piece, hands the pieces on, and refuses to outgrow a reveal."""

    def __init__(self, engine: str, on_text: Callable[[str], None]) -> None:
        self._engine = engine
        self._on_text = on_text
        self._pieces: list[str] = []
        self._bytes = 0
        self._started = time.monotonic()
        self._first_ms = 0

    def add(self, piece: str) -> None:
        """Take one piece. Raises AdapterError `answer_too_large`, or `engine_bad_answer` (lone surrogate)."""
        if not piece:
            return
        try:
            self._bytes += len(piece.encode())
        except UnicodeEncodeError as error:
            raise bad_answer(self._engine, "text with a lone surrogate") from error
        if self._bytes > ANSWER_BYTES_MAX:
            message = f"{self._engine} answered with more than {ANSWER_BYTES_MAX} bytes."
            raise AdapterError("answer_too_large", message, "Ask for a shorter answer.")
        if not self._pieces:
            self._first_ms = self._elapsed_ms()
        self._pieces.append(piece)
        self._on_text(piece)

    def finish(self, model: str, prompt_tokens: int = 0, completion_tokens: int = 0) -> Generation:
        """The whole, with its times. Raises AdapterError `engine_bad_answer` when there is no text."""
        if not self._pieces:
            raise bad_answer(self._engine, "an empty answer")
        return Generation(
            text="".join(self._pieces),
            model=model,
            prompt_tokens=max(0, prompt_tokens),
            completion_tokens=max(0, completion_tokens),
            first_token_ms=self._first_ms,
            total_ms=self._elapsed_ms(),
            engine=self._engine,
        )

    def _elapsed_ms(self) -> int:
        return int((time.monotonic() - self._started) * 1000)


@asynccontextmanager
async def within_deadline(job: StartInference, engine: str) -> AsyncGenerator[None]:
    """Cancel the block after `job.deadline_ms` milliseconds: AdapterError `engine_timeout`."""
    clock = asyncio.timeout(job.deadline_ms / 1000)
    try:
        async with clock:
            yield
    except TimeoutError as error:
        if not clock.expired():
            raise
        message = f"{engine} did not answer within {job.deadline_ms} ms."
        raise AdapterError("engine_timeout", message, "Allow more time, or use a smaller model.") from error


def bad_answer(engine: str, what: str) -> AdapterError:
    """The engine's answer is not one."""
    return AdapterError("engine_bad_answer", f"{engine} sent {what}.", "Look at the engine's own log.")


def model_missing(engine: str, model: str) -> AdapterError:
    """The engine does not have the model that was asked for."""
    message = f"{engine} has no model {model!r}."
    return AdapterError("model_missing", message, "List what it has with `dicast models list`.")


def too_long(engine: str, tokens: int, context_tokens: int) -> AdapterError:
    """The prompt, or the prompt with the answer asked for, does not fit the model."""
    message = f"{engine} reads at most {context_tokens} tokens; this needs about {tokens}."
    return AdapterError("context_length_exceeded", message, "Shorten the prompt, or use a larger model.")
