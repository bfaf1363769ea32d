"""Lines of OpenAI's batches: each is a request to a route of the gateway, answered by that very route."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.types import Message

from dicast.base.errors import DicastError
from dicast.batch.book import Line
from dicast.batch.dispatch import Dispatcher
from dicast.batch.input import read_line
from dicast.batch.plain import asked_nodes
from dicast.batch.runner import Answering, Outcome
from dicast.client import AsyncClient
from dicast.daemon.config_schema import AskSettings
from dicast.daemon.logs import Log
from dicast.gateway.asking import Asker
from dicast.gateway.bodies import BODY_BYTES_MAX
from dicast.gateway.errors import GatewayError, of_node, unsupported
from dicast.gateway.guard import Caller
from dicast.gateway.metrics import Metrics
from dicast.gateway.openai_chat import ChatRoute
from dicast.gateway.openai_completions import CompletionRoute
from dicast.gateway.openai_embeddings import EmbeddingsRoute
from dicast.gateway.openai_responses import ResponsesRoute
from dicast.gateway.parts import Endpoint, Parts
from dicast.gateway.spending import SPENDER

ASKING_MAX = 96
"""Questions of batches at the node at a time: with the 24 of clients these are 120, and it takes 128."""


class BatchLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the input."""

    custom_id: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    url: str
    body: msgspec.Raw
    method: str = "POST"


class _Streamed(msgspec.Struct, frozen=True):
    stream: Any = None


class LineAnswers:
    """Answers the lines of one file. `caller` is whose batch it is, `only` the route that it is for."""

    def __init__(self, path: Path, endpoints: Mapping[str, Endpoint], caller: Caller, only: str = "") -> None:
        self._path = path
        self._endpoints = endpoints
        self._caller = caller
        self._only = only

    async def answer(self, line: Line) -> Outcome:
        """The line's outcome; a line that cannot be read has one as well."""
        custom_id: str | None = None
        try:
            content = read_line(self._path, line)
            custom_id = id_of(content)
            return await self._asked(_read(content, self._only, self._endpoints))
        except DicastError as error:
            refusal = of_node(error)
        except GatewayError as error:
            refusal = error
        return Outcome(False, failed_line(line, custom_id, refusal.code, refusal.message))

    async def _asked(self, asked: BatchLine) -> Outcome:
        SPENDER.set(self._caller.record)
        response = await self._endpoints[asked.url](_request(asked, self._caller))
        body = bytes(response.body)
        request_id = response.headers.get("x-dicast-request-id", "")
        ok = response.status_code < 300
        written = {
            "id": _line_id(asked.custom_id, body),
            "custom_id": asked.custom_id,
            "response": {
                "status_code": response.status_code,
                "request_id": request_id,
                "body": msgspec.Raw(body or b"null"),
            },
            "error": None if ok else _error_of(body),
            "dicast": {"nodes": asked_nodes()},
        }
        return Outcome(ok, msgspec.json.encode(written))


def endpoints_for(parts: Parts, client: AsyncClient) -> dict[str, Endpoint]:
    """The routes that lines may name, over a client of the batches' own; spending is counted where it was."""
    parts = parts._replace(client=client, asker=parts.asker.over(client, ASKING_MAX))
    return {
        "/v1/chat/completions": parts.answering(ChatRoute(parts).post),
        "/v1/completions": parts.answering(CompletionRoute(parts).post),
        "/v1/responses": parts.answering(ResponsesRoute(parts).post),
        "/v1/embeddings": parts.answering(EmbeddingsRoute(parts).post),
    }


def answers_for(path: Path, dispatcher: Dispatcher, defaults: AskSettings) -> Answering:
    """For the command line, where nobody has a key."""
    metrics = Metrics()
    parts = Parts(dispatcher, Asker(dispatcher, defaults, metrics), metrics, Log("warning", False))
    return LineAnswers(path, endpoints_for(parts, dispatcher), _Anybody()).answer


def failed_line(line: Line, custom_id: str | None, code: str, message: str) -> bytes:
    """What is written for a line that nobody was asked."""
    error = {"code": code, "message": message, "line": line.number + 1}
    named = _line_id(custom_id or "", str(line.number).encode())
    return msgspec.json.encode({"id": named, "custom_id": custom_id, "response": None, "error": error})


def id_of(content: bytes) -> str | None:
    """The `custom_id` of a line, if that much of it can be read."""
    try:
        named: Any = msgspec.json.decode(content).get("custom_id")
    except (msgspec.MsgspecError, UnicodeDecodeError, AttributeError, RecursionError):
        return None
    return named if isinstance(named, str) else None


class _Anybody(Caller):
    """Whoever sits at this machine."""

    def __init__(self) -> None:
        self.record = None

    def check(self) -> None:
        """Nothing can be revoked."""


def _read(content: bytes, only: str, endpoints: Mapping[str, Endpoint]) -> BatchLine:
    try:
        line = msgspec.json.decode(content, type=BatchLine)
        streamed = msgspec.json.decode(line.body, type=_Streamed)
    except msgspec.ValidationError as error:
        raise GatewayError("invalid_request", f"The line is malformed: {error}.") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise GatewayError("invalid_json", f"The line is no JSON: {error}.") from error
    if line.method != "POST" or line.url not in endpoints or (only and line.url != only):
        wanted = only or " or ".join(endpoints)
        raise GatewayError("invalid_request", f"Lines of this batch say POST and {wanted}.", field="url")
    if streamed.stream:
        raise unsupported("stream", "The answers of a batch are written into a file.")
    if len(bytes(line.body)) > BODY_BYTES_MAX:
        raise GatewayError("body_too_large", f"A body has at most {BODY_BYTES_MAX} bytes.")
    return line


def _request(line: BatchLine, caller: Caller) -> Request:
    """The request as if it had come by HTTP, from a client that does not go away."""
    told = False

    async def receive() -> Message:
        nonlocal told
        if told:
            await asyncio.Event().wait()
        told = True
        return {"type": "http.request", "body": bytes(line.body), "more_body": False}

    scope = {
        "type": "http",
        "method": line.method,
        "path": line.url,
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "dicast_caller": caller,
    }
    return Request(scope, receive)


def _error_of(body: bytes) -> dict[str, Any]:
    error = msgspec.json.decode(body)["error"]
    return {"code": error["code"], "message": error["message"]}


def _line_id(custom_id: str, more: bytes) -> str:
    return "batch_req_" + hashlib.sha256(custom_id.encode("utf-8", "replace") + b"\n" + more).hexdigest()[:24]
