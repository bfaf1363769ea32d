"""`/v1/completions`: OpenAI's older route, one prompt in, one text out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dicast.gateway.asking import Agreed, Wanted
from dicast.gateway.bodies import read_body
from dicast.gateway.conversation import Turn, conversation
from dicast.gateway.errors import unsupported
from dicast.gateway.neutral import Neutral
from dicast.gateway.openai_chat import DONE, WAITING, failed_stream
from dicast.gateway.openai_fields import (
    SHARED_NEUTRAL,
    Shared,
    envelope,
    finish_of,
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
        wanted = Wanted(conversation([Turn("user", _prompt(body.prompt))]).prompt, options)
        if body.stream:
            with_usage = body.includes_usage()
            return await self._parts.stream(
                request, wanted, WAITING, lambda agreed: _chunks(agreed, with_usage), failed_stream
            )
        agreed = await self._parts.agreed(request, wanted)
        answer = {**_text(agreed, agreed.text, finish_of(agreed)), "usage": usage_of(agreed.usage)}
        return json_response({**answer, "dicast": agreed.field}, dicast_headers(agreed.field))


def _prompt(given: Any) -> str:
    prompts: Any = [given] if isinstance(given, str) else given
    match prompts:
        case [str(only)]:
            return only
        case _:
            raise unsupported("prompt", "It is one text; tokens and several prompts do not travel.")


def _text(agreed: Agreed, text: str, finish: str | None) -> dict[str, Any]:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
    return {**envelope("cmpl", "text_completion", agreed), "choices": [choice]}


def _chunks(agreed: Agreed, with_usage: bool) -> Iterator[bytes]:
    for piece in pieces(agreed.text):
        yield event(_text(agreed, piece, None))
    yield event({**_text(agreed, "", finish_of(agreed)), "dicast": agreed.field})
    if with_usage:
        yield event({**_text(agreed, "", None), "choices": [], "usage": usage_of(agreed.usage)})
    yield DONE
