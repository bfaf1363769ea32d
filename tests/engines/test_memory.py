"""The engines' in-memory twin beyond what the conformance suite asks."""

from __future__ import annotations

from typing import Any

import pytest

from dicast.base.errors import AdapterError
from dicast.engines.memory import MemoryEngine
from dicast.ports import Generation
from dicast.protocol.messages import OfferedModel

pytestmark = pytest.mark.anyio


async def test_it_echoes_the_last_message_and_counts_words(job: Any) -> None:
    pieces: list[str] = []
    got = await MemoryEngine().generate(job("one two three", model="memory"), pieces.append)
    wanted = Generation(
        text="one two three",
        model="memory",
        prompt_tokens=5,
        completion_tokens=3,
        first_token_ms=got.first_token_ms,
        total_ms=got.total_ms,
        engine="memory",
    )
    assert (got, pieces) == (wanted, ["one", " two", " three"])


async def test_the_answer_ends_at_the_tokens_asked_for(job: Any) -> None:
    engine = MemoryEngine(lambda asked: "a b c d")
    assert (await engine.generate(job(model="memory", max_tokens=2), print)).text == "a b"


async def test_it_offers_what_it_was_told(job: Any) -> None:
    engine = MemoryEngine(models=("x", "y"), context_tokens=5)
    assert await engine.models() == tuple(
        OfferedModel(name=name, engine="memory", context_tokens=5) for name in ("x", "y")
    )
    with pytest.raises(AdapterError) as caught:
        await engine.generate(job("one two three four", model="x"), print)
    assert caught.value.code == "context_length_exceeded"


@pytest.mark.parametrize("reply", ["", "x" * 50_000, "\ud800"])
async def test_an_answer_that_cannot_be_sent_is_an_error(job: Any, reply: str) -> None:
    with pytest.raises(AdapterError) as caught:
        await MemoryEngine(lambda asked: reply).generate(job(model="memory"), print)
    assert caught.value.code in {"engine_bad_answer", "answer_too_large"}
