"""OpenAI's and Anthropic's own Python clients against a real network: relay, three nodes, embedded model."""

from __future__ import annotations

import time
from collections.abc import Iterator

import anthropic
import httpx
import openai
import pytest

from dicast.consensus.constants import EMBEDDER
from dicast.protocol.certificate import verify

QUESTION = {"role": "user", "content": "What is the capital of France?"}
COLD = {"temperature": 0}


@pytest.fixture
def chat(real_place) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{real_place.url}/v1", api_key="none") as client:
        yield client


@pytest.fixture
def claude(real_place) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=real_place.url, api_key="none") as client:
        yield client


def test_openai_chat(real_place, chat) -> None:
    answer = chat.chat.completions.create(model="tiny-1", messages=[QUESTION], temperature=0)
    assert "Paris" in answer.choices[0].message.content
    assert (answer.object, answer.model, answer.choices[0].finish_reason) == (
        "chat.completion",
        "tiny-1",
        "stop",
    )
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    told = answer.dicast
    assert (told["outcome"], told["n"], told["need"], told["models"]) == ("accepted", 3, 2, {"tiny-1": 3})
    certificate = httpx.get(real_place.url + told["certificate_url"]).content
    verified = verify(certificate, None)
    assert (verified.request_id, verified.verdict.answer) == (
        told["certificate"],
        answer.choices[0].message.content,
    )


def test_openai_headers_say_the_same_as_the_field(chat) -> None:
    raw = chat.chat.completions.with_raw_response.create(model="tiny-1", messages=[QUESTION], temperature=0)
    told = raw.parse().dicast
    said = {name: raw.headers[f"x-dicast-{name}"] for name in ("outcome", "need", "n", "ball", "certificate")}
    assert said == {name: str(told[name]) for name in said}
    assert raw.headers["x-dicast-runner-up"] == str(told["runner_up"])
    assert raw.headers["x-dicast-certificate-url"] == told["certificate_url"]


def test_openai_chat_streamed(chat) -> None:
    whole = chat.chat.completions.create(model="tiny-1", messages=[QUESTION], temperature=0)
    chunks = list(
        chat.chat.completions.create(
            model="tiny-1",
            messages=[QUESTION],
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-2].dicast["outcome"] == "accepted"


def test_openai_completions_and_models(chat) -> None:
    answer = chat.completions.create(model="tiny-1", prompt=QUESTION["content"], temperature=0)
    assert "Paris" in answer.choices[0].text
    streamed = chat.completions.create(model="any", prompt=QUESTION["content"], temperature=0, stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed) == answer.choices[0].text
    assert [model.id for model in chat.models.list()] == ["any", "tiny-1", EMBEDDER]
    assert chat.models.retrieve("tiny-1").dicast == {"nodes": 3}
    assert chat.models.retrieve("minilm-l6-v2").id == EMBEDDER
    with pytest.raises(openai.NotFoundError) as caught:
        chat.models.retrieve("gpt-9")
    assert caught.value.code == "model_not_found"


def test_anthropic_models(real_place, claude) -> None:
    pages = claude.models.list(limit=1)
    assert [(page.has_more, page.first_id, page.last_id) for page in pages.iter_pages()] == [
        (True, "any", "any"),
        (False, "tiny-1", "tiny-1"),
    ]
    assert [model.id for model in claude.models.list(before_id="tiny-1")] == ["any"]
    model = claude.models.retrieve("tiny-1@careful")
    assert (model.type, model.id, model.display_name, model.created_at.year) == (
        "model",
        "tiny-1",
        "tiny-1",
        1970,
    )
    with pytest.raises(anthropic.NotFoundError) as caught:
        claude.models.retrieve("gpt-9")
    assert caught.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.BadRequestError):
        claude.models.list(limit=1001)
    with pytest.raises(anthropic.BadRequestError):
        claude.models.list(extra_query={"limit": "000000001" + "1" * 5_000})
    assert httpx.get(f"{real_place.url}/v1/models/").json()["object"] == "list"


def test_anthropic_messages(claude) -> None:
    answer = claude.messages.create(
        model="tiny-1",
        max_tokens=64,
        messages=[QUESTION],
        extra_body={"temperature": 0, "dicast": {"quorum": 3}},
    )
    assert "Paris" in answer.content[0].text
    assert (answer.role, answer.stop_reason, answer.model) == ("assistant", "end_turn", "tiny-1")
    assert answer.usage.input_tokens > 0
    assert answer.dicast["outcome"] == "accepted"


def test_anthropic_messages_streamed(claude) -> None:
    whole = claude.messages.create(model="tiny-1", max_tokens=64, messages=[QUESTION], extra_body=COLD)
    with claude.messages.stream(
        model="tiny-1", max_tokens=64, messages=[QUESTION], extra_body=COLD
    ) as stream:
        assert "".join(stream.text_stream) == whole.content[0].text
        final = stream.get_final_message()
    assert (final.usage.output_tokens, final.stop_reason) == (whole.usage.output_tokens, "end_turn")


def test_a_budget_that_is_used_up_is_told(chat, claude) -> None:
    cut = chat.chat.completions.create(model="tiny-1", messages=[QUESTION], temperature=0, max_tokens=3)
    assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 3)
    cut = claude.messages.create(model="tiny-1", messages=[QUESTION], extra_body=COLD, max_tokens=3)
    assert (cut.stop_reason, cut.usage.output_tokens) == ("max_tokens", 3)


@pytest.mark.parametrize("stream", [False, True])
def test_an_impossible_frame_is_refused_at_once_with_the_nearest(chat, claude, stream: bool) -> None:
    began = time.monotonic()
    with pytest.raises(openai.BadRequestError) as caught:
        chat.chat.completions.create(model="tiny-1@careful", messages=[QUESTION], stream=stream)
    assert caught.value.code == "impossible_frame"
    nearest = {"seats": 3, "quorum": 3, "models": ["tiny-1"]}
    assert caught.value.body["dicast"]["nearest"] == nearest
    with pytest.raises(anthropic.BadRequestError) as refused:
        claude.messages.create(
            model="any",
            max_tokens=9,
            messages=[QUESTION],
            stream=stream,
            extra_body={"dicast": {"quorum": 9}},
        )
    assert refused.value.body["error"]["dicast"]["nearest"] == nearest
    assert time.monotonic() - began < 10, "it waited for answers"
    with pytest.raises(openai.NotFoundError) as missing:
        chat.chat.completions.create(model="gpt-9", messages=[QUESTION], stream=stream)
    assert (missing.value.code, "tiny-1" in missing.value.message) == ("model_not_found", True)
    assert missing.value.body["dicast"]["nearest"] == nearest
    with pytest.raises(openai.BadRequestError) as alone:
        frame = {"seats": 2, "quorum": 3}
        chat.responses.create(model="any", input="?", stream=stream, extra_body={"dicast": frame})
    assert alone.value.body["dicast"]["nearest"] == {**nearest, "seats": 2, "quorum": 2}
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.create(model="gpt-9", max_tokens=9, messages=[QUESTION], stream=stream)


def test_what_the_model_cannot_read_is_refused_and_not_cut(chat, claude) -> None:
    for words in (2_000, 20_000):
        long = [{"role": "user", "content": "word " * words}]
        with pytest.raises(openai.BadRequestError) as caught:
            chat.chat.completions.create(model="tiny-1", messages=long)
        assert caught.value.code == "context_length_exceeded"
        with pytest.raises(anthropic.BadRequestError) as refused:
            claude.messages.create(model="tiny-1", max_tokens=9, messages=long)
        assert refused.value.body["error"]["code"] == "context_length_exceeded"
