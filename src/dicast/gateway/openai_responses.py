"""`/v1/responses`: OpenAI's newer route, whole and streamed; nothing is stored between requests."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dicast.daemon.provisional import Piece
from dicast.gateway.asking import Agreed, Wanted
from dicast.gateway.bodies import read_body
from dicast.gateway.conversation import CalledFunction, Content, ToolCall, Turn, conversation
from dicast.gateway.errors import GatewayError, invalid, unsupported
from dicast.gateway.flow import Settled, marked, reading_along, shown
from dicast.gateway.frames import FrameFields, frame_of_headers, frame_options
from dicast.gateway.json_format import JsonSchema, ResponseFormat, json_form
from dicast.gateway.neutral import Neutral, check_neutral
from dicast.gateway.openai_chat import WAITING, said_by, with_form
from dicast.gateway.openai_fields import StreamOptions, Temperature, Tokens, frame_of_stream
from dicast.gateway.parts import Parts
from dicast.gateway.replies import event, json_response, pieces
from dicast.gateway.told import dicast_headers
from dicast.gateway.tools import Call, Offer, offer, openai_choice, openai_tools


class Item(msgspec.Struct, frozen=True):
    """One item of `input`: a message, a call of an earlier turn, or what came of it."""

    type: str = "message"
    role: str = ""
    content: Content = None
    call_id: str = ""
    name: str = ""
    arguments: str = "{}"
    output: Content = None


class TextFormat(msgspec.Struct, frozen=True):
    """`text.format`: as `response_format`, one level flatter."""

    type: str = "text"
    name: str = ""
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None


class TextOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`text`."""

    format: TextFormat = TextFormat()
    verbosity: Any = None


class ResponsesRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body; fields of type Any are refused unless they ask for nothing."""

    model: str
    input: str | list[Item]
    instructions: str | None = None
    models: tuple[str, ...] = ()
    dicast: FrameFields = FrameFields()
    max_output_tokens: Tokens | None = None
    temperature: Temperature | None = None
    text: TextOptions = TextOptions()
    tools: Any = None
    tool_choice: Any = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    metadata: dict[str, Any] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None
    store: bool | None = None
    parallel_tool_calls: Any = None
    access_programs: Any = None
    background: Any = None
    context_management: Any = None
    conversation: Any = None
    image: Any = None
    include: Any = None
    max_tool_calls: Any = None
    moderation: Any = None
    previous_response_id: Any = None
    prompt: Any = None
    reasoning: Any = None
    service_tier: Any = None
    top_logprobs: Any = None
    top_p: Any = None
    truncation: Any = None


NEUTRAL: Neutral = {
    "parallel_tool_calls": (True, False),
    "access_programs": ([],),
    "background": (False,),
    "context_management": ([],),
    "conversation": (),
    "image": (),
    "include": ([],),
    "max_tool_calls": (),
    "moderation": (),
    "previous_response_id": (),
    "prompt": (),
    "reasoning": ({}, {"effort": "none"}),
    "service_tier": ("auto", "default"),
    "top_logprobs": (0,),
    "top_p": (1,),
    "truncation": ("disabled",),
}


class ResponsesRoute:
    """Answers `POST /v1/responses`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def post(self, request: Request) -> Response:
        """One response."""
        body = await read_body(request, ResponsesRequest, self._parts.budgets.body_s)
        offered = offer(openai_tools(body.tools), openai_choice(body.tool_choice))
        wanted = _wanted(body, request, offered)
        if body.stream:
            wanted = reading_along(request, frame_of_stream(body.dicast, body.stream_options), wanted)
            return await self._parts.stream(request, wanted, _Telling(body, offered))
        agreed = await self._parts.agreed(request, wanted)
        return json_response(_whole(body, agreed, offered), dicast_headers(agreed.field))


def _wanted(body: ResponsesRequest, request: Request, offered: Offer) -> Wanted:
    check_neutral(msgspec.structs.asdict(body), NEUTRAL)
    if body.text.verbosity not in (None, "medium"):
        raise unsupported("text.verbosity")
    options = frame_options(body.model, body.models, body.dicast, frame_of_headers(request.headers.items()))
    if body.max_output_tokens is not None:
        options["max_tokens"] = body.max_output_tokens
    if body.temperature is not None:
        options["temperature"] = body.temperature
    said = conversation(_turns(body.input), body.instructions or "", "input")
    return with_form(said, options, json_form(_format(body.text.format)), offered)


def _turns(given: str | list[Item]) -> list[Turn]:
    if isinstance(given, str):
        return [Turn("user", given)]
    return [_turn(item, f"input[{number}]") for number, item in enumerate(given)]


def _turn(item: Item, field: str) -> Turn:
    match item.type:
        case "message":
            return Turn(item.role, item.content)
        case "function_call":
            call = ToolCall(CalledFunction(item.name, item.arguments), item.call_id)
            return Turn("assistant", tool_calls=[call])
        case "function_call_output":
            return Turn("tool", item.output, tool_call_id=item.call_id)
        case _:
            raise unsupported(field, f"Items of the type {item.type[:64]!r} do not travel.")


def _format(wanted: TextFormat) -> ResponseFormat:
    if wanted.type == "json_schema" and wanted.schema is None:
        raise invalid("text.format.schema", "json_schema needs a schema.")
    schema = JsonSchema(wanted.schema, wanted.name) if wanted.schema is not None else None
    return ResponseFormat(wanted.type, schema)


