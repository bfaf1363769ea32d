"""How often the gates reject honest paraphrases, and how often they miss a swapped name, number or yes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path

import pytest

from dicast.consensus import gates

HERE = Path(__file__).parent
DEFAULT = ("numbers", "entities", "polarity")
STRICT = ("numbers_strict", "entities_strict", "polarity_strict")

Pair = tuple[str, str, str]


def groups(name: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Prompt, honest answers, wrong answers."""
    for block in (HERE / name).read_text(encoding="utf-8").split("\n? ")[1:]:
        prompt, *lines = (line for line in block.split("\n") if line)
        wrong = [line[2:] for line in lines if line.startswith("! ")]
        yield prompt, [line for line in lines if not line.startswith("! ")], wrong


def honest_pairs(name: str) -> list[Pair]:
    return [(prompt, *pair) for prompt, honest, _ in groups(name) for pair in combinations(honest, 2)]


def swapped_pairs(name: str) -> list[Pair]:
    return [(prompt, *pair) for prompt, honest, wrong in groups(name) for pair in product(honest, wrong)]


def rejected(pairs: list[Pair], names: tuple[str, ...]) -> list[Pair]:
    """The pairs that one of the gates objects to."""
    return [
        (prompt, one, other)
        for prompt, one, other in pairs
        if any(
            gates.conflict(gate, gates.features(gate, one, prompt), gates.features(gate, other, prompt))
            for gate in names
        )
    ]


@pytest.mark.parametrize(
    ("name", "honest_max", "missed_max"),
    [("paraphrases.txt", 0.09, 0.11), ("paraphrases_unseen.txt", 0.13, 0.09)],
)
def test_honest_paraphrases_pass_and_swaps_are_caught(name: str, honest_max: float, missed_max: float):
    honest, swapped = honest_pairs(name), swapped_pairs(name)
    assert len(honest) >= 60
    assert len(swapped) >= 60
    assert len(rejected(honest, DEFAULT)) <= honest_max * len(honest)
    assert len(swapped) - len(rejected(swapped, DEFAULT)) <= missed_max * len(swapped)


@pytest.mark.parametrize("name", ["paraphrases.txt", "paraphrases_unseen.txt"])
def test_the_strict_gates_miss_less_and_reject_more(name: str):
    honest, swapped = honest_pairs(name), swapped_pairs(name)
    assert set(rejected(honest, DEFAULT)) <= set(rejected(honest, STRICT))
    assert set(rejected(swapped, DEFAULT)) <= set(rejected(swapped, STRICT))
    assert len(swapped) - len(rejected(swapped, STRICT)) <= 0.03 * len(swapped)
