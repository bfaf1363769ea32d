"""The `openai` engine against servers that behave, misbehave and lie."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from asked_engines import answer_of, failure_of
from dicast.base.errors import AdapterError, ConfigurationError
from dicast.engines.answer import ANSWER_BYTES_MAX
from dicast.engines.model_server import read_key
from dicast.engines.openai import OpenAIEngine, find_ollama
from dicast.engines.sse import LINE_BYTES_MAX, STREAM_BYTES_MAX
from dicast.ports import Generation
from dicast.protocol.messages import OfferedModel

pytestmark = pytest.mark.anyio
KEY = "sk-very-secret-0123456789"


async def run(server: Any, job: Any, **options: Any) -> Generation:
    return await answer_of(OpenAIEngine(server.url, **options), job)


async def failure(server: Any, job: Any, **options: Any) -> AdapterError:
    return await failure_of(OpenAIEngine(server.url, **options), job)


async def test_the_request_says_what_the_job_says(chat_server: Any, job: Any) -> None:
    await run(chat_server, job(schema='{"type":"object"}'), key=KEY)
    (_, _, _), (first, headers, body) = chat_server.requests
    assert (first, headers["authorization"]) == ("POST /v1/chat/completions HTTP/1.1", f"Bearer {KEY}")
    assert json.loads(body) == {
        "model": "m",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
        "max_tokens": 16,
        "temperature": 0.7,
        "seed": 5,
        "stream": True,
        "stream_options": {"include_usage": True},
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": {"type": "object"}},
        },
    }


async def test_usage_and_the_servers_model_are_reported(chat_server: Any, job: Any) -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}
    body = b": keep-alive\r\n\r\n" + b"".join(
        chat_server.event(event)
        for event in (
            chat_server.chunk("a", model="m-2026"),
            chat_server.chunk("b", "length", "m-2026"),
            usage,
        )
    )
    chat_server.script = chat_server.raw(body)
    got = await run(chat_server, job())
    assert (got.text, got.model, got.prompt_tokens, got.completion_tokens, got.engine) == (
        *("ab", "m-2026", 7, 2),
        "openai",
    )


@pytest.mark.parametrize("ending", ["stop", "length", None])
async def test_an_answer_ends_by_its_reason_or_by_done(
    chat_server: Any, job: Any, ending: str | None
) -> None:
    chat_server.script = chat_server.say("yes", ending=ending, done=ending is None)
    assert (await run(chat_server, job())).text == "yes"


async def test_a_server_that_does_not_stream_is_understood(chat_server: Any, job: Any) -> None:
    body = {"model": "m", "choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}]}
    chat_server.script = chat_server.raw(json.dumps(body).encode(), "application/json")
    assert (await run(chat_server, job())).text == "whole"


def chunks(*values: object) -> bytes:
    return b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values)


def piece(text: object, ending: str | None = None, model: object = "m") -> dict[str, Any]:
    return {"model": model, "choices": [{"delta": {"content": text}, "finish_reason": ending}]}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"data: {not json\n\n", "engine_bad_answer"),
        (b"data: []\n\n", "engine_bad_answer"),
        (b"data: " + b"[" * 100_000 + b"\n\n", "engine_bad_answer"),
        (b'data: {"choices": 5}\n\n', "engine_bad_answer"),
        (b'data: {"choices": [{"delta": {"content": 5}}]}\n\n', "engine_bad_answer"),
        (b'data: {"choices": [{"delta": {"content": "\xff\xfe"}}]}\n\n', "engine_bad_answer"),
        (b'data: {"choices": [{"delta": {"content": "\\ud800"}}]}\n\n', "engine_bad_answer"),
        (b"data: " + b"x" * (LINE_BYTES_MAX + 1), "engine_bad_answer"),
        ((b": ping" + b"x" * 100_000 + b"\n") * (STREAM_BYTES_MAX // 100_000 + 1), "engine_bad_answer"),
        (chunks(piece("", "stop")), "engine_bad_answer"),
        (chunks(piece("a"), piece("b", "stop", "other")), "engine_bad_answer"),
        (chunks(piece("a", "tool_calls")), "engine_bad_answer"),
        (chunks(piece("a", "content_filter")), "engine_refused"),
        (chunks(piece("a"), {"error": {"message": "out of memory"}}), "engine_refused"),
        (chunks({"error": "model 'm' not found"}), "model_missing"),
        (chunks(piece("x" * 1000)) * (ANSWER_BYTES_MAX // 1000 + 1), "answer_too_large"),
        (chunks(piece("cut of")), "engine_unreachable"),
        (b"", "engine_unreachable"),
    ],
)
async def test_what_is_no_answer_is_an_error(chat_server: Any, job: Any, body: bytes, code: str) -> None:
    chat_server.script = chat_server.raw(body)
    assert (await failure(chat_server, job())).code == code


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, b'{"error": "Incorrect API key provided: sk-very-secret-0123456789"}', "engine_refused"),
        (404, b'{"error": {"message": "The model `m` does not exist"}}', "model_missing"),
        (400, b"\"model 'm' not found, try pulling it first\"", "model_missing"),
        (404, b"not here", "engine_refused"),
        (400, b"This model's maximum context length is 64 tokens", "context_length_exceeded"),
        (400, b'{"error": {"type": "exceed_context_size_error"}}', "context_length_exceeded"),
        (413, b"", "context_length_exceeded"),
        (429, b"slow down", "engine_refused"),
        (500, b"\xff\x00\x1b[31m" * 500, "engine_refused"),
        (302, b"", "engine_refused"),
    ],
)
async def test_refusals_have_names(chat_server: Any, job: Any, status: int, body: bytes, code: str) -> None:
    chat_server.script = chat_server.status(status, body, "Location: http://127.0.0.1:1/\r\n")
    error = await failure(chat_server, job(), key=KEY)
    assert (error.code, KEY in str(error), error.message.isprintable()) == (code, False, True)
    assert len(error.message) < 400


async def test_an_endless_refusal_is_cut(chat_server: Any, job: Any) -> None:
    chat_server.script = chat_server.status(500, b"x" * (LINE_BYTES_MAX + 1))
    assert (await failure(chat_server, job())).code == "engine_bad_answer"


async def test_the_newer_name_of_the_limit_is_tried(chat_server: Any, job: Any) -> None:
    async def script(writer: asyncio.StreamWriter) -> None:
        old = b'"max_tokens"' in chat_server.requests[-1][2]
        words = b"Unsupported parameter: use 'max_completion_tokens'"
        await (chat_server.status(400, words) if old else chat_server.say("fine"))(writer)

    chat_server.script = script
    assert (await run(chat_server, job())).text == "fine"
    assert [b"max_completion_tokens" in body for _, _, body in chat_server.requests] == [False, False, True]


async def test_a_server_that_hangs_after_its_first_word_runs_into_the_deadline(
    chat_server: Any, job: Any
) -> None:
    chat_server.script = chat_server.raw(chunks(piece("slow")), hang=True)
    assert (await failure(chat_server, job(deadline_ms=100))).code == "engine_timeout"
    await chat_server.client_left.wait()


async def test_cancelling_hangs_up(chat_server: Any, job: Any) -> None:
    chat_server.script = chat_server.raw(chunks(piece("slow")), hang=True)
    task = asyncio.create_task(run(chat_server, job()))
    await chat_server.first_sent.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await chat_server.client_left.wait()


async def test_nobody_there(job: Any) -> None:
    engine = OpenAIEngine("http://127.0.0.1:1")
    assert await engine.models() == ()
    with pytest.raises(AdapterError) as caught:
        await engine.generate(job(), print)
    assert caught.value.code == "engine_unreachable"
    await engine.close()


async def test_a_prompt_that_a_server_would_cut_silently_is_refused(chat_server: Any, job: Any) -> None:
    long = job("x" * 200)
    assert (await failure(chat_server, long, context_tokens=64)).code == "context_length_exceeded"
    assert chat_server.requests == []
    await run(chat_server, long)


LISTED = [
    ({"id": "a", "max_model_len": 4096}, 4096),
    ({"id": "b", "meta": {"n_ctx": 256, "n_ctx_train": 999}}, 256),
    ({"id": "c", "context_length": 8192}, 8192),
    ({"id": "d", "context_length": "much", "meta": {"n_ctx": "all"}}, 0),
    ({"id": "e"}, 0),
]


async def test_models_are_listed_with_their_context(chat_server: Any) -> None:
    entries = [entry for entry, _ in LISTED] + [{"id": ""}, {"id": "x" * 257}]
    chat_server.listing = json.dumps({"object": "list", "data": entries}).encode()
    engine = OpenAIEngine(chat_server.url)
    wanted = tuple(
        OfferedModel(name=str(entry["id"]), engine="openai", context_tokens=tokens)
        for entry, tokens in LISTED
    )
    assert await engine.models() == wanted
    await engine.close()


@pytest.mark.parametrize("listing", [b"soup", b"[]", b'{"data": [{}]}', b'{"data": 5}', b"\xff"])
async def test_a_nonsense_list_is_empty(chat_server: Any, listing: bytes) -> None:
    chat_server.listing = listing
    engine = OpenAIEngine(chat_server.url)
    assert await engine.models() == ()
    await engine.close()


async def test_a_model_that_is_not_listed_is_not_asked_for(chat_server: Any, job: Any) -> None:
    assert (await failure(chat_server, job(model="other"))).code == "model_missing"
    assert [first.split()[0] for first, _, _ in chat_server.requests] == ["GET"]
    chat_server.listing = None
    assert (await run(chat_server, job(model="other"))).model == "m"


async def test_the_key_is_shown_nowhere(chat_server: Any, job: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await run(chat_server, job(), key=KEY)
    engine = OpenAIEngine(chat_server.url, key=KEY)
    assert KEY not in caplog.text + repr(engine) + str(vars(engine)["_server"])
    await engine.close()


@pytest.mark.parametrize(
    "url", ["ftp://x/v1", "127.0.0.1:80", "http://", "http://u:p@x/v1", "http://x:99999", "http://x/?a=b"]
)
async def test_a_wrong_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        OpenAIEngine(url)
    assert caught.value.code == "engine_url"


async def test_ollama_is_found_by_its_version(chat_server: Any) -> None:
    chat_server.listing = b'{"version": "0.12.0"}'
    engine = await find_ollama(chat_server.url)
    assert engine is not None
    assert (engine.name, chat_server.requests[0][0]) == ("ollama", "GET /api/version HTTP/1.1")
    await engine.close()
    for listing in (b"{}", b"soup", b'{"version": 5}', None):
        chat_server.listing = listing
        assert await find_ollama(chat_server.url) is None
    assert await find_ollama("http://127.0.0.1:1") is None


async def test_a_key_comes_from_a_file_or_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    monkeypatch.setenv("THE_KEY", KEY)
    assert [read_key(file), read_key(variable="THE_KEY"), read_key()] == [KEY, KEY, ""]
    file.write_text("a\nb")
    monkeypatch.setenv("THE_KEY", "")
    for arguments in ({"file": file}, {"file": tmp_path / "none"}, {"variable": "THE_KEY"}):
        with pytest.raises(ConfigurationError) as caught:
            read_key(**arguments)
        assert KEY not in str(caught.value)
