"""Measures the embedded model and writes `tiny.json` and the tables of its model card.

Run after `train_tiny.py`, where the program itself runs: `.venv/bin/python tools/measure_tiny.py`.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import resource
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from tiny_families import TABLE_FAMILIES, TableFamily, fill

from dicast.consensus.text import canonical_text
from dicast.embedders.minilm import MiniLmEmbedder
from dicast.engines.tiny import TinyEngine
from dicast.engines.tiny_network import TinyCard

FOLDER = Path(__file__).parents[1] / "src/dicast/engines/data"
NAME = "tiny-1"
TEMPERATURE_MILLI = 800
FAMILY_FLOOR_BP = 8000
"""The tests ask for 75 %; the rest is room for the rounding of another processor."""
PROMPT = "What is the capital of France?"
DOMAIN = (
    "short English questions: capitals, continents, languages, makers of known works, inventors, "
    "chemical symbols, opposites, colours, plurals, days, numbers, addition, sentiment, yes or no"
)
"""What a node announces; `tiny.json` lists every family."""

NAMES = ("capitals", "authors", "painters", "composers", "inventors", "scientists")
"""Families whose answer is a proper name."""

Counts = dict[str, list[int]]
"""Of each family: how many were right, how many were asked."""


def main() -> None:
    """Write the hashes, measure, write the rest."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fast", action="store_true", help="leave out the wordings and their distances")
    options = parser.parse_args()
    write_card({}, 0)
    items = [json.loads(line) for line in (FOLDER / f"{NAME}.held-out.jsonl").read_text().splitlines()]
    engine = TinyEngine()
    print(f"load and first answer: {_seconds(engine):.2f} s")
    greedy, warm = accuracy(engine, items, (0,)), accuracy(engine, items, range(1, 4))
    shares = {name: basis_points(count) for name, count in families(greedy).items()}
    listed = {name: share for name, share in shares.items() if share >= FAMILY_FLOOR_BP}
    write_card(listed, basis_points(total(greedy)))
    sections = [_table(items, greedy, warm, engine), _speed(engine)]
    if not options.fast:
        sections.append(_wordings(engine))
    text = "\n\n".join(sections)
    print(text)
    card = FOLDER / "MODEL_CARD.md"
    if card.exists():
        before, _, _ = card.read_text().partition("<!-- measured -->")
        card.write_text(f"{before}<!-- measured -->\n\n{text}\n")


def write_card(families: dict[str, int], accuracy_bp: int) -> None:
    """Write `tiny.json`."""
    names = [f"{NAME}.onnx", f"{NAME}.tokenizer.json", f"{NAME}.held-out.jsonl"]
    card = TinyCard(
        name=NAME,
        context_tokens=256,
        domain=DOMAIN,
        temperature_milli=TEMPERATURE_MILLI,
        prompt=PROMPT,
        files={name: hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() for name in names},
        families=families,
        accuracy_bp=accuracy_bp,
    )
    (FOLDER / "tiny.json").write_text(json.dumps(msgspec.to_builtins(card), indent=1) + "\n")


def accuracy(engine: TinyEngine, items: list[dict[str, Any]], seeds: Iterable[int]) -> Counts:
    """Right and asked per family; greedy for seed 0."""
    counts: Counts = defaultdict(lambda: [0, 0])
    for item, seed in itertools.product(items, seeds):
        text = engine.answer_once(item["prompt"], TEMPERATURE_MILLI if seed else 0, seed)
        for name in (item["family"], f"new {item['new']}"):
            counts[name][0] += text in item["answers"]
            counts[name][1] += 1
    return counts


def families(counts: Counts) -> Counts:
    """Without the lines that are about what is new."""
    return {name: count for name, count in counts.items() if not name.startswith("new ")}


def total(counts: Counts) -> list[int]:
    """Over all families."""
    parts = families(counts).values()
    return [sum(part[index] for part in parts) for index in (0, 1)]


def basis_points(count: list[int]) -> int:
    """The share of right ones in 1/10,000."""
    return 10_000 * count[0] // count[1]


def _seconds(engine: TinyEngine) -> float:
    started = time.perf_counter()
    engine.answer_once(PROMPT)
    return time.perf_counter() - started


def _table(items: list[dict[str, Any]], greedy: Counts, warm: Counts, engine: TinyEngine) -> str:
    heads = ("family", "held out", "right, temperature 0", f"right, {TEMPERATURE_MILLI / 1000}", "example")
    examples = {item["family"]: item["prompt"] for item in reversed(items)}
    rows: list[tuple[str, ...]] = []
    for name in sorted(examples):
        example = f"{examples[name]} {engine.answer_once(examples[name])}"
        rows.append((name, str(greedy[name][1]), _percent(greedy[name]), _percent(warm[name]), example))
    rows.append(("**all**", str(len(items)), _percent(total(greedy)), _percent(total(warm)), ""))
    for name in ("new question", "new wording"):
        rows.append((f"only {name}", str(greedy[name][1]), _percent(greedy[name]), _percent(warm[name]), ""))
    return _markdown(heads, rows)


def _markdown(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines)


def _percent(count: list[int]) -> str:
    return f"{100 * count[0] / count[1]:.1f} %"


def _speed(engine: TinyEngine) -> str:
    started, tokens = time.perf_counter(), 0
    for seed in range(100):
        tokens += engine.count_tokens(engine.answer_once(PROMPT, TEMPERATURE_MILLI, seed)) + 1
    rate = tokens / (time.perf_counter() - started)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        f"Speed: {rate:.0f} tokens/s on one thread of a shared machine, reading the question included; "
        f"peak memory of the process {memory:.0f} MB."
    )


def _wordings(engine: TinyEngine) -> str:
    embedder = MiniLmEmbedder()
    heads = (
        "family",
        "right name, 0.8",
        "right name, 1.0",
        "wordings of a fact",
        "bits apart p50 / p95 / max",
    )
    rows = [_wording_row(engine, embedder, family) for family in TABLE_FAMILIES if family.name in NAMES]
    return _markdown(heads, rows)


def _wording_row(engine: TinyEngine, embedder: MiniLmEmbedder, family: TableFamily) -> tuple[str, ...]:
    right, distinct, distances = {800: 0, 1000: 0}, list[int](), list[int]()
    facts = family.table[:20]
    for left, name in facts:
        prompt = fill(family.questions[0], left, name) + "?"
        good = family.render(left, name)
        seen: set[str] = set()
        for milli in right:
            answers = [engine.answer_once(prompt, milli, seed) for seed in range(1, 51)]
            right[milli] += sum(answer in good for answer in answers)
            seen.update(answer for answer in answers if answer in good)
        distinct.append(len(seen))
        distances += _distances(embedder.embed([canonical_text(answer) for answer in sorted(seen)]))
    asked = 50 * len(facts)
    tail = statistics.quantiles(distances, n=20)[18]
    spread = f"{statistics.median(distances):.0f} / {tail:.0f} / {max(distances)}"
    shares = [_percent([count, asked]) for count in right.values()]
    return (family.name, *shares, f"{statistics.mean(distinct):.1f}", spread)


def _distances(packed: list[bytes]) -> list[int]:
    pairs = itertools.combinations([int.from_bytes(bits) for bits in packed], 2)
    return [(one ^ other).bit_count() for one, other in pairs]


if __name__ == "__main__":
    main()
