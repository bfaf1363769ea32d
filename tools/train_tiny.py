"""Trains the embedded model on generated text and writes `src/dicast/engines/data/`.

python -m venv /tmp/train && /tmp/train/bin/pip install -r requirements/train.in
PYTHONPATH=src /tmp/train/bin/python tools/train_tiny.py [--steps N] [--out FOLDER]
"""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as functional
from tiny_data import SEED, held_out_examples, learn_merges, training_examples
from tiny_model import WIDTH, TinyModel, to_onnx

from dicast.engines.tiny_tokenizer import BYTE_TOKENS, END, QUESTION, Tokenizer

Sequence = tuple[list[int], int]
"""Tokens of a question with its answer, and where the answer begins."""

MERGE_TEXTS = 60_000
LENGTH_MAX = 192
STEPS = 2150
ROWS = 160
MUON_RATE, ADAM_RATE = 0.02, 0.004
WARM_UP = 0.02
HOLD = 0.35
BRIEF_FLOATS = 0.8
"""The learning rate rises for `WARM_UP`, stays until `HOLD`, then falls in a line to 0; until `BRIEF_FLOATS`
the matrices multiply in bfloat16, after it in float32 (all shares of the run)."""


def main() -> None:
    """Learn the merges, train, write the files."""
    options = _options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    resumed = options.checkpoint is not None and options.checkpoint.exists()
    saved = torch.load(options.checkpoint) if resumed else {"merges": _merges(), "step": 0}
    merges = saved["merges"]
    tokenizer = Tokenizer(merges)
    model = TinyModel()
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    train(model, tokenizer, options, saved)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "tiny-1.onnx").write_bytes(to_onnx(model))
    (options.out / "tiny-1.tokenizer.json").write_text(
        json.dumps({"merges": merges}, separators=(",", ":")) + "\n"
    )
    lines = [
        json.dumps(example, ensure_ascii=False, separators=(",", ":")) for example in held_out_examples()
    ]
    (options.out / "tiny-1.held-out.jsonl").write_text("\n".join(lines) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--checkpoint", type=Path, help="goes on from this file, and renews it")
    parser.add_argument("--out", type=Path, default=Path("src/dicast/engines/data"))
    return parser.parse_args()


def _merges() -> list[tuple[int, int]]:
    pairs = training_examples(MERGE_TEXTS, SEED + 1)
    return learn_merges([text for pair in pairs for text in _texts(pair)], QUESTION - BYTE_TOKENS)


def _texts(pair: tuple[str, str]) -> tuple[str, str]:
    from dicast.engines.tiny_tokenizer import normal_prompt

    return normal_prompt(pair[0]), pair[1]


def train(model: TinyModel, tokenizer: Tokenizer, options: argparse.Namespace, saved: dict[str, Any]) -> None:
    """One pass over freshly drawn examples; matrices by Muon, the rest by AdamW."""
    matrices = [p for block in model.blocks for p in block.parameters()]
    muon = torch.optim.Muon(matrices, lr=MUON_RATE, momentum=0.95, weight_decay=0.01)
    adam = torch.optim.AdamW(
        [model.embedding, model.final], lr=ADAM_RATE, betas=(0.9, 0.98), weight_decay=0.0
    )
    parts = {"model": model, "muon": muon, "adam": adam}
    for name, part in parts.items():
        if name in saved:
            part.load_state_dict(saved[name])
    steps = options.steps
    started, seen, running = time.monotonic(), 0, 0.0
    for step, (tokens, wanted, targets) in enumerate(_batches(tokenizer, steps)):
        if step < saved["step"]:
            continue
        rate = _rate((step + 1) / steps)
        for optimizer, base in ((muon, MUON_RATE), (adam, ADAM_RATE)):
            optimizer.param_groups[0]["lr"] = base * rate
        with torch.autocast("cpu", torch.bfloat16, enabled=step < BRIEF_FLOATS * steps):
            logits = model(tokens, wanted)
        loss = functional.cross_entropy(logits.float(), targets)
        loss.backward()
        for optimizer in (muon, adam):
            optimizer.step()
            optimizer.zero_grad()
        seen += tokens.numel()
        running = 0.95 * running + 0.05 * loss.item() if running else loss.item()
        if step % 50 == 0 or step == steps - 1:
            print(f"{step} loss {running:.4f} tokens {seen} {time.monotonic() - started:.0f}", flush=True)
            kept = {"merges": saved["merges"], "step": step + 1}
            _save(options.checkpoint, kept | {name: part.state_dict() for name, part in parts.items()})


def _save(checkpoint: Path | None, state: dict[str, Any]) -> None:
    if checkpoint is not None:
        fresh = checkpoint.with_suffix(".new")
        torch.save(state, fresh)
        fresh.replace(checkpoint)


def _rate(share: float) -> float:
    return min(1.0, share / WARM_UP, (1 - share) / (1 - HOLD))


def _batches(tokenizer: Tokenizer, steps: int):
    """Padded batches of sequences of like length, in random order: tokens, wanted positions, targets."""
    source = random.Random(SEED + 2)
    group = 32
    examples = training_examples(steps * ROWS)
    for first in range(0, steps, group):
        count = min(group, steps - first)
        sequences = [_sequence(tokenizer, *next(examples)) for _ in range(count * ROWS)]
        sequences.sort(key=lambda sequence: len(sequence[0]))
        rows = [sequences[at * ROWS : (at + 1) * ROWS] for at in range(count)]
        source.shuffle(rows)
        yield from (_batch(batch) for batch in rows)


def _sequence(tokenizer: Tokenizer, prompt: str, answer: str) -> Sequence:
    question = tokenizer.encode_question(prompt)
    return (question + tokenizer.encode(answer) + [END])[:LENGTH_MAX], len(question)


def _batch(rows: list[Sequence]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    length = max(len(tokens) for tokens, _ in rows)
    tokens = torch.full((len(rows), length), END)
    answer = torch.zeros((len(rows), length), dtype=torch.bool)
    for row, (sequence, begin) in enumerate(rows):
        tokens[row, : len(sequence)] = torch.tensor(sequence)
        answer[row, begin : len(sequence)] = True
    return tokens[:, :-1], answer[:, 1:], tokens[:, 1:][answer[:, 1:]]


if __name__ == "__main__":
    assert WIDTH % 8 == 0
    main()
