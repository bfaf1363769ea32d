"""The engine `llama_cpp`: llama.cpp's own server by its own routes: nothing about a model is guessed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Final

import httpx
import msgspec

from dicast.base.errors import AdapterError
from dicast.engines.answer import Answer, bad_answer, model_missing, too_long, within_deadline
from dicast.engines.model_server import LIST_TIMEOUT_S, SEED_MASK, ModelServer
from dicast.engines.replies import MODEL_CHARS_MAX, Listing, refusal, refusal_of
from dicast.engines.sse import events, parse
from dicast.ports import Generation
from dicast.protocol.messages import OfferedModel
from dicast.protocol.outputs import StartInference

LLAMA_CPP_URL: Final = "http://127.0.0.1:8080"
_ENDED_WELL: Final = frozenset({"eos", "limit", "word"})


class Defaults(msgspec.Struct, frozen=True):
    """What one slot of the server has."""

    n_ctx: int = 0


class Properties(msgspec.Struct, frozen=True):
    """The body of `/props`."""

    default_generation_settings: Defaults = Defaults()


class Prompt(msgspec.Struct, frozen=True):
    """The body of `/apply-template`."""

    prompt: str


class Tokens(msgspec.Struct, frozen=True):
    """The body of `/tokenize`."""

    tokens: list[int]


class Piece(msgspec.Struct, frozen=True):
    """An event of a completion; the last has `stop` and the counts."""

    content: str = ""
    stop: bool = False
    stop_type: str = ""
    truncated: bool = False
    tokens_evaluated: int = 0
    tokens_predicted: int = 0
    error: Any = None


class LlamaCppEngine:
    """One llama.cpp server at `base_url` (without /v1), which runs one model."""

    def __init__(self, base_url: str = LLAMA_CPP_URL, *, name: str = "llama_cpp", key: str = "") -> None:
        self.name = name
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._server = ModelServer(name, base_url.rstrip("/").removesuffix("/v1"), headers)
        self._key = key
        self._listed: OfferedModel | None = None

    def __repr__(self) -> str:
        return f"LlamaCppEngine({self._server.url!r})"

    async def models(self) -> tuple[OfferedModel, ...]:
        """The model that it runs now; empty when it is not there or still loads."""
        try:
            async with asyncio.timeout(LIST_TIMEOUT_S):
                self._listed = await self._look()
        except (AdapterError, TimeoutError):
            self._listed = None
        return (self._listed,) if self._listed else ()

    async def generate(self, job: StartInference, on_text: Callable[[str], None]) -> Generation:
        """Stream one completion of the prompt that the model's own template makes."""
        answer = Answer(self.name, on_text)
        async with within_deadline(job, self.name):
            if self._listed is None or self._listed.name != job.model:
                await self.models()
            if self._listed is not None and self._listed.name != job.model:
                raise model_missing(self.name, job.model)
            prompt = await self._prompt(job)
            if self._listed is not None:
                await self._check_length(prompt, job.max_tokens, self._listed.context_tokens)
            return await self._stream(job, prompt, answer)

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()

    async def _look(self) -> OfferedModel | None:
        listing = await self._get("v1/models", Listing)
        slot = await self._get("props", Properties)
        if not listing.data or not 0 < len(listing.data[0].id) <= MODEL_CHARS_MAX:
            return None
        context_tokens = slot.default_generation_settings.n_ctx or listing.data[0].context_tokens()
        return OfferedModel(name=listing.data[0].id, engine=self.name, context_tokens=max(0, context_tokens))

    async def _prompt(self, job: StartInference) -> str:
        messages = [{"role": message.role, "content": message.content} for message in job.messages]
        return (await self._post("apply-template", {"messages": messages}, Prompt)).prompt

    async def _check_length(self, prompt: str, max_tokens: int, context_tokens: int) -> None:
        """Count the tokens as the model does: a prompt that is cut is answered about something else."""
        asked = {"content": prompt, "add_special": True, "parse_special": True}
        needed = len((await self._post("tokenize", asked, Tokens)).tokens) + max_tokens
        if context_tokens and needed > context_tokens:
            raise too_long(self.name, needed, context_tokens)

    async def _stream(self, job: StartInference, prompt: str, answer: Answer) -> Generation:
        content = msgspec.json.encode(_body(job, prompt))
        async with self._server.request("POST", "completion", content=content) as response:
            if response.status_code != 200:
                raise refusal(
                    self.name, response.status_code, await self._server.bounded(response), self._key
                )
            last = await self._take_pieces(response, answer)
        return self._finished(last, job, answer)

    async def _take_pieces(self, response: httpx.Response, answer: Answer) -> Piece:
        """Hand on every piece; the last tells how it ended."""
        last = Piece()
        async with aclosing(events(response.aiter_bytes(), self.name, Piece)) as stream:
            async for piece in stream:
                last = piece or last
                if last.error:
                    raise refusal_of(self.name, 200, str(last.error), self._key)
                answer.add(piece.content if piece else "")
        return last

    def _finished(self, last: Piece, job: StartInference, answer: Answer) -> Generation:
        if not last.stop:
            message = f"{self.name} stopped in the middle of its answer."
            raise AdapterError("engine_unreachable", message, "Is the server running?")
        if last.truncated or last.stop_type not in _ENDED_WELL:
            raise bad_answer(self.name, f"an answer that ended by {last.stop_type[:40] or 'a cut'!r}")
        return answer.finish(job.model, last.tokens_evaluated, last.tokens_predicted)

    async def _get(self, path: str, kind: type[Any]) -> Any:
        async with self._server.request("GET", path) as response:
            return await self._read(response, kind)

    async def _post(self, path: str, body: dict[str, Any], kind: type[Any]) -> Any:
        async with self._server.request("POST", path, content=msgspec.json.encode(body)) as response:
            return await self._read(response, kind)

    async def _read(self, response: httpx.Response, kind: type[Any]) -> Any:
        body = await self._server.bounded(response)
        if response.status_code != 200:
            raise refusal(self.name, response.status_code, body, self._key)
        return parse(body, kind, self.name)


def _body(job: StartInference, prompt: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "prompt": prompt,
        "n_predict": job.max_tokens,
        "temperature": job.temperature_milli / 1000,
        "seed": job.seed & SEED_MASK,
        "stream": True,
        "cache_prompt": True,
    }
    if job.schema:
        body["json_schema"] = msgspec.Raw(job.schema.encode())
    return body
