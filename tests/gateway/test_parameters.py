"""Every parameter of the official clients is known here: honoured, passed over, or refused by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import anthropic
import httpx
import msgspec
import openai
import pytest

from dicast.gateway.anthropic_messages import MessagesRequest
from dicast.gateway.openai_chat import ChatRequest
from dicast.gateway.openai_completions import CompletionRequest
from dicast.gateway.openai_embeddings import EmbeddingsRequest
from dicast.gateway.openai_responses import ResponsesRequest

OF_THE_CLIENT = {"extra_headers", "extra_query", "extra_body", "timeout"}
OPENAI = openai.OpenAI(api_key="none")
CLAUDE = anthropic.Anthropic(api_key="none")
CALLS = [
    (OPENAI.chat.completions.create, ChatRequest),
    (OPENAI.completions.create, CompletionRequest),
    (OPENAI.responses.create, ResponsesRequest),
    (OPENAI.embeddings.create, EmbeddingsRequest),
    (CLAUDE.messages.create, MessagesRequest),
]
QUESTION = [{"role": "user", "content": "hello"}]


@pytest.mark.parametrize(("create", "kind"), CALLS)
def test_no_parameter_is_a_stranger(create: Callable[..., Any], kind: type[msgspec.Struct]) -> None:
    sent = set(inspect.signature(create).parameters) - OF_THE_CLIENT
    assert sent - set(kind.__struct_fields__) == set()


CHAT = ("/v1/chat/completions", {"model": "any", "messages": QUESTION})
RESPONSES = ("/v1/responses", {"model": "any", "input": "hello"})


@pytest.mark.parametrize(
    ("route", "more"),
    [
        (CHAT, {"verbosity": "medium", "reasoning_effort": "none"}),
        (
            RESPONSES,
            {"reasoning": {"effort": "none"}, "prompt_cache_retention": "24h", "context_management": []},
        ),
    ],
)
def test_values_that_ask_for_nothing_may_stand_there(loopback, route: Any, more: dict[str, Any]) -> None:
    path, body = route
    answer = httpx.post(loopback.url + path, json={**body, **more}, timeout=60)
    assert (answer.status_code, answer.json()["dicast"]["outcome"]) == (200, "accepted")


@pytest.mark.parametrize(
    ("route", "more"),
    [
        (CHAT, {"verbosity": "low"}),
        (CHAT, {"reasoning_effort": "high"}),
        (RESPONSES, {"moderation": {"model": "m"}}),
        (RESPONSES, {"context_management": [{"type": "compaction"}]}),
    ],
)
def test_values_that_ask_for_something_are_refused_by_name(
    loopback, route: Any, more: dict[str, Any]
) -> None:
    path, body = route
    answer = httpx.post(loopback.url + path, json={**body, **more}, timeout=60)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "unsupported", next(iter(more)))


def test_a_refusal_names_what_it_is_about_and_no_command_of_a_terminal(loopback) -> None:
    path, body = CHAT
    empty = httpx.post(
        loopback.url + path, json={**body, "messages": [{"role": "user", "content": ""}]}
    ).json()
    assert (empty["error"]["code"], "dicast ask" in empty["error"]["message"]) == ("invalid_request", False)
    nobody = httpx.post(loopback.url + path, json={**body, "model": "gpt-9"}).json()
    assert (nobody["error"]["code"], nobody["error"]["param"]) == ("model_not_found", "model")


def test_where_members_declined_the_error_says_why(place) -> None:
    """Punctuation alone is no answer."""
    path, body = CHAT
    answer = httpx.post(
        place.url + path,
        json={**body, "messages": [{"role": "user", "content": 'echo "."'}]},
        timeout=60,
    )
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "undetermined")
    assert error["message"].endswith("There is no answer. 3 declined: answer_malformed.")
    assert (error["dicast"]["declined"], error["dicast"]["statuses"]) == (
        {"answer_malformed": 3},
        {"silent": 3},
    )
    assert answer.headers["x-dicast-declined"] == "answer_malformed"


@pytest.mark.parametrize("said", ["\u2705 done", "\u4e2d\u56fd\u7684\u9996\u90fd\u662f\u5317\u4eac\u3002"])
def test_marks_and_scripts_that_the_embedder_does_not_know_are_answers(place, said: str) -> None:
    path, body = CHAT
    asked = {**body, "messages": [{"role": "user", "content": f"echo {said}"}]}
    answer = httpx.post(place.url + path, json=asked, timeout=60).json()
    assert answer["choices"][0]["message"]["content"] == said


def test_what_a_model_refused_in_an_earlier_turn_travels_too(loopback) -> None:
    path, body = CHAT
    earlier = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": None, "refusal": "I cannot."},
    ]
    turns = [*earlier, {"role": "user", "content": "turns y"}]
    answer = httpx.post(loopback.url + path, json={**body, "messages": turns}, timeout=60).json()
    assert answer["choices"][0]["message"]["content"] == "user:x assistant:I cannot. user:turns y"
