"""What travels through the gateway: turns, frames, JSON forms, disagreement."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest

from dicast.base.limits import PROMPT_BYTES_MAX

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "where"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}


@pytest.fixture
def chat(place) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{place.url}/v1", api_key="none") as client:
        yield client


@pytest.fixture
def claude(place) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=place.url, api_key="none") as client:
        yield client


def said(prompt: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": prompt}]


def test_every_turn_travels(chat, claude) -> None:
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "one"}]},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "turns"},
    ]
    told = "system:be brief user:one assistant:two user:turns"
    system = {"role": "system", "content": "be brief"}
    answer = chat.chat.completions.create(model="memory", messages=[system, *turns])
    assert answer.choices[0].message.content == told
    answer = claude.messages.create(model="memory", max_tokens=99, system="be brief", messages=turns)
    assert answer.content[0].text == told


def test_usage_is_what_the_winner_counted(chat, claude) -> None:
    answer = chat.chat.completions.create(model="memory", messages=said("echo five words in all here"))
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (6, 5)
    answer = claude.messages.create(model="memory", max_tokens=99, messages=said("echo a b"))
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (3, 2)


@pytest.mark.parametrize("stream", [False, True])
def test_disagreement_is_an_error_and_never_an_answer(place, chat, claude, stream: bool) -> None:
    """422, so that no client asks again by itself; the certificate shows why."""
    with pytest.raises(openai.APIError) as caught:
        list(chat.chat.completions.create(model="memory", messages=said("disagree"), stream=stream))
    told = caught.value.body["dicast"]
    assert (caught.value.code, told["outcome"]) == ("undetermined", "undetermined")
    assert (told["n"], told["need"]) == (3, 2)
    assert httpx.get(place.url + told["certificate_url"]).status_code == 200
    with pytest.raises(anthropic.APIStatusError) as refused:
        list(claude.messages.create(model="memory", max_tokens=9, messages=said("disagree"), stream=stream))
    error = refused.value.body["error"]
    assert (error["code"], error["dicast"]["outcome"]) == ("undetermined", "undetermined")
    if not stream:
        assert (caught.value.status_code, refused.value.status_code) == (422, 422)
        assert caught.value.response.headers["x-should-retry"] == "false"
        assert caught.value.response.headers["x-dicast-outcome"] == "undetermined"


def test_a_prompt_too_long_for_every_model_is_told_as_that(chat, claude) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        chat.chat.completions.create(model="memory", messages=said("long"))
    assert caught.value.code == "context_length_exceeded"
    with pytest.raises(anthropic.APIStatusError) as refused:
        list(claude.messages.create(model="memory", max_tokens=9, messages=said("long"), stream=True))
    assert refused.value.body["error"]["code"] == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as read:
        chat.responses.create(model="memory", input="long")
    assert (read.value.code, read.value.param) == ("context_length_exceeded", "input")


def test_a_prompt_that_nobody_could_fetch_is_told_as_too_long_with_the_way_on(chat) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        chat.completions.create(model="memory", prompt="word " * (PROMPT_BYTES_MAX // 4))
    error = caught.value
    assert (error.code, error.param, error.body["dicast"]["declined"]) == (
        "context_length_exceeded",
        "prompt",
        {"question_missing": 3},
    )
    assert "transports.websocket.listen" in error.message


def test_json_is_agreed_field_by_field(chat) -> None:
    answer = chat.chat.completions.create(model="memory", messages=said("json"), response_format=FORMAT)
    assert json.loads(answer.choices[0].message.content) == {"city": "Paris", "people": 2}
    anything = {"type": "json_object"}
    answer = chat.chat.completions.create(model="memory", messages=said("json"), response_format=anything)
    assert json.loads(answer.choices[0].message.content) == {"city": "Paris", "people": 2}
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        chat.chat.completions.create(model="memory", messages=said("json more"), response_format=FORMAT)
    assert caught.value.code == "answer_malformed"
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        chat.chat.completions.create(model="memory", messages=said("plain"), response_format=FORMAT)
    assert caught.value.code == "undetermined"


FRAMES = {
    "the body": {"extra_body": {"dicast": {"quorum": 2}}},
    "the headers": {"extra_headers": {"X-Dicast-Quorum": "2"}},
    "the body above the headers": {
        "extra_body": {"dicast": {"quorum": 2}},
        "extra_headers": {"X-Dicast-Quorum": "3"},
    },
}


@pytest.mark.parametrize("given", FRAMES)
def test_a_frame_comes_from(chat, claude, given: str) -> None:
    answer = chat.chat.completions.create(model="any", messages=said("hello"), **FRAMES[given])
    assert (answer.dicast["n"], answer.dicast["outcome"]) == (2, "accepted")
    answer = claude.messages.create(model="any", max_tokens=99, messages=said("hello"), **FRAMES[given])
    assert answer.dicast["n"] == 2


def test_a_frame_comes_from_the_models_name_and_several_models_may_answer(chat) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        chat.chat.completions.create(model="memory@default", messages=said("hello"))
    assert (caught.value.code, "9 seats" in caught.value.message) == ("impossible_frame", True)
    more = {"models": ["memory", "another"]}
    answer = chat.chat.completions.create(model="another@story", messages=said("hello"), extra_body=more)
    assert answer.dicast["models"] == {"memory": 3}


UNSUPPORTED = {
    "n": 2,
    "logprobs": True,
    "stop": ["x"],
    "seed": 1,
    "top_p": 0.5,
    "tools": [{"type": "web_search"}],
    "logit_bias": {"1": 1},
    "modalities": ["audio"],
}


@pytest.mark.parametrize("field", UNSUPPORTED)
def test_what_the_network_cannot_do_is_refused(chat, field: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        chat.chat.completions.create(
            model="memory", messages=said("hello"), extra_body={field: UNSUPPORTED[field]}
        )
    assert (caught.value.code, field in caught.value.param) == ("unsupported", True)


@pytest.mark.parametrize("field", ["tools", "top_k", "stop_sequences", "thinking"])
def test_what_the_network_cannot_do_is_refused_in_the_other_dialect(claude, field: str) -> None:
    with pytest.raises(anthropic.BadRequestError) as caught:
        claude.messages.create(
            model="memory", max_tokens=9, messages=said("hello"), extra_body={field: [{"type": "x"}]}
        )
    assert caught.value.body["error"]["code"] == "unsupported"


def test_defaults_that_clients_write_out_mean_nothing(chat) -> None:
    harmless = {"n": 1, "top_p": 1.0, "stop": [], "tools": [], "presence_penalty": 0.0, "logprobs": False}
    answer = chat.chat.completions.create(model="memory", messages=said("echo fine"), extra_body=harmless)
    assert answer.choices[0].message.content == "fine"


def test_metrics_count_what_happened(place, chat) -> None:
    def number(name: str) -> float:
        page = httpx.get(f"{place.url}/metrics").text
        return sum(float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(name))

    verdicts = 'dicast_verdicts_total{outcome="accepted"'
    before = number(verdicts), number('dicast_tokens_total{kind="completion"')
    chat.chat.completions.create(model="memory", messages=said("echo one two three"))
    assert (number(verdicts), number('dicast_tokens_total{kind="completion"')) == (
        before[0] + 1,
        before[1] + 3,
    )
    assert number("dicast_peers ") == 3


def test_many_streams_at_a_time_are_all_looked_at(place) -> None:
    """More than the node takes connections: they wait, and nobody is told that the node is gone."""

    async def one(client: openai.AsyncOpenAI) -> str | None:
        with pytest.raises(openai.NotFoundError) as caught:
            await client.chat.completions.create(model="nobody", messages=said("hello"), stream=True)
        return caught.value.code

    async def everybody() -> set[str | None]:
        async with openai.AsyncOpenAI(base_url=f"{place.url}/v1", api_key="none", max_retries=0) as client:
            return set(await asyncio.gather(*(one(client) for _ in range(100))))

    assert asyncio.run(everybody()) == {"model_not_found"}
