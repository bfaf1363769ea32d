"""`/v1/messages`: Anthropic's dialect, whole and streamed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dicast.client import AskKeywords
from dicast.gateway.asking import Agreed, Wanted
from dicast.gateway.bodies import read_body
from dicast.gateway.conversation import Part, Turn, conversation, text_of
from dicast.gateway.errors import Dialect, GatewayError
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
            return await self._parts.stream(
                request, wanted, PING, lambda agreed: tuple(_events(agreed, offered)), _failed
            )
        agreed = await self._parts.agreed(request, wanted)
        text, call = said_by(agreed, offered)
        content = [_tool_use(agreed, call) if call else {"type": "text", "text": text}]
        answer = {**_message(agreed), "content": content, "stop_reason": _stop(agreed, call)}
        return json_response({**answer, "usage": _usage(agreed)}, dicast_headers(agreed.field))


def _wanted(body: MessagesRequest, request: Request, offered: Offer) -> Wanted:
    check_neutral(msgspec.structs.asdict(body), NEUTRAL)
    headers = frame_of_headers(request.headers.items())
    options = frame_options(body.model, body.models, body.dicast, headers)
    said = conversation(body.messages, text_of(body.system, "system"))
    options.update(AskKeywords(max_tokens=body.max_tokens))
    if body.temperature is not None:
        options["temperature"] = body.temperature
    return with_form(said, options, JsonForm(), offered)


def _failed(error: GatewayError) -> Iterable[bytes]:
    return (event(error.body(Dialect.ANTHROPIC), "error"),)


def _message(agreed: Agreed) -> dict[str, Any]:
    return {
        "id": f"msg_{agreed.request_id}",
        "type": "message",
        "role": "assistant",
        "model": agreed.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "dicast": agreed.field,
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


def _events(agreed: Agreed, offered: Offer) -> Iterator[bytes]:
    usage = _usage(agreed)
    text, call = said_by(agreed, offered)

    def said(name: str, **fields: Any) -> bytes:
        return event({"type": name, **fields}, name)

    begun = {**_message(agreed), "usage": {**usage, "output_tokens": 0}}
    yield said("message_start", message=begun)
    block: dict[str, Any] = {"type": "text", "text": ""}
    if call:
        block = {**_tool_use(agreed, call), "input": {}}
    yield said("content_block_start", index=0, content_block=block)
    if call:
        arguments = msgspec.json.encode(call.arguments).decode()
        yield said(
            "content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": arguments}
        )
    for piece in pieces(text):
        yield said("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
    yield said("content_block_stop", index=0)
    ending = {"stop_reason": _stop(agreed, call), "stop_sequence": None}
    yield said("message_delta", delta=ending, usage=usage)
    yield said("message_stop")
