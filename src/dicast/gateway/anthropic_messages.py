"""`/v1/messages`: Anthropic's dialect, whole and streamed."""

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
from dicast.gateway.conversation import Part, Turn, conversation, text_of
from dicast.gateway.errors import Dialect, GatewayError
from dicast.gateway.flow import Settled, marked, reading_along, shown
from dicast.gateway.frames import FrameFields, frame_of_headers, frame_options
from dicast.gateway.json_format import JsonForm
from dicast.gateway.neutral import Neutral, check_neutral
from dicast.gateway.openai_chat import said_by, with_form
from dicast.gateway.openai_fields import Temperature, Tokens
from dicast.gateway.parts import Parts
from dicast.gateway.replies import event, json_response, pieces
from dicast.gateway.told import dicast_headers
from dicast.gateway.tools import Call, Offer, anthropic_choice, anthropic_tools, offer

PING = event({"type": "ping"}, "ping")


class MessagesRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body; fields of type Any are refused unless they ask for nothing."""

    model: str
    messages: list[Turn]
    max_tokens: Tokens
    system: str | list[Part] = ""
    models: tuple[str, ...] = ()
    dicast: FrameFields = FrameFields()
    stream: bool | None = None
    temperature: Temperature | None = None
    metadata: dict[str, Any] | None = None
    service_tier: Any = None
    stop_sequences: Any = None
    top_k: Any = None
    top_p: Any = None
    tools: Any = None
    tool_choice: Any = None
    thinking: Any = None
    container: Any = None
    mcp_servers: Any = None
    context_management: Any = None
    output_config: Any = None
    output_format: Any = None
    diagnostics: Any = None
    inference_geo: Any = None
    speed: Any = None
    cache_control: Any = None
    user_profile_id: str | None = None
    workspace_id: str | None = None


NEUTRAL: Neutral = {
    "service_tier": ("auto", "standard_only"),
    "stop_sequences": ([],),
    "top_k": (),
    "top_p": (1,),
    "thinking": ({"type": "disabled"},),
    "container": (),
    "mcp_servers": ([],),
    "context_management": (),
    "output_config": ({},),
    "output_format": (),
    "diagnostics": (),
    "inference_geo": (),
    "speed": ("standard",),
}


class MessagesRoute:
    """Answers `POST /v1/messages`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def post(self, request: Request) -> Response:
        """One message."""
        body = await read_body(request, MessagesRequest, self._parts.budgets.body_s)
        offered = offer(anthropic_tools(body.tools), anthropic_choice(body.tool_choice))
        wanted = _wanted(body, request, offered)
        if body.stream:
            wanted = reading_along(request, body.dicast, wanted)
            return await self._parts.stream(request, wanted, _Telling(body.model, offered))
        agreed = await self._parts.agreed(request, wanted)
        text, call = said_by(agreed, offered)
        content = [_tool_use(agreed, call) if call else {"type": "text", "text": text}]
        answer = {
            **_message(agreed.request_id, agreed.model),
            "content": content,
            "stop_reason": _stop(agreed, call),
        }
        told = {"usage": _usage(agreed), "dicast": agreed.field}
        return json_response({**answer, **told}, dicast_headers(agreed.field))


def _wanted(body: MessagesRequest, request: Request, offered: Offer) -> Wanted:
    check_neutral(msgspec.structs.asdict(body), NEUTRAL)
    headers = frame_of_headers(request.headers.items())
    options = frame_options(body.model, body.models, body.dicast, headers)
    said = conversation(body.messages, text_of(body.system, "system"))
    options.update(AskKeywords(max_tokens=body.max_tokens))
    if body.temperature is not None:
        options["temperature"] = body.temperature
    return with_form(said, options, JsonForm(), offered)


def _message(request_id: str, model: str) -> dict[str, Any]:
    return {
        "id": f"msg_{request_id}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _usage(agreed: Agreed) -> dict[str, int]:
    """The winner's own count; the dialect needs numbers, so an unknown count is 0."""
    if agreed.usage is None:
        return {"input_tokens": 0, "output_tokens": 0}
    return {
        "input_tokens": agreed.usage.prompt_tokens,
        "output_tokens": agreed.usage.completion_tokens,
    }


def _tool_use(agreed: Agreed, call: Call) -> dict[str, Any]:
    return {
        "type": "tool_use",
        "id": f"toolu_{agreed.request_id[:24]}",
        "name": call.name,
        "input": call.arguments,
    }


def _stop(agreed: Agreed, call: Call | None) -> str:
    if call:
        return "tool_use"
    return "max_tokens" if agreed.cut else "end_turn"


class _Telling:
    """A message that is streamed."""

    waiting = PING

    def __init__(self, model: str, offered: Offer) -> None:
        self._model = model
        self._offered = offered
        self._has_begun = False

    def provisional(self, request_id: str, piece: Piece) -> Iterator[bytes]:
        """A piece before the verdict."""
        if not self._has_begun:
            yield from self._begin(_message(request_id, self._model), {"type": "text", "text": ""})
        yield _delta({"type": "text_delta", "text": shown(piece)}, dicast=marked(piece))

    def agreed(self, agreed: Agreed, settled: Settled) -> Iterator[bytes]:
        """What is left of the answer, or the call, and the end."""
        usage = _usage(agreed)
        text, call = said_by(agreed, self._offered)
        if not self._has_begun:
            block: dict[str, Any] = {"type": "text", "text": ""}
            if call:
                block = {**_tool_use(agreed, call), "input": {}}
            message = {**_message(agreed.request_id, agreed.model), "dicast": settled.field}
            yield from self._begin(message, block, usage["input_tokens"])
        if call:
            arguments = msgspec.json.encode(call.arguments).decode()
            yield _delta({"type": "input_json_delta", "partial_json": arguments})
        for piece in pieces(text if self._offered.is_open else settled.rest):
            yield _delta({"type": "text_delta", "text": piece})
        yield _said("content_block_stop", index=0)
        ending = {"stop_reason": _stop(agreed, call), "stop_sequence": None}
        yield _said("message_delta", delta=ending, usage=usage, dicast=settled.field)
        yield _said("message_stop")

    def failed(self, error: GatewayError) -> Iterable[bytes]:
        """There is no answer."""
        return (event(error.body(Dialect.ANTHROPIC), "error"),)

    def _begin(
        self, message: dict[str, Any], block: dict[str, Any], input_tokens: int = 0
    ) -> Iterator[bytes]:
        self._has_begun = True
        begun = {**message, "usage": {"input_tokens": input_tokens, "output_tokens": 0}}
        yield _said("message_start", message=begun)
        yield _said("content_block_start", index=0, content_block=block)


def _said(name: str, **fields: Any) -> bytes:
    return event({"type": name, **fields}, name)


def _delta(delta: dict[str, Any], **more: Any) -> bytes:
    return _said("content_block_delta", index=0, delta=delta, **more)
