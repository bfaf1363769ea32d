"""One odd value at any place of a good body, in every route that takes one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import httpx
import pytest

from dicast.gateway.errors import CODES

ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 1e308, 2**70, "", "x", "\x00", "x" * 5_000, [], [[]], [None], {}, {"a": 1}),
    *("any", "none", "object", ["string", "null"], {"$ref": "#"}, {"type": "object"}, {"type": "strange"}),
    *({"type": "function"}, {"type": "json_object"}, {"type": "json_schema"}, [{"type": "text"}]),
)
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "tags": {"type": "array", "items": {"enum": ["a", 1]}}},
    "required": ["city", "tags"],
    "additionalProperties": False,
}
FUNCTION = {"name": "look", "description": "looks", "parameters": SCHEMA}
CALL = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
USED = {"type": "tool_use", "id": "1", "name": "look", "input": {}}
SHARED = {
    "model": "nobody",
    "models": ["no one"],
    "temperature": 0.5,
    "metadata": {"a": "b"},
    "dicast": {"preset": "story", "quorum": 3, "seats": 3, "sec_distance": 0.2, "models": ["none"]},
}
TURNS = [{"role": "system", "content": "Be."}, {"role": "user", "content": [{"type": "text", "text": "x"}]}]
RICH: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "/v1/chat/completions",
        {
            "messages": [
                *TURNS,
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "1", "content": "y"},
                TURNS[1],
            ],
            "tools": [{"type": "function", "function": FUNCTION}],
            "tool_choice": {"type": "function", "function": {"name": "look"}},
            "stream_options": {"include_usage": True},
            "max_tokens": 9,
        },
    ),
    (
        "/v1/chat/completions",
        {
            "messages": TURNS,
            "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}},
        },
    ),
    ("/v1/completions", {"prompt": ["x"], "stop": [], "n": 1, "max_tokens": 9}),
    (
        "/v1/responses",
        {
            "input": [
                TURNS[1],
                {"type": "function_call", "name": "look", "call_id": "1", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "1", "output": "y"},
                {"role": "user", "content": "z"},
            ],
            "text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}},
            "tools": [{"type": "function", "name": "look", "parameters": {"type": "object"}}],
            "tool_choice": "none",
        },
    ),
    (
        "/v1/messages",
        {
            "max_tokens": 9,
            "system": [{"type": "text", "text": "Be."}],
            "messages": [
                TURNS[1],
                {"role": "assistant", "content": [USED]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "y"}]},
            ],
            "tools": [{"name": "look", "input_schema": {"type": "object"}}],
            "tool_choice": {"type": "any"},
        },
    ),
    ("/v1/embeddings", {"model": "none", "input": ["x"], "encoding_format": "float", "dimensions": 381}),
    (
        "/v1/batches",
        {"input_file_id": "file-none", "endpoint": "/v1/completions", "completion_window": "24h"},
    ),
    (
        "/api/ask",
        {
            "prompt": "x",
            "system": "Be.",
            "history": [{"role": "user", "content": "y"}, {"role": "assistant", "content": "z"}],
            "frame": {"models": ["none"], "quorum": 3, "labels": ["a", "b"]},
            "max_tokens": 9,
            "temperature": 0.5,
        },
    ),
)
OWN_MODEL = ("/v1/embeddings", "/v1/batches", "/api/ask")
"""Their bodies are whole; the others share fields."""


def code_of(answer: httpx.Response) -> str:
    error = answer.json()["error"]
    assert (answer.status_code, bool(error["message"])) == (CODES[error["code"]].status, True)
    return error["code"]


def places_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a JSON value."""
    yield path
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for name, one in members:
        yield from places_in(one, (*path, name))


def with_odd(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    """The value with another one at a place."""
    if not path:
        return odd
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[path[0]] = with_odd(value[path[0]], path[1:], odd)
    return copied


@pytest.mark.parametrize("number", range(len(RICH)))
def test_one_odd_value_anywhere_is_answered(loopback, number: int) -> None:
    """Never a 500: an error with its code; nobody offers the model, so that no round is asked."""
    route, own = RICH[number]
    body = own if route in OWN_MODEL else {**SHARED, **own}
    if route == "/v1/completions":
        del body["metadata"]
    with httpx.Client(timeout=60) as client:
        assert code_of(client.post(loopback.url + route, json=body)) in {"model_not_found", "file_missing"}
        for path, odd in product(places_in(own), ODD):
            answer = client.post(loopback.url + route, json=with_odd(body, path, odd))
            if answer.status_code != 200:
                assert code_of(answer) not in {"internal_error", "round_failed"}, (path, odd)