def _whole(body: ResponsesRequest, agreed: Agreed, offered: Offer) -> dict[str, Any]:
    text, call = said_by(agreed, offered)
    output = _call_item(agreed, call) if call else _message_item(agreed, text)
    cut = {"reason": "max_output_tokens"} if agreed.cut else None
    return {
        "id": f"resp_{agreed.request_id}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "incomplete" if cut else "completed",
        "error": None,
        "incomplete_details": cut,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "metadata": body.metadata or {},
        "model": agreed.model,
        "output": [output],
        "parallel_tool_calls": False,
        "previous_response_id": None,
        "store": False,
        "temperature": body.temperature,
        "text": {"format": {"type": body.text.format.type}},
        "tool_choice": body.tool_choice or "auto",
        "tools": body.tools or [],
        "top_p": 1,
        "truncation": "disabled",
        "usage": _usage(agreed),
        "dicast": agreed.field,
    }


def _usage(agreed: Agreed) -> dict[str, Any] | None:
    if agreed.usage is None:
        return None
    prompt, completion = agreed.usage.prompt_tokens, agreed.usage.completion_tokens
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": prompt + completion,
    }


def _message_item(agreed: Agreed, text: str) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    state = "incomplete" if agreed.cut else "completed"
    return {
        "type": "message",
        "id": f"msg_{agreed.request_id}",
        "status": state,
        "role": "assistant",
        "content": content,
    }


def _call_item(agreed: Agreed, call: Call) -> dict[str, Any]:
    return {
        "type": "function_call",
        "id": f"fc_{agreed.request_id}",
        "call_id": f"call_{agreed.request_id[:24]}",
        "name": call.name,
        "arguments": msgspec.json.encode(call.arguments).decode(),
        "status": "completed",
    }


class _Telling:
    """A response that is streamed: its events in the order that clients expect."""

    waiting = WAITING

    def __init__(self, body: ResponsesRequest, offered: Offer) -> None:
        self._body = body
        self._offered = offered
        self._number = 0
        self._request_id = ""

    def provisional(self, request_id: str, piece: Piece) -> Iterator[bytes]:
        """A piece before the verdict."""
        if not self._request_id:
            nothing = Agreed("", request_id, self._body.model, None, cut=False, field={"provisional": True})
            whole = _whole(self._body, nothing, self._offered)
            yield from self._begin(whole, request_id)
            yield from self._begin_text(whole["output"][0])
        yield self._delta(shown(piece), dicast=marked(piece))

    def agreed(self, agreed: Agreed, settled: Settled) -> Iterator[bytes]:
        """What is left of the answer, or the call, and the end, which tells the agreed answer whole."""
        is_new = not self._request_id
        whole = _whole(self._body, agreed, self._offered)
        whole["dicast"] = settled.field
        item = whole["output"][0]
        if is_new:
            yield from self._begin(whole, agreed.request_id)
        if item["type"] != "message":
            yield from self._call(item)
        else:
            text = item["content"][0]["text"]
            yield from self._text(item, is_new, text if self._offered.is_open else settled.rest)
        whole["id"] = f"resp_{self._request_id}"
        yield self._said(f"response.{whole['status']}", response=whole)

    def failed(self, error: GatewayError) -> Iterable[bytes]:
        """There is no answer."""
        fields = {"code": error.code, "message": error.message, "param": error.field}
        told = {} if error.told is None else {"dicast": error.told}
        return (self._said("error", **fields, **told),)

    def _begin(self, whole: dict[str, Any], request_id: str) -> Iterator[bytes]:
        self._request_id = request_id
        fresh: dict[str, Any] = {"output": [], "usage": None, "incomplete_details": None}
        begun = {**whole, "status": "in_progress", **fresh}
        yield self._said("response.created", response=begun)
        yield self._said("response.in_progress", response=begun)

    def _begin_text(self, item: dict[str, Any]) -> Iterator[bytes]:
        begun: dict[str, Any] = {**item, "status": "in_progress", "content": []}
        yield self._said("response.output_item.added", output_index=0, item=begun)
        part = {**item["content"][0], "text": ""}
        yield self._said("response.content_part.added", **self._place(), part=part)

    def _text(self, item: dict[str, Any], is_new: bool, rest: str) -> Iterator[bytes]:
        part = item["content"][0]
        item["id"] = f"msg_{self._request_id}"
        if is_new:
            yield from self._begin_text(item)
        for piece in pieces(rest):
            yield self._delta(piece)
        yield self._said("response.output_text.done", **self._place(), text=part["text"], logprobs=[])
        yield self._said("response.content_part.done", **self._place(), part=part)
        yield self._said("response.output_item.done", output_index=0, item=item)

    def _call(self, item: dict[str, Any]) -> Iterator[bytes]:
        place = {"item_id": item["id"], "output_index": 0}
        begun: dict[str, Any] = {**item, "status": "in_progress", "arguments": ""}
        yield self._said("response.output_item.added", output_index=0, item=begun)
        yield self._said("response.function_call_arguments.delta", **place, delta=item["arguments"])
        done = {"name": item["name"], "arguments": item["arguments"]}
        yield self._said("response.function_call_arguments.done", **place, **done)
        yield self._said("response.output_item.done", output_index=0, item=item)

    def _delta(self, text: str, **more: Any) -> bytes:
        return self._said("response.output_text.delta", **self._place(), delta=text, logprobs=[], **more)

    def _place(self) -> dict[str, Any]:
        return {"item_id": f"msg_{self._request_id}", "output_index": 0, "content_index": 0}

    def _said(self, kind: str, /, **fields: Any) -> bytes:
        self._number += 1
        return event({"type": kind, "sequence_number": self._number - 1, **fields}, kind)
