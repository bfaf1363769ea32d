"""Streams that tell a provisional text at once, and what the verdict makes of it, in every dialect."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import anthropic
import httpx
import openai
import pytest

from dicast.daemon.provisional import Piece
from dicast.gateway.asking import Agreed
from dicast.gateway.flow import CORRECTED, RESTARTED, Flow, shown
from dicast.protocol.outputs import RoundOpened, StreamRestarted, Token

SENTENCE = "The capital city of France is called Paris."
QUESTION = {"role": "user", "content": "hello"}


def streamed(url: str, route: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> list[Any]:
    """Every event of a stream, as JSON."""
    whole = {"model": "any", "stream": True, "temperature": 0, **body}
    with httpx.stream("POST", url + route, json=whole, headers=headers, timeout=60) as response:
        lines = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def is_provisional(event: Any) -> bool:
    return bool(event.get("dicast", {}).get("provisional"))


TEXTS: dict[str, tuple[dict[str, Any], Callable[[Any], str]]] = {
    "/v1/chat/completions": (
        {"messages": [QUESTION]},
        lambda event: event["choices"][0]["delta"].get("content", "") if event.get("choices") else "",
    ),
    "/v1/completions": (
        {"prompt": "hello"},
        lambda event: event["choices"][0]["text"] if event.get("choices") else "",
    ),
    "/v1/responses": (
        {"input": "hello"},
        lambda event: event["delta"] if event["type"] == "response.output_text.delta" else "",
    ),
    "/v1/messages": (
        {"messages": [QUESTION], "max_tokens": 64},
        lambda event: event["delta"]["text"] if event["type"] == "content_block_delta" else "",
    ),
}
ROUTES = pytest.mark.parametrize("route", TEXTS)


@ROUTES
def test_a_text_is_told_at_once_and_the_verdict_comes_last(loopback, route: str) -> None:
    body, text_of = TEXTS[route]
    events = streamed(loopback.url, route, body)
    assert "".join(map(text_of, events)) == SENTENCE
    assert "".join(text_of(event) for event in events if is_provisional(event)) == SENTENCE
    [told] = [
        field
        for event in events
        for field in (event.get("dicast"), event.get("response", {}).get("dicast"))
        if field and "outcome" in field
    ]
    assert (told["outcome"], told["stream"], "agreed" in told) == ("accepted", "agreed", False)


@ROUTES
@pytest.mark.parametrize("how", ["field", "header", "option"])
def test_verified_streams_tell_nothing_before_the_verdict(loopback, route: str, how: str) -> None:
    body, text_of = TEXTS[route]
    headers = {"x-dicast-stream": "verified"} if how == "header" else {}
    if how == "field" or route == "/v1/messages":
        body = {**body, "dicast": {"stream": "verified"}}
    elif how == "option":
        body = {**body, "stream_options": {"dicast": "verified"}}
    events = streamed(loopback.url, route, body, headers)
    assert [event for event in events if is_provisional(event)] == []
    assert "".join(map(text_of, events)) == SENTENCE


def test_an_answer_of_a_form_is_not_told_by_halves(loopback) -> None:
    for asked, more in (
        ("json please", {"response_format": {"type": "json_object"}}),
        ("echo yes", {"dicast": {"labels": ["yes", "no"]}}),
    ):
        body = {"messages": [{"role": "user", "content": asked}], **more}
        events = streamed(loopback.url, "/v1/chat/completions", body)
        assert [event for event in events if is_provisional(event)] == []
        assert [event["dicast"]["outcome"] for event in events if "dicast" in event] == ["accepted"]


@ROUTES
def test_when_the_network_does_not_agree_the_stream_says_so(loopback, route: str) -> None:
    body, text_of = TEXTS[route]
    for name in ("prompt", "input"):
        body = {**body, name: "disagree"} if name in body else body
    if "messages" in body:
        body = {**body, "messages": [{"role": "user", "content": "disagree"}]}
    events = streamed(loopback.url, route, body)
    assert "".join(map(text_of, events))
    last = events[-1]
    told = last["dicast"] if "dicast" in last else last["error"]["dicast"]
    assert (told["outcome"], told["stream"]) == ("undetermined", "void")


def test_official_clients_read_along(loopback) -> None:
    chat = openai.OpenAI(base_url=f"{loopback.url}/v1", api_key="none", max_retries=0)
    chunks = list(chat.chat.completions.create(model="any", messages=[QUESTION], stream=True, temperature=0))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == SENTENCE
    assert len({chunk.id for chunk in chunks}) == 1
    with chat.responses.stream(model="any", input="hello", temperature=0) as stream:
        assert stream.get_final_response().output_text == SENTENCE
    claude = anthropic.Anthropic(base_url=loopback.url, api_key="none", max_retries=0)
    with claude.messages.stream(model="any", messages=[QUESTION], max_tokens=64) as stream:
        assert "".join(stream.text_stream) == SENTENCE
        assert stream.get_final_text() == SENTENCE


def test_the_native_stream_tells_tokens(loopback) -> None:
    body = {"prompt": "hello", "stream": True, "temperature": 0.0}
    with httpx.stream("POST", f"{loopback.url}/api/ask", json=body, timeout=60) as response:
        events = [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: ")]
    tokens = [event["data"] for event in events if event["type"] == "token"]
    assert "".join(token["text"] for token in tokens) == SENTENCE
    assert tokens[0]["offset"] == 0
    verified = {**body, "frame": {"stream": "verified"}}
    with httpx.stream("POST", f"{loopback.url}/api/ask", json=verified, timeout=60) as response:
        events = [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: ")]
    assert "token" not in {event["type"] for event in events}
    assert (events[-1]["type"], events[-1]["data"]["answer"]) == ("answer", SENTENCE)


def token(text: str, offset: int, member: str = "m", round_: str = "r") -> Token:
    return Token("a", round_, member, offset, text)


def flow_of(*events: Any) -> Flow:
    async def made() -> Flow:
        flow = Flow()
        for event in (RoundOpened("a", "r", {}, 3, 2, 3, 1), *events):
            flow.hear(event)
        return flow

    return asyncio.run(made())


def agreed(text: str, **core: str) -> Agreed:
    return Agreed(text, "r", "m", None, False, {"outcome": "accepted"}, core)


@pytest.mark.parametrize(
    ("verdict", "rest", "ending"),
    [
        (agreed("It is Paris."), ".", "agreed"),
        (agreed("Paris it is.", m="It is Paris, I think."), ", I think.", "supported"),
        (agreed("Paris it is.", m="I said something else."), CORRECTED + "Paris it is.", "corrected"),
        (agreed("It is Lyon.", n="It is Paris."), CORRECTED + "It is Lyon.", "corrected"),
    ],
)
def test_what_the_verdict_makes_of_what_was_shown(verdict: Agreed, rest: str, ending: str) -> None:
    settled = flow_of(token("It is", 0), token(" Paris", 5)).settled(verdict)
    expected = {"outcome": "accepted", "stream": ending}
    if ending != "agreed":
        expected["agreed"] = verdict.text
    assert (settled.rest, settled.field) == (rest, expected)


def test_where_nothing_was_shown_the_answer_is_told_whole() -> None:
    settled = flow_of().settled(agreed("It is Paris."))
    assert (settled.rest, settled.field) == ("It is Paris.", {"outcome": "accepted"})


def test_a_text_that_starts_again_is_said_in_words() -> None:
    flow = flow_of(token("It", 0), token(" is", 2), StreamRestarted("a", "r", "n"), token("Paris", 0, "n"))
    taken = flow.take()
    assert taken == [Piece("It is"), Piece("Paris", True)]
    assert "".join(map(shown, taken)) == f"It is{RESTARTED}Paris"
    assert flow.settled(agreed("Paris.")).rest == "."
