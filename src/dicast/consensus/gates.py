"""Gates: what two answers may not contradict each other in, however near they are (`spec/05-gates.md`).

A gate reads every distinct answer once (`features`) and then compares what it read (`conflict`, symmetric).
"""

from __future__ import annotations

import functools
from typing import TypeAlias

from dicast.consensus.constants import GATES
from dicast.consensus.gate_entities import names_in, prompt_words
from dicast.consensus.gate_numbers import number_elements
from dicast.consensus.gate_polarity import Polarity, is_conflict, polarity_of
from dicast.consensus.json_value import Absent, NotJsonError, Value, parse_json, value_at

__all__ = ["GATES", "Features", "conflict", "exact_values", "features"]

Features: TypeAlias = frozenset[str] | Polarity | tuple[Value, ...] | None
"""What a gate read in an answer; hashable, so that answers are grouped by it."""
_PROMPTS_KEPT = 16
"""Prompts whose words are remembered: the judge reads all answers to one prompt in a row."""


def features(name: str, answer: str, prompt: str, exact: tuple[str, ...] = ()) -> Features:
    """What gate `name` reads in the original answer; `exact` are the JSON pointers of the frame.

    A gate treats answers with equal features alike; `numbers` and `numbers_strict` have the same ones.
    """
    match name:
        case "numbers" | "numbers_strict":
            found = number_elements(answer)
            return (found - _prompt_numbers(prompt)) or found if found else found
        case "entities" | "entities_strict":
            return names_in(answer).beyond(_prompt_words(prompt))
        case "polarity" | "polarity_strict":
            return polarity_of(answer)
        case "json":
            return exact_values(answer, exact)
        case _:
            raise KeyError(name)


def conflict(name: str, one: Features, other: Features) -> bool:
    """Whether gate `name` objects to two answers, given their features."""
    match one, other:
        case frozenset(), frozenset():
            if name.endswith("_strict"):
                return one != other
            return bool(one) and bool(other) and not (one <= other or other <= one)
        case Polarity(), Polarity():
            return is_conflict(one, other) or (name.endswith("_strict") and one.signs != other.signs)
        case _:
            return one is None or other is None or one != other


def exact_values(answer: str, exact: tuple[str, ...]) -> tuple[Value, ...] | None:
    """The values at the pointers; None, which equals nothing, if the answer is no JSON or lacks one."""
    try:
        value = parse_json(answer)
    except NotJsonError:
        return None
    found = [value_at(value, pointer) for pointer in exact]
    present = tuple(one for one in found if not isinstance(one, Absent))
    return present if len(present) == len(found) else None


@functools.lru_cache(maxsize=_PROMPTS_KEPT)
def _prompt_numbers(prompt: str) -> frozenset[str]:
    return number_elements(prompt)


@functools.lru_cache(maxsize=_PROMPTS_KEPT)
def _prompt_words(prompt: str) -> frozenset[str]:
    return prompt_words(prompt)
