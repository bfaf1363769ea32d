"""All text of the embedded model, from a seed: the training questions and the held-out ones.

`python tools/tiny_data.py` prints the held-out set as it is shipped.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from tiny_families import TABLE_FAMILIES, Item, TableFamily
from tiny_numbers import RULE_FAMILIES, RuleFamily
from tiny_unknown import draw_unknown

SEED = 20_261_120
HELD_OUT_OF_256 = 28
"""About one question in nine is never trained on."""

HELD_OUT_ITEMS = 40
UNSEEN_ITEMS = 10
"""Of the held-out items of a family of facts, those in a wording of which no example was trained on."""

UNKNOWN_WEIGHT = 13.0
UNKNOWN = "unknown"

OPENINGS = (
    *(
        "please tell me: ",
        "please tell me, ",
        "tell me: ",
        "tell me, ",
        "q: ",
        "question: ",
        "hi, ",
        "hello, ",
    ),
    *(
        "can you tell me: ",
        "could you tell me, ",
        "please answer: ",
        "answer this question: ",
        "quick question: ",
    ),
    *("i wonder, ", "please, ", "so, ", "hey, ", "answer briefly: ", "one question: ", "just tell me: "),
    *(
        "could you tell me: ",
        "i would like to know: ",
        "my question is: ",
        "listen, ",
        "ok, ",
        "do you know: ",
    ),
)
CLOSINGS = (
    *(", please", "? please answer in one sentence", "? answer in one sentence", "? thanks", "? thank you"),
    *(" please", "? answer in a full sentence", "? answer briefly", "? a:", "? answer:", " ?", ", thanks"),
    *("? answer with a sentence", "? reply in one sentence", "? be brief", "? please tell me"),
)

Family = TableFamily | RuleFamily
FAMILIES: tuple[Family, ...] = (*TABLE_FAMILIES, *RULE_FAMILIES)


def is_held_out(item: Item) -> bool:
    """Whether a question belongs to the held-out side of the split."""
    return hashlib.sha256(item.key.encode()).digest()[0] < HELD_OUT_OF_256


def training_examples(count: int, seed: int = SEED) -> Iterator[tuple[str, str]]:
    """Questions with one answer each, in the wordings people use; none of them held out."""
    source = random.Random(seed)
    names = [*FAMILIES, None]
    weights = [*(family.weight for family in FAMILIES), UNKNOWN_WEIGHT]
    for family in source.choices(names, weights, k=count):
        item = _draw_for_training(source, family)
        yield _decorated(source, item.prompt), source.choice(item.answers)


def held_out_examples() -> Iterator[dict[str, object]]:
    """The held-out set: family, question, the answers that count as right, and what is new about it."""
    for family in FAMILIES:
        source = random.Random(f"{SEED}/{family.name}")
        yield from _held_out(source, family)
    source = random.Random(f"{SEED}/{UNKNOWN}")
    items = {item.key: item for item in (draw_unknown(source) for _ in range(4000)) if is_held_out(item)}
    for item in list(items.values())[:HELD_OUT_ITEMS]:
        yield _record(UNKNOWN, item, "question")


def _held_out(source: random.Random, family: Family) -> Iterator[dict[str, object]]:
    unseen = UNSEEN_ITEMS if isinstance(family, TableFamily) else 0
    drawn: dict[str, Item] = {}
    for _ in range(20_000):
        item = family.draw(source)
        if is_held_out(item):
            drawn[item.key] = item
        if len(drawn) == HELD_OUT_ITEMS - unseen:
            break
    for item in drawn.values():
        yield _record(family.name, item, "question")
    if isinstance(family, TableFamily):
        fresh = {item.key: item for item in (family.draw(source, unseen=True) for _ in range(200))}
        for item in list(fresh.values())[:unseen]:
            yield _record(family.name, item, "wording")


def _record(family: str, item: Item, new: str) -> dict[str, object]:
    prompt = item.prompt[:1].upper() + item.prompt[1:]
    mark = "" if prompt[-1] in ".!" else "?"
    return {"family": family, "new": new, "prompt": prompt + mark, "answers": list(item.answers)}


def _draw_for_training(source: random.Random, family: Family | None) -> Item:
    while True:
        item = draw_unknown(source) if family is None else family.draw(source)
        if not is_held_out(item):
            return item


def _decorated(source: random.Random, prompt: str) -> str:
    chance = source.random()
    if chance < 0.15:
        prompt = source.choice(OPENINGS) + prompt
    if 0.1 < chance < 0.25:
        prompt += source.choice(CLOSINGS)
    if chance > 0.92:
        prompt = prompt.replace(" the ", " ", 1)
    elif chance > 0.88:
        prompt = prompt.replace("'", "").replace(",", "").replace(":", "")
    return prompt


def learn_merges(texts: list[str], count: int) -> list[tuple[int, int]]:
    """The byte pairs to merge, most frequent first; ties by the smaller pair."""
    from dicast.engines.tiny_tokenizer import BYTE_TOKENS, WORD

    frequency = Counter(word for text in texts for word in WORD.findall(text))
    split = [(list(word.encode()), times) for word, times in sorted(frequency.items())]
    merges: list[tuple[int, int]] = []
    while len(merges) < count:
        pairs: Counter[tuple[int, int]] = Counter()
        for tokens, times in split:
            for pair in pairwise(tokens):
                pairs[pair] += times
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for tokens, _ in split:
            _merge_in_place(tokens, best, BYTE_TOKENS + len(merges) - 1)
    return merges


def _merge_in_place(tokens: list[int], pair: tuple[int, int], merged: int) -> None:
    at = 0
    while at < len(tokens) - 1:
        if (tokens[at], tokens[at + 1]) == pair:
            tokens[at : at + 2] = [merged]
        at += 1


if __name__ == "__main__":
    for example in held_out_examples():
        print(json.dumps(example, ensure_ascii=False, separators=(",", ":")))
