"""The engine `openai`: any server that speaks OpenAI's chat completions over HTTP, streaming."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Final

import httpx
import msgspec

from dicast.base.errors import AdapterError
from dicast.engines.answer import Answer, model_missing, within_deadline
from dicast.engines.model_server import (
    LIST_TIMEOUT_S,
    MODELS_MAX,
    SEED_MASK,
    ModelServer,
    check_length,
)
from dicast.engines.replies import MODEL_CHARS_MAX, Chunk, Listing, Reply, refusal
from dicast.engines.sse import events, parse
from dicast.ports import Generation
from dicast.protocol.messages import OfferedModel
from dicast.protocol.outputs import StartInference

OLLAMA_URL: Final = "http://127.0.0.1:11434"
OLLAMA_CONTEXT_TOKENS: Final = (
    4_096  # what Ollama gives a model unless told otherwise; it cuts the rest silently
)
FIND_TIMEOUT_S: Final = 0.5  # a server on this machine answers in a few ms


class OpenAIEngine:
    """One server at `base_url` (with its `/v1`). The key is sent to that server and shown nowhere."""

    def __init__(
        self, base_url: str, *, name: str = "openai", key: str = "", context_tokens: int = 0
    ) -> None:
        self.name = name
        self._server = ModelServer(name, base_url, {"Authorization": f"Bearer {key}"} if key else {}, "/v1")
        self._key = key
        self._context_tokens = context_tokens
        self._listed: frozenset[str] | None = None

    def __repr__(self) -> str:
        return f"OpenAIEngine({self._server.url!r})"

    async def models(self) -> tuple[OfferedModel, ...]:
        """What the server lists now; empty when it is not there or answers nonsense."""
        try:
            async with asyncio.timeout(LIST_TIMEOUT_S):
                found = await self._list()
        except (AdapterError, TimeoutError):
            found = None
        self._listed = frozenset(model.name for model in found) if found else None
        return found or ()

    async def generate(self, job: StartInference, on_text: Callable[[str], None]) -> Generation:
        """Stream one chat completion. `Generation.model` is what the server says answered."""
        check_length(self.name, job, self._context_tokens)
        answer = Answer(self.name, on_text)
        async with within_deadline(job, self.name):
            if self._listed is None or job.model not in self._listed:
                await self.models()
            if self._listed is not None and job.model not in self._listed:
                raise model_missing(self.name, job.model)
            try:
                return await self._stream(job, _body(job, "max_tokens"), answer)
            except _OtherLimitNameError:
                return await self._stream(job, _body(job, "max_completion_tokens"), answer)

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()

    async def _list(self) -> tuple[OfferedModel, ...] | None:
        """None when the server keeps no list."""
        async with self._server.request("GET", "models") as response:
            if response.status_code == 404:
                return None
            if response.status_code != 200:
                raise refusal(
                    self.name, response.status_code, await self._server.bounded(response), self._key
                )
            listing = parse(await self._server.bounded(response), Listing, self.name)
        return tuple(
            OfferedModel(
                name=model.id,
                engine=self.name,
                context_tokens=self._context_tokens or model.context_tokens(),
            )
            for model in (listing.data or ())[:MODELS_MAX]
            if 0 < len(model.id) <= MODEL_CHARS_MAX
        )

    async def _stream(self, job: StartInference, body: dict[str, Any], answer: Answer) -> Generation:
        reply = Reply(self.name, answer, job.model, self._key)
        async with self._server.request(
            "POST", "chat/completions", content=msgspec.json.encode(body)
        ) as response:
            if response.status_code != 200:
                refused = await self._server.bounded(response)
                if (
                    response.status_code == 400
                    and "max_tokens" in body
                    and b"max_completion_tokens" in refused
                ):
                    raise _OtherLimitNameError
                raise refusal(self.name, response.status_code, refused, self._key)
            if "text/event-stream" in response.headers.get("Content-Type", ""):
                await self._take_events(response, reply)
            else:
                reply.take(parse(await self._server.bounded(response), Chunk, self.name))
        return reply.finish()

    async def _take_events(self, response: httpx.Response, reply: Reply) -> None:
        async with aclosing(events(response.aiter_bytes(), self.name, Chunk)) as stream:
            async for chunk in stream:
                reply.take(chunk) if chunk else reply.end()


async def find_ollama(url: str = OLLAMA_URL) -> OpenAIEngine | None:
    """The Ollama server of this machine, when one answers."""
    try:
        async with asyncio.timeout(FIND_TIMEOUT_S), httpx.AsyncClient(trust_env=False) as client:
            response = await client.get(f"{url.rstrip('/')}/api/version")
            version = msgspec.json.decode(response.content, type=dict[str, Any]).get("version")
    except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, msgspec.DecodeError, UnicodeDecodeError):
        return None
    if response.status_code != 200 or not isinstance(version, str):
        return None
    return OpenAIEngine(url, name="ollama", context_tokens=OLLAMA_CONTEXT_TOKENS)


class _OtherLimitNameError(Exception):
    """The server wants `max_completion_tokens`, the newer name of the same limit."""


def _body(job: StartInference, limit_name: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": job.model,
        "messages": [{"role": message.role, "content": message.content} for message in job.messages],
        limit_name: job.max_tokens,
        "temperature": job.temperature_milli / 1000,
        "seed": job.seed & SEED_MASK,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if job.schema:
        schema = {"name": "answer", "strict": True, "schema": msgspec.Raw(job.schema.encode())}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body
