"""The judge against a slow one written straight from the rules: plain loops over pairs of members."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicast.base.codec import encode
from dicast.consensus import gates, schema
from dicast.consensus.case import Case, CaseReveal, check_case
from dicast.consensus.frame import JudgedFrame
from dicast.consensus.judge import judge
from dicast.consensus.text import canonical_text, has_unassigned
from dicast.consensus.wordpiece import is_literal, is_too_long


def reference(case: Case) -> dict[str, Any]:
    """Rules 1 to 9, one after the other."""
    frame = case.request.frame
    commits = {commit.pubkey: commit.digest for commit in case.commits}
    reveals = {reveal.pubkey: reveal for reveal in case.reveals}
    panel = case.panel if case.panel is not None else dict.fromkeys(commits, 1)
    n = sum(panel.values())
    need = min(k for k in range(n + 1) if k * 10_000 >= n * frame.sec_percentage_bp)
    seed = seed_of(case)
    statuses: dict[str, str] = {key: first_status(case, key, commits, reveals) for key in panel}
    valid = sorted(key for key, status in statuses.items() if status == "valid")
    agreed = {(a, b): agree(case, reveals[a], reveals[b]) for a in valid for b in valid}
    support = {a: sum(panel[b] for b in valid if agreed[a, b]) for a in valid}
    spread = {
        a: sum(panel[b] * apart(case, reveals[a], reveals[b]) for b in valid if agreed[a, b]) for a in valid
    }
    tie = {a: sha(b"dicast/tie/1", seed, raw(commits[a])) for a in valid}
    center = min(valid, key=lambda a: (-support[a], spread[a], tie[a], a), default=None)
    inside = [key for key in valid if agreed[center, key]]
    runner_up = max([support[key] for key in valid if key not in inside], default=0)
    reason = (
        "quorum_not_reached"
        if sum(panel[key] for key in commits) < frame.quorum
        else "agreed"
        if any(support[key] >= need for key in valid)
        else "too_few_reveals"
        if sum(panel[key] for key in valid) < need
        else "no_agreement"
    )
    for key in valid:
        statuses[key] = "undecided"
        if reason == "agreed" and key in inside:
            statuses[key] = "core" if support[key] >= need else "accepted"
        elif reason == "agreed":
            statuses[key] = "conflict" if is_near(case, reveals[center], reveals[key]) else "outside"
    core = [key for key in valid if statuses[key] == "core"]
    ticket = {key: sha(b"dicast/select/1", seed, raw(commits[key])) for key in core}
    winner = min(core, key=lambda key: (ticket[key], key), default=None)
    verdict = {"v": 1, "reason": reason, "n": n, "need": need, "statuses": statuses, "support": support}
    verdict |= {"outcome": "accepted" if reason == "agreed" else "undetermined", "winner": winner}
    verdict |= {"center": center, "ball_size": sum(panel[key] for key in inside)}
    verdict |= {"runner_up_size": runner_up, "unique": runner_up < need}
    return sealed(verdict | {"answer": agreed_answer(case, reveals[winner].answer) if winner else None})


def seed_of(case: Case) -> bytes:
    beacon = raw(case.selection_beacon)
    return sha(b"dicast/selection/1", raw(case.request.id), raw(case.selection_salt), beacon)


def sealed(verdict: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(verdict, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return verdict | {"digest": sha(b"dicast/verdict/1", text.encode()).hex()}


def sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


def first_status(case: Case, key: str, commits: dict[str, str], reveals: dict[str, CaseReveal]) -> str:
    if key not in commits:
        return "silent"
    if key not in reveals:
        return "unrevealed"
    reveal = reveals[key]
    opened = (raw(case.request.id), raw(key), raw(reveal.salt))
    hashes = (sha(reveal.answer.encode()), sha(reveal.model.encode()))
    if sha(b"dicast/commit/1", *opened, *hashes).hex() != commits[key]:
        return "digest_mismatch"
    if case.request.models and reveal.model not in case.request.models:
        return "model_refused"
    if is_broken(case, reveal.answer):
        return "malformed"
    if key in case.recomputed and case.recomputed[key] != reveal.embeddings:
        return "embedding_mismatch"
    return "valid"


def is_broken(case: Case, answer: str) -> bool:
    frame = case.request.frame
    if has_unassigned(answer):
        return True
    if case.request.schema and not schema.conforms(schema.parse_schema(case.request.schema), answer):
        return True
    if frame.labels:
        return canonical_text(answer) not in [canonical_text(label) for label in frame.labels]
    if frame.exact or frame.fuzzy:
        try:
            document = json.loads(answer, parse_int=Decimal, parse_float=Decimal)
        except ValueError:
            return True
        if any(pointer_value(document, pointer) is MISSING for pointer in frame.exact):
            return True
        if not all(type(pointer_value(document, pointer)) is str for pointer in frame.fuzzy):
            return True
    text = embedded(case, answer)
    return not text.strip() or is_too_long(text)


class Decimal(str):
    """A number as it was written."""

    __slots__ = ()


MISSING = object()


def pointer_value(document: Any, pointer: str) -> Any:
    """Only what the generated cases use: members of objects."""
    for token in pointer.split("/")[1:]:
        if not isinstance(document, dict) or token not in document:
            return MISSING
        document = document[token]
    return document


def same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def exact_values(case: Case, answer: str) -> list[Any]:
    document = json.loads(answer, parse_int=Decimal, parse_float=Decimal)
    return [pointer_value(document, pointer) for pointer in case.request.frame.exact]


def fuzzy_texts(case: Case, answer: str) -> list[str]:
    document = json.loads(answer)
    return [pointer_value(document, pointer) for pointer in case.request.frame.fuzzy]


def embedded(case: Case, answer: str) -> str:
    if case.request.frame.fuzzy:
        return "\n".join(map(canonical_text, fuzzy_texts(case, answer)))
    return canonical_text(answer)


def agree(case: Case, a: CaseReveal, b: CaseReveal) -> bool:
    frame = case.request.frame
    if frame.labels:
        return canonical_text(a.answer) == canonical_text(b.answer)
    exact_equal = not (frame.exact or frame.fuzzy) or all(
        map(same, exact_values(case, a.answer), exact_values(case, b.answer))
    )
    if frame.exact and not frame.fuzzy:
        return exact_equal
    if exact_equal and embedded(case, a.answer) == embedded(case, b.answer):
        return True
    return exact_equal and is_near(case, a, b) and not any(objects(case, gate, a, b) for gate in frame.gates)


def is_near(case: Case, a: CaseReveal, b: CaseReveal) -> bool:
    frame = case.request.frame
    if frame.labels or (frame.exact and not frame.fuzzy) or not frame.sec_distance_bits:
        return False
    if is_literal(embedded(case, a.answer)) or is_literal(embedded(case, b.answer)):
        return False
    return all(
        hamming(a.embeddings[name], b.embeddings[name]) <= radius
        for name, radius in frame.sec_distance_bits.items()
    )


def objects(case: Case, gate: str, a: CaseReveal, b: CaseReveal) -> bool:
    if gate == "json":
        return False
    seen = ["\n".join(fuzzy_texts(case, r.answer)) if case.request.frame.fuzzy else r.answer for r in (a, b)]
    features = [gates.features(gate, text, case.request.prompt) for text in seen]
    return gates.conflict(gate, *features)


def hamming(a: str, b: str) -> int:
    return (int(a, 16) ^ int(b, 16)).bit_count()


def apart(case: Case, a: CaseReveal, b: CaseReveal) -> int:
    return sum(
        hamming(a.embeddings[name], b.embeddings[name]) for name in case.request.frame.sec_distance_bits
    )


def agreed_answer(case: Case, answer: str) -> str:
    frame = case.request.frame
    if frame.labels:
        return canonical_text(answer)
    if frame.exact and not frame.fuzzy:
        document = json.loads(answer, parse_int=Decimal, parse_float=Decimal)
        return (
            "{" + ",".join(f'"{p}":{written(pointer_value(document, p))}' for p in sorted(frame.exact)) + "}"
        )
    return canonical_text(answer) if not frame.fuzzy and is_literal(canonical_text(answer)) else answer


def written(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{written(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


PROSE = [
    "The capital of the country is Paris, as 3 sources say.",
    "the capital of the country is **Paris**, as 3 sources say",
    "The capital of the country is Lyon, as 3 sources say.",
    "Its capital has been Paris for 900 years without a break.",
    "No, the capital of the country is not Paris at all.",
    "Yes, the capital of the country is certainly Paris.",
    "Buy our cheap watches today at a price of 99 euros",
    "Paris",
    "paris.",
    "Lyon",
    "42",
    " ",
    "a bell \x07 rings in the capital of the country today",
]
LABELS = ["Yes", "yes.", "No", "perhaps", "*no*", "The answer is yes"]
VALUES = [
    '{"price": 12.50, "note": "as seen on the market this morning"}',
    '{"note": "as the market has shown since this morning", "price": 12.50}',
    '{"price": 12.5, "note": "as seen on the market this morning"}',
    '{"price": "12.50", "note": "as seen on the market this morning"}',
    '{"price": 12.50, "note": "fine"}',
    '{"price": 12.50, "note": "Fine."}',
    '{"price": 12.50, "note": 3}',
    '{"price": {"a": [1, null], "b": true}, "note": "x"}',
    '{"note": "as seen"}',
    "no JSON",
]
CENTERS = ["0000", "000f", "00ff", "0fff", "ffff"]
WORD_GATES = [name for name in gates.GATES if name != "json"]
FORMS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "prose": (PROSE, {}),
    "labels": (LABELS, {"labels": ("yes", "No")}),
    "values": (VALUES, {"exact": ("/price",)}),
    "fields": (VALUES, {"exact": ("/price",), "fuzzy": ("/note",)}),
    "notes": (VALUES, {"fuzzy": ("/note",)}),
}
EMBEDDED = {"fields", "notes"}
"""Forms that need an embedder."""


@st.composite
def cases(draw: st.DrawFn, case_of: Callable[..., Case], member: Any, name: str) -> Case:
    answers, form = FORMS[name]
    is_embedded = name in EMBEDDED or draw(st.booleans())
    names = draw(st.sampled_from([["toy"], ["toy", "twin"]])) if is_embedded else []
    bits = st.fixed_dictionaries({name: st.sampled_from(CENTERS) for name in names})
    members = draw(
        st.lists(
            st.builds(
                member,
                answer=st.sampled_from(answers),
                bits=bits,
                seats=st.integers(1, 3),
                model=st.sampled_from(["m", "m", "m", "other"]),
                commits=st.sampled_from([True, True, True, False]),
                reveals=st.sampled_from([True, True, True, False]),
                forged=st.sampled_from([False, False, False, False, True]),
                recomputed=st.none() | bits,
            ),
            max_size=9,
        )
    )
    frame = JudgedFrame(
        quorum=draw(st.integers(1, 8)),
        sec_percentage_bp=draw(st.integers(1, 10_000)),
        sec_distance_bits={name: draw(st.integers(0, 16)) for name in names},
        gates=tuple(draw(st.lists(st.sampled_from(WORD_GATES), unique=True))),
        **form,
    )
    return case_of(
        members,
        frame,
        panel=draw(st.booleans()),
        models=draw(st.sampled_from([(), ("m",)])),
        prompt=draw(st.sampled_from(["", "What is the capital, Paris or Lyon, after 900 years?"])),
        selection_beacon=draw(st.sampled_from(["", "beef"])),
    )


@pytest.mark.parametrize("form", FORMS)
def test_the_judge_equals_the_rules_written_as_loops(
    case_of: Callable[..., Case], member: Any, form: str
) -> None:
    @settings(max_examples=150)
    @given(cases(case_of, member, form))
    def check(case: Case) -> None:
        check_case(case)
        verdict = judge(case)
        assert json.loads(verdict.encode()) == reference(case)
        assert encode(json.loads(verdict.encode())) == verdict.encode()

    check()


@pytest.mark.parametrize("answer", VALUES[:8])
def test_every_kind_of_value_is_written_as_the_rules_say(
    case_of: Callable[..., Case], member: Any, answer: str
) -> None:
    frame = JudgedFrame(
        quorum=1, sec_percentage_bp=1, sec_distance_bits={"toy": 0}, gates=(), exact=("/price",)
    )
    case = case_of([member(answer=answer, bits={"toy": "0000"})], frame)
    verdict = judge(case)
    assert verdict.answer is not None
    assert json.loads(verdict.encode()) == reference(case)
