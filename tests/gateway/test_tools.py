"""Tool calls and responses: agreed as JSON by three nodes, seen by the official clients as they expect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from dicast.gateway.errors import GatewayError
from dicast.gateway.tools import anthropic_choice, offer, openai_choice, openai_tools, read_answer

PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "pattern": "^[A-Z]"}},
    "required": ["city"],
    "additionalProperties": False,
}
FUNCTION = {"name": "get_weather", "description": "The weather in a city.", "parameters": PARAMETERS}
TOOLS = [{"type": "function", "function": FUNCTION}]
CALL = json.dumps({"tool": "get_weather", "arguments": {"city": "Paris"}, "text": "Calling get_weather"})
WORDS = json.dumps({"tool": "", "arguments": {}, "text": "It is sunny and warm in Paris."})


@pytest.fixture
def chat(place) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{place.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(place) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=place.url, api_key="none", max_retries=0) as client:
        yield client


def asked(text: str) -> list[Any]:
    return [{"role": "user", "content": f"echo {text}"}]


def test_a_call_comes_as_a_call_and_its_result_goes_back(chat) -> None:
    answer = chat.chat.completions.create(model="any", messages=asked(CALL), tools=TOOLS)
    (choice,) = answer.choices
    (call,) = choice.message.tool_calls
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})
    assert answer.dicast["outcome"] == "accepted"
    history = [*asked(CALL), choice.message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    said = chat.chat.completions.create(
        model="any", messages=[*history, {"role": "user", "content": "turns please"}]
    )
    told = said.choices[0].message.content
    assert "user:The function get_weather returned: sunny" in told
    assert '"tool": "get_weather", "arguments": {"city": "Paris"}' in told


def test_words_instead_of_a_call_are_words(chat) -> None:
    answer = chat.chat.completions.create(model="any", messages=asked(WORDS), tools=TOOLS)
    (choice,) = answer.choices
    assert (choice.finish_reason, choice.message.tool_calls) == ("stop", None)
    assert choice.message.content == "It is sunny and warm in Paris."


def test_a_call_is_streamed(chat) -> None:
    stream = chat.chat.completions.create(model="any", messages=asked(CALL), tools=TOOLS, stream=True)
    calls = [call for chunk in stream for choice in chunk.choices for call in choice.delta.tool_calls or ()]
    assert [(call.function.name, json.loads(call.function.arguments)) for call in calls] == [
        ("get_weather", {"city": "Paris"})
    ]


def test_a_function_that_must_be_called_gives_its_schema_to_the_engines(chat) -> None:
    must = {"type": "function", "function": {"name": "get_weather"}}
    answer = chat.chat.completions.create(model="any", messages=asked(CALL), tools=TOOLS, tool_choice=must)
    assert answer.choices[0].finish_reason == "tool_calls"
    with pytest.raises(openai.UnprocessableEntityError) as caught:  # its arguments lack the city
        chat.chat.completions.create(
            model="any", messages=asked(CALL.replace("city", "town")), tools=TOOLS, tool_choice=must
        )
    assert caught.value.code == "undetermined"


def test_anthropics_tools(claude) -> None:
    tools = [{"name": "get_weather", "description": "Weather.", "input_schema": PARAMETERS}]
    answer = claude.messages.create(model="any", max_tokens=64, messages=asked(CALL), tools=tools)
    (block,) = answer.content
    assert (answer.stop_reason, block.type, block.name, block.input) == (
        *("tool_use", "tool_use", "get_weather"),
        {"city": "Paris"},
    )
    with claude.messages.stream(model="any", max_tokens=64, messages=asked(CALL), tools=tools) as stream:
        (streamed,) = stream.get_final_message().content
    assert (streamed.name, streamed.input) == ("get_weather", {"city": "Paris"})
    result = {"type": "tool_result", "tool_use_id": block.id, "content": "sunny"}
    history = [
        *asked(CALL),
        {"role": "assistant", "content": answer.content},
        {"role": "user", "content": [result]},
    ]
    said = claude.messages.create(
        model="any", max_tokens=64, messages=[*history, {"role": "user", "content": "turns please"}]
    )
    assert "user:The function get_weather returned: sunny" in said.content[0].text


def test_responses_whole_and_streamed(chat) -> None:
    answer = chat.responses.create(model="any", input="echo What a fine day it is in Paris.")
    assert (answer.status, answer.output_text) == ("completed", "What a fine day it is in Paris.")
    assert answer.dicast["outcome"] == "accepted"
    with chat.responses.stream(model="any", input="echo What a fine day it is in Paris.") as stream:
        kinds = [event.type for event in stream]
        assert stream.get_final_response().output_text == answer.output_text
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"


def test_responses_call_functions(chat) -> None:
    flat = [{"type": "function", **FUNCTION}]
    answer = chat.responses.create(model="any", input=f"echo {CALL}", tools=flat)
    (item,) = answer.output
    assert (item.type, item.name, json.loads(item.arguments)) == (
        "function_call",
        "get_weather",
        {"city": "Paris"},
    )
    with chat.responses.stream(model="any", input=f"echo {CALL}", tools=flat) as stream:
        assert "response.function_call_arguments.done" in [event.type for event in stream]
    back = {"type": "function_call_output", "call_id": item.call_id, "output": "sunny"}
    said = chat.responses.create(
        model="any", input=[*asked(CALL), item.to_dict(), back, {"role": "user", "content": "turns please"}]
    )
    assert "user:The function get_weather returned: sunny" in said.output_text


def test_responses_keep_to_a_schema(chat) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
        "required": ["city", "people"],
        "additionalProperties": False,
    }
    text = {"format": {"type": "json_schema", "name": "place", "schema": schema, "strict": True}}
    answer = chat.responses.create(model="any", input="json please", text=text)
    assert json.loads(answer.output_text) == {"city": "Paris", "people": 2}


@pytest.mark.parametrize("stream", [False, True])
def test_what_responses_cannot_do_is_refused_as_the_client_expects(chat, stream: bool) -> None:
    for field in (
        {"previous_response_id": "resp_1"},
        {"background": True},
        {"reasoning": {"effort": "high"}},
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            chat.responses.create(model="any", input="x", stream=stream, **field)
        assert caught.value.code == "unsupported"
    with pytest.raises(openai.BadRequestError) as caught:
        chat.responses.create(model="any", input="x", stream=stream, tools=[{"type": "web_search"}])
    assert caught.value.code == "unsupported"


@pytest.mark.parametrize(
    "tools",
    [
        7,
        [7],
        [{"type": "function"}],
        [{"type": "function", "function": {"name": "x" * 65}}],
        TOOLS * 2,
        TOOLS * 65,
        [{"type": "function", "function": {"name": "f", "parameters": 7}}],
    ],
)
def test_tools_that_are_none_are_refused(tools: Any) -> None:
    with pytest.raises(GatewayError) as caught:
        offer(openai_tools(tools), "auto")
    assert caught.value.code in {"invalid_request", "unsupported"}


def test_choices_are_read_in_both_dialects() -> None:
    tools = openai_tools(TOOLS)
    assert [offer(tools, openai_choice(one)).is_open for one in ("none", "auto", "required", None)] == [
        *(False, True, True, True)
    ]
    assert anthropic_choice({"type": "any"}) == openai_choice("required")
    assert anthropic_choice({"type": "tool", "name": "f"}) == "f"
    for wrong in (7, "sometimes", {"type": "tool"}):
        with pytest.raises(GatewayError):
            openai_choice(wrong)
        with pytest.raises(GatewayError):
            anthropic_choice(wrong)
    with pytest.raises(GatewayError):
        offer(tools, "no_such_function")


@pytest.mark.parametrize(
    "text", ["", "words", "[]", '{"tool": 1, "text": ""}', '{"text": "x"}', "[" * 10_000]
)
def test_an_agreed_answer_that_is_no_call_is_an_error(text: str) -> None:
    with pytest.raises(GatewayError) as caught:
        read_answer(text)
    assert caught.value.code == "answer_malformed"
