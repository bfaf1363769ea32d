"""`/v1/completions`: OpenAI's older route, one prompt in, one text out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dicast.daemon.provisional import Piece
from dicast.gateway.asking import Agreed, Wanted
from dicast.gateway.bodies import read_body
from dicast.gateway.conversation import Turn, conversation
from dicast.gateway.errors import GatewayError, unsupported
from dicast.gateway.flow import Settled, marked, reading_along, shown
from dicast.gateway.neutral import Neutral
from dicast.gateway.openai_chat import DONE, WAITING, failed_stream
from dicast.gateway.openai_fields import (
    SHARED_NEUTRAL,
    Shared,
    envelope,
    finish_of,
    frame_of_stream,
    options_of,
    usage_of,
)
from dicast.gateway.parts import Parts
from dicast.gateway.replies import event, json_response, pieces
from dicast.gateway.told import dicast_headers


class CompletionRequest(Shared, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body; fields of type Any are refused unless they ask for nothing."""

    prompt: Any
    echo: Any = None
    best_of: Any = None
    suffix: Any = None


NEUTRAL: Neutral = {**SHARED_NEUTRAL, "echo": (False,), "best_of": (1,), "suffix": ("",)}


class CompletionRoute:
    """Answers `POST /v1/completions`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def post(self, request: Request) -> Response:
        """One completion."""
        body = await read_body(request, CompletionRequest, self._parts.budgets.body_s)
        options = options_of(body, request, NEUTRAL, body.max_tokens)
        said = conversation([Turn("user", _prompt(body.prompt))], place="prompt")
        wanted = Wanted(said.prompt, options, place=said.place)
        if body.stream:
            wanted = reading_along(request, frame_of_stream(body.dicast, body.stream_options), wanted)
            return await self._parts.stream(request, wanted, _Telling(body))
        agreed = await self._parts.agreed(request, wanted)
        told = {"usage": usage_of(agreed.usage), "dicast": agreed.field}
        answer = {**_head(agreed.request_id, agreed.model), **_text(agreed.text, finish_of(agreed)), **told}
        return json_response(answer, dicast_headers(agreed.field))


def _prompt(given: Any) -> str:
    prompts: Any = [given] if isinstance(given, str) else given
    match prompts:
        case [str(only)]:
            return only
        case _:
            raise unsupported("prompt", "It is one text; tokens and several prompts do not travel.")


def _text(text: str, finish: str | None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": finish}]}


class _Telling:
    """A completion that is streamed."""

    waiting = WAITING

    def __init__(self, body: CompletionRequest) -> None:
        self._model = body.model
        self._with_usage = body.includes_usage()
        self._head: dict[str, Any] = {}

    def provisional(self, request_id: str, piece: Piece) -> Iterator[bytes]:
        """A piece before the verdict."""
        self._head = self._head or _head(request_id, self._model)
        yield event({**self._head, **_text(shown(piece), None), "dicast": marked(piece)})

    def agreed(self, agreed: Agreed, settled: Settled) -> Iterator[bytes]:
        """What is left of the answer, and the end."""
        head = self._head or _head(agreed.request_id, agreed.model)
        for piece in pieces(settled.rest):
            yield event({**head, **_text(piece, None)})
        yield event({**head, **_text("", finish_of(agreed)), "dicast": settled.field})
        if self._with_usage:
            yield event({**head, "choices": [], "usage": usage_of(agreed.usage)})
        yield DONE

    def failed(self, error: GatewayError) -> Iterable[bytes]:
        """There is no answer."""
        return failed_stream(error)


def _head(request_id: str, model: str) -> dict[str, Any]:
    return envelope("cmpl", "text_completion", request_id, model)
