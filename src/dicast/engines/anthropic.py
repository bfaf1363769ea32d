"""The engine `anthropic`: Anthropic's messages over HTTP, streaming, with the operator's own key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Final

import httpx
import msgspec

from dicast.base.errors import AdapterError
from dicast.engines.answer import Answer, bad_answer, model_missing, within_deadline
from dicast.engines.model_server import LIST_TIMEOUT_S, MODELS_MAX, ModelServer, check_length
from dicast.engines.replies import MODEL_CHARS_MAX, Listing, refusal, refusal_of
from dicast.engines.sse import events, parse
from dicast.ports import Generation
from dicast.protocol.messages import OfferedModel
from dicast.protocol.outputs import StartInference

ANTHROPIC_URL: Final = "https://api.anthropic.com"
API_VERSION: Final = "2023-06-01"
CONTEXT_TOKENS: Final = 200_000  # the least that Anthropic's models read; their list does not always tell
TEMPERATURE_MAX: Final = 1.0  # theirs ends here, ours at 2
LISTED: Final = f"v1/models?limit={1_000}"  # their largest page
_ENDED_WELL: Final = frozenset({"end_turn", "max_tokens", "stop_sequence"})


class Delta(msgspec.Struct, frozen=True):
    """More of the answer, or why it ended; thoughts come in other fields and are not the answer."""

    text: str | None = None
    stop_reason: str | None = None


class Usage(msgspec.Struct, frozen=True):
    """Token counts as the server counts."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class Message(msgspec.Struct, frozen=True):
    """What a stream begins with."""

    model: str | None = None
    usage: Usage | None = None


class Event(msgspec.Struct, frozen=True):
    """One event of the stream."""

    type: str | None = None
    message: Message | None = None
    delta: Delta | None = None
    usage: Usage | None = None
    error: Any = None


class AnthropicEngine:
    """Anthropic's API, or a server that speaks it, at `base_url` (without /v1)."""

    def __init__(
        self,
        base_url: str = ANTHROPIC_URL,
        *,
        name: str = "anthropic",
        key: str = "",
        context_tokens: int = 0,
    ) -> None:
        self.name = name
        headers = {"anthropic-version": API_VERSION} | ({"x-api-key": key} if key else {})
        self._server = ModelServer(name, base_url.rstrip("/").removesuffix("/v1"), headers)
        self._key = key
        self._context_tokens = context_tokens
        self._listed: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"AnthropicEngine({self._server.url!r})"

    async def models(self) -> tuple[OfferedModel, ...]:
        """What the key may use now; empty when the server is not there or answers nonsense."""
        try:
            async with asyncio.timeout(LIST_TIMEOUT_S):
                self._listed = await self._list()
        except (AdapterError, TimeoutError):
            self._listed = {}
        return tuple(
            OfferedModel(name=name, engine=self.name, context_tokens=tokens)
            for name, tokens in self._listed.items()
        )

    async def generate(self, job: StartInference, on_text: Callable[[str], None]) -> Generation:
        """Stream one message. `Generation.model` is what the server says answered."""
        answer = Answer(self.name, on_text)
        async with within_deadline(job, self.name):
            if job.model not in self._listed:
                await self.models()
            if self._listed and job.model not in self._listed:
                raise model_missing(self.name, job.model)
            check_length(self.name, job, self._listed.get(job.model, 0))
            try:
                return await self._stream(job, _body(job), answer)
            except _NoTemperatureError:
                without = {name: value for name, value in _body(job).items() if name != "temperature"}
                return await self._stream(job, without, answer)

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()

    async def _list(self) -> dict[str, int]:
        async with self._server.request("GET", LISTED) as response:
            body = await self._server.bounded(response)
            if response.status_code != 200:
                raise refusal(self.name, response.status_code, body, self._key)
        listing = parse(body, Listing, self.name)
        return {
            model.id: self._context_tokens or model.context_tokens() or CONTEXT_TOKENS
            for model in (listing.data or ())[:MODELS_MAX]
            if 0 < len(model.id) <= MODEL_CHARS_MAX
        }

    async def _stream(self, job: StartInference, body: dict[str, Any], answer: Answer) -> Generation:
        reply = _Reply(self.name, answer, job.model, self._key)
        content = msgspec.json.encode(body)
        async with self._server.request("POST", "v1/messages", content=content) as response:
            if response.status_code != 200:
                refused = await self._server.bounded(response)
                if response.status_code == 400 and "temperature" in body and b"temperature" in refused:
                    raise _NoTemperatureError
                raise refusal(self.name, response.status_code, refused, self._key)
            await self._take_events(response, reply)
        return reply.finish()

    async def _take_events(self, response: httpx.Response, reply: _Reply) -> None:
        async with aclosing(events(response.aiter_bytes(), self.name, Event)) as stream:
            async for event in stream:
                if event is not None:
                    reply.take(event)


class _NoTemperatureError(Exception):
    """This model does not let its temperature be chosen."""


class _Reply:
    """Puts the events of one message together."""

    def __init__(self, engine: str, answer: Answer, asked_model: str, key: str) -> None:
        self._engine = engine
        self._answer = answer
        self._model = asked_model
        self._key = key
        self._ending = ""
        self._tokens = [0, 0]

    def take(self, event: Event) -> None:
        if event.type == "error" or event.error:
            raise refusal_of(self._engine, 200, str(event.error), self._key)
        if event.message is not None:
            self._note(event.message.usage)
            if event.message.model and len(event.message.model) <= MODEL_CHARS_MAX:
                self._model = event.message.model
        self._note(event.usage)
        if event.delta is not None:
            self._answer.add(event.delta.text or "")
            self._ending = event.delta.stop_reason or self._ending

    def finish(self) -> Generation:
        if not self._ending:
            message = f"{self._engine} stopped in the middle of its answer."
            raise AdapterError("engine_unreachable", message, "Is the server running?")
        if self._ending == "refusal":
            raise AdapterError("engine_refused", f"{self._engine} would not answer.")
        if self._ending not in _ENDED_WELL:
            raise bad_answer(self._engine, f"an answer that ended by {self._ending[:40]!r}")
        return self._answer.finish(self._model, *self._tokens)

    def _note(self, usage: Usage | None) -> None:
        """Counts come in parts, and what was read from a cache is counted apart."""
        if usage is None:
            return
        parts = (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens)
        if usage.input_tokens is not None:
            self._tokens[0] = sum(part for part in parts if part is not None and 0 <= part < 2**50)
        if usage.output_tokens is not None and 0 <= usage.output_tokens < 2**53:
            self._tokens[1] = usage.output_tokens


def _body(job: StartInference) -> dict[str, Any]:
    system = "\n\n".join(message.content for message in job.messages if message.role == "system")
    turns = [
        {"role": message.role, "content": message.content}
        for message in job.messages
        if message.role != "system"
    ]
    body: dict[str, Any] = {
        "model": job.model,
        "max_tokens": job.max_tokens,
        "messages": turns,
        "temperature": min(TEMPERATURE_MAX, job.temperature_milli / 1000),
        "stream": True,
    }
    if system:
        body["system"] = system
    if job.schema:
        schema = {"type": "json_schema", "schema": msgspec.Raw(job.schema.encode())}
        body["output_config"] = {"format": schema}
    return body
