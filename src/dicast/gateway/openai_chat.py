"""`/v1/chat/completions`: OpenAI's chat, whole and streamed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dicast.client import AskKeywords
from dicast.daemon.provisional import Piece
from dicast.gateway.asking import Agreed, Wanted
from dicast.gateway.bodies import read_body
from dicast.gateway.conversation import Conversation, Turn, check_size, conversation
from dicast.gateway.errors import Dialect, GatewayError, invalid, unsupported
from dicast.gateway.flow import Settled, marked, reading_along, shown
from dicast.gateway.json_format import JsonForm, ResponseFormat, json_form
from dicast.gateway.neutral import Neutral
from dicast.gateway.openai_fields import (
    SHARED_NEUTRAL,
    Shared,
    Tokens,
    envelope,
    finish_of,
    frame_of_stream,
    options_of,
    usage_of,
)
from dicast.gateway.parts import Parts
from dicast.gateway.replies import event, json_response, pieces
from dicast.gateway.told import dicast_headers
from dicast.gateway.tools import Call, Offer, offer, openai_choice, openai_tools, read_answer
from dicast.protocol.messages import Message

WAITING = b": waiting for the verdict\n\n"
"""A comment, which every reader of server-sent events passes over."""
DONE = b"data: [DONE]\n\n"


class ChatRequest(Shared, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body; fields of type Any are refused unless they ask for nothing."""

    messages: list[Turn]
    max_completion_tokens: Tokens | None = None
    response_format: ResponseFormat | None = None
    tools: Any = None
    tool_choice: Any = None
    parallel_tool_calls: Any = None
    functions: Any = None
    function_call: Any = None
    top_logprobs: Any = None
    modalities: Any = None
    audio: Any = None
    prediction: Any = None
    reasoning_effort: Any = None
    verbosity: Any = None
    web_search_options: Any = None
    store: Any = None
    metadata: dict[str, Any] | None = None
    service_tier: Any = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None
    moderation: Any = None


CHAT_NEUTRAL: Neutral = {
    **SHARED_NEUTRAL,
    "parallel_tool_calls": (True, False),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "top_logprobs": (0,),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "reasoning_effort": ("none",),
    "verbosity": ("medium",),
    "web_search_options": (),
    "store": (False,),
    "moderation": (),
    "service_tier": ("auto", "default"),
}


class ChatRoute:
    """Answers `POST /v1/chat/completions`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def post(self, request: Request) -> Response:
        """One completion."""
        body = await read_body(request, ChatRequest, self._parts.budgets.body_s)
        offered = offer(openai_tools(body.tools), openai_choice(body.tool_choice))
        wanted = _wanted(body, request, offered)
        if body.stream:
            wanted = reading_along(request, frame_of_stream(body.dicast, body.stream_options), wanted)
            return await self._parts.stream(request, wanted, _Telling(body, offered))
        agreed = await self._parts.agreed(request, wanted)
        text, call = said_by(agreed, offered)
        message: dict[str, Any] = {"role": "assistant", "content": None if call else text, "refusal": None}
        if call:
            message["tool_calls"] = [_written(agreed, call)]
        finish = "tool_calls" if call else finish_of(agreed)
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        answer = {
            **envelope("chatcmpl", "chat.completion", agreed.request_id, agreed.model),
            "choices": [choice],
            "usage": usage_of(agreed.usage),
            "dicast": agreed.field,
        }
        return json_response(answer, dicast_headers(agreed.field))


def failed_stream(error: GatewayError) -> Iterable[bytes]:
    """How a stream of OpenAI's says that there is no answer."""
    return (event(error.body(Dialect.OPENAI)), DONE)


def _wanted(body: ChatRequest, request: Request, offered: Offer) -> Wanted:
    if body.max_tokens is not None and body.max_completion_tokens is not None:
        raise invalid("max_tokens", "given beside max_completion_tokens, which is its newer name.")
    max_tokens = body.max_completion_tokens or body.max_tokens
    options = options_of(body, request, CHAT_NEUTRAL, max_tokens)
    return with_form(conversation(body.messages), options, json_form(body.response_format), offered)


def with_form(said: Conversation, options: AskKeywords, form: JsonForm, offered: Offer) -> Wanted:
    """The question, in the form of its answer. Raises GatewayError where two forms are asked for."""
    system = said.system
    if offered.is_open:
        if form.schema:
            raise unsupported("response_format", "An answer is a call or of this form; ask for one of them.")
        system = f"{said.system}\n\n{offered.instructions()}".strip()
        form = offered.form()
        check_size([*said.history, Message("user", said.prompt), Message("system", system)], said.place)
    options.update(AskKeywords(system=system, history=said.history, schema=form.schema))
    if options.get("exact") or options.get("fuzzy"):
        form = JsonForm(form.schema, closed=form.closed if options.get("fuzzy") else ())
    else:
        options.update(AskKeywords(exact=form.exact, fuzzy=form.fuzzy))
    return Wanted(said.prompt, options, form, said.place)


def said_by(agreed: Agreed, offered: Offer) -> tuple[str, Call | None]:
    """The text, or the call, that the network agreed on. Raises GatewayError."""
    return read_answer(agreed.text) if offered.is_open else (agreed.text, None)


def _written(agreed: Agreed, call: Call) -> dict[str, Any]:
    function = {"name": call.name, "arguments": msgspec.json.encode(call.arguments).decode()}
    return {"id": f"call_{agreed.request_id[:24]}", "type": "function", "function": function}


class _Telling:
    """A chat that is streamed."""

    waiting = WAITING

    def __init__(self, body: ChatRequest, offered: Offer) -> None:
        self._model = body.model
        self._offered = offered
        self._with_usage = body.includes_usage()
        self._head: dict[str, Any] = {}

    def provisional(self, request_id: str, piece: Piece) -> Iterator[bytes]:
        """A piece before the verdict."""
        yield from self._begin(request_id, self._model)
        yield self._chunk({"content": shown(piece)}, dicast=marked(piece))

    def agreed(self, agreed: Agreed, settled: Settled) -> Iterator[bytes]:
        """What is left of the answer, or the call, and the end."""
        text, call = said_by(agreed, self._offered)
        yield from self._begin(agreed.request_id, agreed.model)
        if call:
            yield self._chunk({"tool_calls": [{"index": 0, **_written(agreed, call)}]})
        for piece in pieces(text if self._offered.is_open else settled.rest):
            yield self._chunk({"content": piece})
        yield self._chunk({}, "tool_calls" if call else finish_of(agreed), dicast=settled.field)
        if self._with_usage:
            yield event({**self._head, "choices": [], "usage": usage_of(agreed.usage)})
        yield DONE

    def failed(self, error: GatewayError) -> Iterable[bytes]:
        """There is no answer."""
        return failed_stream(error)

    def _begin(self, request_id: str, model: str) -> Iterator[bytes]:
        if not self._head:
            self._head = envelope("chatcmpl", "chat.completion.chunk", request_id, model)
            yield self._chunk({"role": "assistant", "content": ""})

    def _chunk(self, delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return event({**self._head, "choices": [choice], **more})
