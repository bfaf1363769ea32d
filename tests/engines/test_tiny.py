"""The embedded model: its files are the published ones, and it answers what its card says."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.base.errors import AdapterError
from dicast.base.types import RequestId
from dicast.engines import tiny_network
from dicast.engines.tiny import ANSWER_TOKENS, TinyEngine
from dicast.engines.tiny_network import FOLDER, TinyNetwork, choose, read_card
from dicast.engines.tiny_tokenizer import ANSWER, BYTE_TOKENS, QUESTION, Tokenizer, normal_prompt
from dicast.protocol.messages import Message, OfferedModel
from dicast.protocol.outputs import StartInference

ROOT = Path(__file__).parents[2]
MERGES = ((ord("a"), ord("b")), (BYTE_TOKENS, ord("c")))


def job(prompt: str, **changes: object) -> StartInference:
    settings: dict[str, object] = {
        "request_id": RequestId("ab" * 32),
        "messages": (Message("user", prompt),),
        "model": "tiny-1",
        "max_tokens": 64,
        "temperature_milli": 0,
        "seed": 1,
        "deadline_ms": 30_000,
    }
    return StartInference(**(settings | changes))


@pytest.fixture(scope="module")
def engine() -> TinyEngine:
    return TinyEngine()


async def answer(engine: TinyEngine, prompt: str, **changes: object) -> str:
    pieces: list[str] = []
    generation = await engine.generate(job(prompt, **changes), pieces.append)
    assert "".join(pieces) == generation.text
    return generation.text


# The published files


def test_every_file_has_the_hash_of_its_card() -> None:
    card = read_card()
    found = {name: hashlib.sha256(FOLDER.joinpath(name).read_bytes()).hexdigest() for name in card.files}
    assert found == card.files
    assert {f"{card.name}.{ending}" for ending in ("onnx", "tokenizer.json", "held-out.jsonl")} == set(
        card.files
    )


def test_the_held_out_set_is_what_its_generator_writes() -> None:
    made = subprocess.run([sys.executable, ROOT / "tools/tiny_data.py"], capture_output=True, check=True)
    assert made.stdout == FOLDER.joinpath("tiny-1.held-out.jsonl").read_bytes()


def test_held_out_accuracy_is_at_least_what_the_project_promises(engine: TinyEngine) -> None:
    items = [json.loads(line) for line in FOLDER.joinpath("tiny-1.held-out.jsonl").read_text().splitlines()]
    asked = Counter(item["family"] for item in items)
    right = Counter(item["family"] for item in items if engine.answer_once(item["prompt"]) in item["answers"])
    card = read_card()
    assert right.total() >= 0.90 * asked.total()
    assert card.families.keys() <= asked.keys()
    assert [name for name in card.families if right[name] < 0.75 * asked[name]] == []


def test_the_model_card_names_every_family() -> None:
    text = FOLDER.joinpath("MODEL_CARD.md").read_text(encoding="utf-8")
    assert [name for name in read_card().families if f"| {name} |" not in text] == []
    assert read_card().domain in text


def test_a_changed_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    card = read_card()
    for name in card.files:
        (tmp_path / name).write_bytes(FOLDER.joinpath(name).read_bytes() + b" ")
    monkeypatch.setattr(tiny_network, "FOLDER", tmp_path)
    with pytest.raises(AdapterError, match="model_damaged"):
        TinyNetwork(card)


def test_a_missing_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    card = read_card()
    monkeypatch.setattr(tiny_network, "FOLDER", tmp_path)
    with pytest.raises(AdapterError, match="model_damaged"):
        TinyNetwork(card)


# Answers


@pytest.mark.anyio
async def test_it_offers_one_model_with_its_domain(engine: TinyEngine) -> None:
    card = read_card()
    expected = OfferedModel(name="tiny-1", engine="tiny", context_tokens=256, domain=card.domain)
    assert await engine.models() == (expected,)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "prompt",
    [
        "What is the capital of France?",
        "what is the capital of france",
        "WHAT IS THE CAPITAL OF FRANCE ?",
        "Q: What is the capital of France?",
        "Please tell me the capital of France.",
        "  What’s the\ncapital of France? ",
        "capital of france",
    ],
)
async def test_the_wording_of_a_question_does_not_matter(engine: TinyEngine, prompt: str) -> None:
    text = await answer(engine, prompt)
    assert "Paris" in text
    assert "France" in text
    assert text.endswith(".")


@pytest.mark.anyio
async def test_wordings_differ_and_the_fact_does_not(engine: TinyEngine) -> None:
    texts = [
        await answer(engine, "Who wrote Moby Dick?", temperature_milli=800, seed=seed) for seed in range(20)
    ]
    assert len(set(texts)) >= 3
    assert [text for text in texts if "Herman Melville" not in text] == []


@pytest.mark.anyio
async def test_the_same_seed_gives_the_same_text(engine: TinyEngine) -> None:
    other = TinyEngine()
    for seed in (0, 7, 2**53 - 1):
        asked = [
            await answer(each, "Capital of Peru?", temperature_milli=1000, seed=seed)
            for each in (engine, other)
        ]
        assert asked[0] == asked[1]
    await other.close()


@pytest.mark.anyio
async def test_a_foreign_question_is_turned_down(engine: TinyEngine) -> None:
    text = await answer(engine, "Write a poem about my dog")
    assert text.startswith(("I do not know", "I don't know"))


@pytest.mark.anyio
async def test_the_last_user_message_is_what_is_answered(engine: TinyEngine) -> None:
    turns = (
        Message("system", "You are kind."),
        Message("user", "What is the capital of Spain?"),
        Message("assistant", "Madrid."),
        Message("user", "What is the capital of Norway?"),
    )
    assert "Oslo" in await answer(engine, "", messages=turns)


@pytest.mark.anyio
async def test_counts_and_names_are_those_of_the_answer(engine: TinyEngine) -> None:
    generation = await engine.generate(job("What is the capital of Chile?"), lambda _: None)
    assert (generation.model, generation.engine) == ("tiny-1", "tiny")
    assert generation.prompt_tokens > 5
    assert 5 <= generation.completion_tokens <= 30
    assert 0 <= generation.first_token_ms <= generation.total_ms


@pytest.mark.anyio
async def test_an_answer_stops_at_the_tokens_asked_for(engine: TinyEngine) -> None:
    whole = await answer(engine, "Count from 3 to 8")
    short = await answer(engine, "Count from 3 to 8", max_tokens=3)
    assert whole.startswith(short)
    assert len(short) < len(whole)


# What it refuses


@pytest.mark.anyio
async def test_a_prompt_beyond_the_context_is_refused(engine: TinyEngine) -> None:
    with pytest.raises(AdapterError, match="context_length_exceeded"):
        await answer(engine, "42 " * (256 - ANSWER_TOKENS))


@pytest.mark.anyio
async def test_a_long_system_message_is_not_passed_over_in_silence(engine: TinyEngine) -> None:
    turns = (Message("system", "Be brief. " * 200), Message("user", "Capital of Spain?"))
    with pytest.raises(AdapterError, match="context_length_exceeded"):
        await answer(engine, "", messages=turns)


@pytest.mark.anyio
async def test_another_model_is_refused(engine: TinyEngine) -> None:
    with pytest.raises(AdapterError, match="model_missing"):
        await answer(engine, "Capital of Spain?", model="tiny-2")


@pytest.mark.anyio
async def test_a_schema_is_refused(engine: TinyEngine) -> None:
    with pytest.raises(AdapterError, match="schema_unsupported"):
        await answer(engine, "Capital of Spain?", schema='{"type":"object"}')


@pytest.mark.anyio
async def test_a_cancelled_job_stops_and_the_engine_goes_on(engine: TinyEngine) -> None:
    begun = asyncio.Event()
    task = asyncio.create_task(engine.generate(job("Count from 3 to 8"), lambda _: begun.set()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "Rome" in await answer(engine, "Capital of Italy?")


@pytest.mark.anyio
async def test_closing_is_harmless_and_repeatable() -> None:
    engine = TinyEngine()
    await engine.close()
    assert "Rome" in await answer(engine, "Capital of Italy?")
    await engine.close()
    await engine.close()


def test_loading_dicast_does_not_load_the_runtime() -> None:
    probe = "import sys, dicast.engines.tiny; sys.exit('onnxruntime' in sys.modules)"
    subprocess.run([sys.executable, "-c", probe], check=True)


# Tokens and draws


@given(st.text())
def test_any_text_survives_the_tokenizer(text: str) -> None:
    tokenizer = Tokenizer(MERGES)
    assert tokenizer.decode(tokenizer.encode(text)) == text.encode("utf-8", "replace").decode()


def test_merges_apply_in_their_order_and_not_across_words() -> None:
    assert Tokenizer(MERGES).encode("abc a b") == [BYTE_TOKENS + 1, 32, 97, 32, 98]


def test_a_question_stands_between_its_marks() -> None:
    assert Tokenizer(()).encode_question(" Ab? ") == [QUESTION, 97, 98, ANSWER]


def test_a_prompt_is_read_in_lower_case_without_its_closing_mark() -> None:
    assert normal_prompt("  What’s\tÉtÉ ?! ") == "what's ÉtÉ"


@given(st.integers(0, 2**64 - 1), st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=20))
def test_a_draw_picks_a_likely_token(draw: int, values: list[float]) -> None:
    logits = np.array(values, dtype=np.float32)
    chosen = logits[choose(logits, 1.0, draw)]
    assert chosen >= logits.max() - 3.0


def test_draws_follow_the_weights() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.2, 0.001], dtype=np.float32))
    drawn = Counter(choose(logits, 1.0, (step << 64) // 1000) for step in range(1000))
    assert [round(drawn[token], -1) for token in range(4)] == [500, 300, 200, 0]


def test_at_temperature_zero_the_likeliest_is_taken() -> None:
    assert choose(np.array([0.0, 2.0, 1.0], dtype=np.float32), 0.0, 2**64 - 1) == 1
