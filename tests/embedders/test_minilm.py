from __future__ import annotations

import importlib.util
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dicast.base.errors import AdapterError
from dicast.embedders.minilm import (
    BITS,
    DEAD_COMPONENTS,
    FLOAT32_MARGIN,
    FLOAT64_MARGIN,
    MiniLmEmbedder,
    framed_windows,
    is_sure,
    pack_signs,
)
from dicast.embedders.minilm_reference import ORDERED, QUICK, MiniLmReference

ROOT = Path(__file__).resolve().parents[2]
VECTORS: dict[str, Any] = json.loads((ROOT / "spec/vectors/embedding.json").read_text())
CITIES = ("paris", "lyon", "oslo", "quito", "cairo", "lima")
FORMS = (
    "the capital is {}",
    "i believe that {} is the right answer, because it says so",
    "{}: 1,024 people in 1984",
    "no, it is not {} but another city",
    "in {} the old bridge over the river was closed for repair last year",
)
SENTENCES = [form.format(city) for form in FORMS for city in CITIES]


def distance(left: bytes, right: bytes) -> int:
    return (int.from_bytes(left) ^ int.from_bytes(right)).bit_count()


@pytest.mark.parametrize("group", ["texts", "near_zero", "long"])
def test_the_vectors_hold(minilm: MiniLmEmbedder, group: str) -> None:
    rows = VECTORS[group]
    assert [bits.hex() for bits in minilm.embed([row["text"] for row in rows])] == [
        row["bits"] for row in rows
    ]
    assert [[len(window) for window in framed_windows(row["text"])] for row in rows] == [
        row["windows"] for row in rows
    ]


def test_the_definition_holds_to_the_last_bit(weights_path: Path) -> None:
    reference = MiniLmReference(weights_path)
    for row in VECTORS["mean_vectors"]:
        vector = reference.mean_vector([row["pieces"]], ORDERED)
        assert vector.astype(">f8").tobytes().hex() == row["components"]


def test_theorem_8_1_float32_and_float64_give_the_same_bits(
    minilm: MiniLmEmbedder, weights_path: Path
) -> None:
    reference = MiniLmReference(weights_path)
    chosen = SENTENCES[::3]  # float64 takes its time
    slow = [pack_signs(reference.mean_vector(framed_windows(text), QUICK)) for text in chosen]
    assert minilm.embed(chosen) == slow


def test_near_zero_float32_is_not_trusted(minilm: MiniLmEmbedder, weights_path: Path) -> None:
    reference = MiniLmReference(weights_path)
    for row in VECTORS["near_zero"]:
        windows = framed_windows(row["text"])
        (sums,) = minilm.float32_sums(windows)
        assert not is_sure(sums, FLOAT32_MARGIN)
        assert is_sure(reference.mean_vector(windows, QUICK), FLOAT64_MARGIN)


def test_company_in_the_batch_changes_nothing(minilm: MiniLmEmbedder, weights_path: Path) -> None:
    together = minilm.embed(SENTENCES)
    alone = MiniLmEmbedder(weights_path, threads=2)
    assert [alone.embed([text])[0] for text in reversed(SENTENCES)] == together[::-1]
    assert minilm.embed([SENTENCES[3], SENTENCES[3], "new here", SENTENCES[0]])[:2] == [together[3]] * 2


def test_threads_share_it(weights_path: Path) -> None:
    embedder = MiniLmEmbedder(weights_path)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda text: embedder.embed([text])[0], SENTENCES))
    assert results == embedder.embed(SENTENCES)


def test_meaning_is_near_and_garbage_far(minilm: MiniLmEmbedder) -> None:
    right, same, refusal = minilm.embed(
        ["the capital of france is paris", "paris is the capital of france", "i cannot help with that"]
    )
    assert (distance(right, same) < 100, distance(right, refusal) > 130) == (True, True)


def test_nothing_gives_nothing(minilm: MiniLmEmbedder) -> None:
    assert minilm.embed([]) == []


def test_a_text_of_more_than_16_windows_is_refused(minilm: MiniLmEmbedder) -> None:
    assert len(minilm.embed(["word " * (16 * 254)])) == 1
    with pytest.raises(AdapterError) as caught:
        minilm.embed(["word " * (16 * 254 + 1)])
    assert caught.value.code == "text_too_long"


def test_signs_are_packed_first_component_highest_without_the_dead_ones() -> None:
    vector = np.full(384, -1.0)
    vector[[0, 126, 128, 383, *DEAD_COMPONENTS]] = 1.0
    vector[5] = 0.0
    wanted = sum(1 << (383 - place) for place in (0, 126, 127, 380))
    assert (pack_signs(vector), BITS) == (wanted.to_bytes(48, "big"), 381)


@pytest.mark.parametrize(
    ("name", "code"), [("model.safetensors", "weights_wrong"), ("other.bin", "weights_wrong")]
)
def test_other_weights_are_refused(tmp_path: Path, name: str, code: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"not weights")
    with pytest.raises(AdapterError) as caught:
        MiniLmEmbedder(path)
    assert caught.value.code == code


def test_a_missing_file_names_the_way_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(AdapterError) as caught:
        MiniLmEmbedder(tmp_path / "model.safetensors")
    assert caught.value.code == "embedder_missing"
    assert "dicast models get minilm" in caught.value.next_step


def test_the_graph_is_what_its_tool_writes(weights_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_minilm_graph", ROOT / "tools/make_minilm_graph.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.GRAPH.read_bytes() == tool.make_graph(weights_path)
