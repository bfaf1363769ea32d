"""`POST /api/ask` and `POST /api/plan`: the native way to ask, with the round's events while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dicast.base.limits import MAX_TOKENS_MAX
from dicast.client import AskKeywords, Event
from dicast.daemon.api import EVENT_NAMES, PlanResult, ReportsDropped
from dicast.gateway.asking import Agreed, Wanted
from dicast.gateway.bodies import read_body
from dicast.gateway.errors import Dialect, GatewayError
from dicast.gateway.flow import reading_along
from dicast.gateway.frames import ANY_MODEL, FrameFields, frame_of_headers, frame_options
from dicast.gateway.parts import Parts, caller_of
from dicast.gateway.replies import STREAM_HEADERS, event, json_response, while_connected
from dicast.protocol.messages import Message, Usage

EVENTS_WAITING_MAX = 2_048
"""A round of 256 seats makes about 800; whoever reads slower than that loses events, never the answer."""
ALIVE = b": still asking\n\n"


class NativeAsk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question; `frame` says how sure to be. What is left out is as the gateway is set to."""

    prompt: Annotated[str, msgspec.Meta(min_length=1)]
    system: str = ""
    history: Annotated[tuple[Message, ...], msgspec.Meta(max_length=255)] = ()
    frame: FrameFields = FrameFields()
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=MAX_TOKENS_MAX)] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    schema: str = ""
    stream: bool = False


class NativeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How a question ended: `answer` is null where the network did not agree, `dicast` says why."""

    answer: str | None
    request_id: str
    dicast: dict[str, Any]
    usage: Usage | None


class AskRoutes:
    """Asks the network, or says what asking would mean."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def plan(self, request: Request) -> Response:
        """What asking would mean; sends nothing."""
        body = await read_body(request, NativeAsk, self._parts.budgets.body_s)
        plan: PlanResult = await self._parts.asker.plan(_wanted(body, request))
        return json_response(plan)

    async def ask(self, request: Request) -> Response:
        """The agreed answer, or that there is none."""
        body = await read_body(request, NativeAsk, self._parts.budgets.body_s)
        wanted = _wanted(body, request)
        if body.stream:
            wanted = reading_along(request, body.frame, wanted)
            await self._parts.asker.check(wanted)
            return AskStream(self._parts, wanted, request)
        answer = await while_connected(request.receive, answered(self._parts.asker.ask(wanted)))
        caller_of(request).check()
        return json_response(answer)


class AskStream(Response):
    """The round's events as they come, then the answer. Closing the connection cancels the round."""

    def __init__(self, parts: Parts, wanted: Wanted, request: Request) -> None:
        super().__init__(headers=STREAM_HEADERS)
        del self.headers["content-length"]
        self._parts = parts
        self._wanted = wanted
        self._check = caller_of(request).check
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Speak until the answer."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        asking = asyncio.ensure_future(self._ask())
        leaving = asyncio.ensure_future(self._left(receive, asking))
        try:
            await self._follow(send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            for task in (asking, leaving):
                task.cancel()
            await asyncio.gather(asking, leaving, return_exceptions=True)

    async def _follow(self, send: Send) -> None:
        while True:
            try:
                async with asyncio.timeout(self._parts.budgets.keep_alive_s):
                    chunk = await self._chunks.get()
            except TimeoutError:
                chunk = ALIVE
            try:
                self._check()
            except GatewayError as error:
                chunk = _error_event(error)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                return
            if chunk is None:
                return
            await send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def _ask(self) -> None:
        try:
            answer = await answered(self._parts.asker.ask(self._wanted, self._hear))
            chunk = event({"type": "answer", "data": answer})
        except GatewayError as error:
            self._parts.metrics.count_error(error.code)
            chunk = _error_event(error)
        except Exception as error:
            chunk = _error_event(self._parts.bug(error))
        self._chunks.put_nowait(chunk)
        self._chunks.put_nowait(None)

    async def _left(self, receive: Receive, asking: asyncio.Future[None]) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        asking.cancel()
        self._chunks.put_nowait(None)

    def _hear(self, told: Event) -> None:
        if self._chunks.qsize() >= EVENTS_WAITING_MAX:
            return
        name = "gap" if isinstance(told, ReportsDropped) else EVENT_NAMES[type(told)]
        values = msgspec.to_builtins(told)
        values.pop("certificate", None)
        self._chunks.put_nowait(event({"type": name, "data": values}))


async def answered(work: Coroutine[Any, Any, Agreed]) -> NativeAnswer:
    """An undetermined round is an answer here, not an error."""
    try:
        agreed = await work
    except GatewayError as error:
        if error.code != "undetermined" or error.told is None:
            raise
        request_id = error.told.get("request_id") or error.told.get("certificate") or ""
        return NativeAnswer(answer=None, request_id=request_id, dicast=error.told, usage=None)
    return NativeAnswer(
        answer=agreed.text, request_id=agreed.request_id, dicast=agreed.field, usage=agreed.usage
    )


def _wanted(body: NativeAsk, request: Request) -> Wanted:
    first, *others = body.frame.models or (ANY_MODEL,)
    frame = msgspec.structs.replace(body.frame, models=tuple(others) or None)
    options = frame_options(first, (), frame, frame_of_headers(request.headers.items()))
    more: AskKeywords = {"system": body.system, "history": body.history, "schema": body.schema}
    if body.max_tokens is not None:
        more["max_tokens"] = body.max_tokens
    if body.temperature is not None:
        more["temperature"] = body.temperature
    options.update(more)
    return Wanted(body.prompt, options)


def _error_event(error: GatewayError) -> bytes:
    return event({"type": "error", "data": error.body(Dialect.NATIVE)["error"]})
