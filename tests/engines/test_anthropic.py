"""The `anthropic` engine against servers that misbehave and lie; a real one is in the conformance suite."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from asked_engines import answer_of, failure_of
from dicast.base.errors import AdapterError
from dicast.engines.anthropic import AnthropicEngine
from dicast.ports import Generation

pytestmark = pytest.mark.anyio
KEY = "sk-ant-very-secret-0123456789"
START = {
    "type": "message_start",
    "message": {
        "model": "m-2",
        "usage": {"input_tokens": 5, "cache_read_input_tokens": 2, "output_tokens": 1},
    },
}


def text(piece: object) -> dict[str, Any]:
    return {"type": "content_block_delta", "delta": {"type": "text_delta", "text": piece}}


def end(reason: object, tokens: object = 3) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": tokens}}


def stream(*events: dict[str, Any]) -> bytes:
    lines = (f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    return "".join(lines).encode()


async def run(server: Any, job: Any, **options: Any) -> Generation:
    return await answer_of(AnthropicEngine(server.url, **options), job)


async def failure(server: Any, job: Any, **options: Any) -> AdapterError:
    return await failure_of(AnthropicEngine(server.url, **options), job)


async def test_the_request_says_what_the_job_says(chat_server: Any, job: Any) -> None:
    chat_server.script = chat_server.raw(stream(START, text("yes"), end("end_turn")))
    await run(chat_server, job(schema='{"type":"object"}', temperature_milli=1500), key=KEY)
    (listed, _, _), (first, headers, body) = chat_server.requests
    assert (listed, first) == ("GET /v1/models?limit=1000 HTTP/1.1", "POST /v1/messages HTTP/1.1")
    assert (headers["x-api-key"], headers["anthropic-version"]) == (KEY, "2023-06-01")
    assert json.loads(body) == {
        "model": "m",
        "max_tokens": 16,
        "messages": [{"role": "user", "content": "hi"}],
        "system": "be brief",
        "temperature": 1.0,
        "stream": True,
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
    }


async def test_counts_come_in_parts_and_thoughts_are_no_answer(chat_server: Any, job: Any) -> None:
    thought = {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "hm"}}
    events = (
        START,
        {"type": "ping"},
        thought,
        text("a"),
        text("b"),
        end("max_tokens", 9),
        {"type": "message_stop"},
    )
    chat_server.script = chat_server.raw(stream(*events))
    got = await run(chat_server, job())
    assert (got.text, got.model, got.prompt_tokens, got.completion_tokens) == ("ab", "m-2", 7, 9)


async def test_a_model_without_a_temperature_is_asked_again_without(chat_server: Any, job: Any) -> None:
    answers = [
        chat_server.status(400, b'{"error":{"message":"temperature is not supported by this model"}}'),
        chat_server.raw(stream(START, text("yes"), end("end_turn"))),
    ]

    async def script(writer: Any) -> None:
        await answers.pop(0)(writer)

    chat_server.script = script
    assert (await run(chat_server, job())).text == "yes"
    bodies = [json.loads(body) for first, _, body in chat_server.requests if first.startswith("POST")]
    assert ["temperature" in body for body in bodies] == [True, False]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"data: {not json\n\n", "engine_bad_answer"),
        (b"data: [" * 3 + b"\n\n", "engine_bad_answer"),
        (stream(text(5)), "engine_bad_answer"),
        (stream(START, text("half")), "engine_unreachable"),
        (stream(START, end("end_turn")), "engine_bad_answer"),
        (stream(START, text("a"), end("tool_use")), "engine_bad_answer"),
        (stream(START, text("a"), end("refusal")), "engine_refused"),
        (stream(START, {"type": "error", "error": {"message": "overloaded"}}), "engine_refused"),
        (
            stream(START, {"type": "error", "error": {"message": "prompt is too long"}}),
            "context_length_exceeded",
        ),
        (stream(START, text("x" * 50_000)), "answer_too_large"),
    ],
)
async def test_what_is_no_answer_is_an_error_with_its_reason(
    chat_server: Any, job: Any, body: bytes, code: str
) -> None:
    chat_server.script = chat_server.raw(body)
    assert (await failure(chat_server, job())).code == code


@pytest.mark.parametrize(
    ("status", "code"), [(401, "engine_refused"), (413, "context_length_exceeded"), (529, "engine_refused")]
)
async def test_refusals_are_told_apart_and_never_show_the_key(
    chat_server: Any, job: Any, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    chat_server.script = chat_server.status(status, f"no: {KEY}".encode())
    error = await failure(chat_server, job(), key=KEY)
    assert error.code == code
    assert KEY not in caplog.text + str(error) + repr(AnthropicEngine(key=KEY))


async def test_a_list_that_is_none_offers_nothing(chat_server: Any) -> None:
    engine = AnthropicEngine(chat_server.url)
    for listing in (None, b"[]", b'{"data": 7}', b"\xff"):
        chat_server.listing = listing
        assert await engine.models() == ()
    chat_server.listing = json.dumps({"data": [{"id": "claude"}, {"id": ""}]}).encode()
    assert [(model.name, model.context_tokens) for model in await engine.models()] == [("claude", 200_000)]
    await engine.close()
