"""The matcher against one that was written apart from it, from the page, and without a parse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dicast.queries.json_text import Fault, QueryError, read_object
from dicast.queries.language import QUERY_BYTES_MAX, QUERY_NODES_MAX, Query, parse_query, query_of
from dicast.queries.matching import matches

VECTORS = json.loads((Path(__file__).parents[2] / "spec/vectors/queries.json").read_text())
NAMES = ["a", "b", "c", "0", "1", "é"]
NOTHING = object()


def spelled(value: Any) -> str:
    """One spelling a value: kind and content, so that equal means the same text."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int | float):
        return f"n{float(value) + 0.0!r}"
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, list):
        return "[" + ",".join(map(spelled, value)) + "]"
    return "{" + ",".join(f"{json.dumps(name)}:{spelled(value[name])}" for name in sorted(value)) + "}"


def looked_up(document: Any, path: str) -> Any:
    here = document
    for part in path.split("."):
        inside = dict(enumerate(here)) if isinstance(here, list) else here
        if isinstance(here, list):
            inside = {str(number): item for number, item in inside.items()}
        if not isinstance(inside, dict) or part not in inside:
            return NOTHING
        here = inside[part]
    return here


def parsed_or_fault(text: bytes) -> tuple[Query | None, Fault | None]:
    try:
        return parse_query(text), None
    except QueryError as error:
        return None, error.fault


def is_between(low: Any, high: Any, may_be_equal: bool) -> bool:
    pair = (low, high)
    are_numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in pair)
    are_strings = all(isinstance(one, str) for one in pair)
    if not are_numbers and not are_strings:
        return False
    keys = [list(map(ord, one)) if are_strings else one for one in pair]
    return keys[0] < keys[1] or (may_be_equal and keys[0] == keys[1])


def asked(operator: str, operand: Any, value: Any) -> bool:
    if operator == "$and":
        return all(slow_condition(one, value) for one in operand)
    if operator == "$or":
        return any(slow_condition(one, value) for one in operand)
    if operator == "$not":
        return not slow_condition(operand, value)
    if operator == "$ne":
        return not asked("$eq", operand, value)
    if operator == "$nin":
        return not asked("$in", operand, value)
    if operator == "$exists":
        return (value is not NOTHING) == operand
    if value is NOTHING:
        return False
    if operator == "$eq":
        return spelled(value) == spelled(operand)
    if operator == "$in":
        return spelled(value) in {spelled(one) for one in operand}
    if operator == "$contains":
        if isinstance(value, list):
            return spelled(operand) in [spelled(item) for item in value]
        if isinstance(value, str) and isinstance(operand, str):
            return any(value[at : at + len(operand)] == operand for at in range(len(value) + 1))
        return False
    low, high = (value, operand) if operator in ("$lt", "$lte") else (operand, value)
    return is_between(low, high, operator in ("$lte", "$gte"))


def slow_condition(condition: Any, value: Any) -> bool:
    if isinstance(condition, dict) and any(name[:1] == "$" for name in condition):
        return all(asked(name, operand, value) for name, operand in condition.items())
    return asked("$eq", condition, value)


def slow_match(query: Any, document: Any) -> bool:
    results = []
    for name, operand in query.items():
        if name == "$and":
            results.append(all(slow_match(one, document) for one in operand))
        elif name == "$or":
            results.append(any(slow_match(one, document) for one in operand))
        elif name == "$not":
            results.append(not slow_match(operand, document))
        else:
            results.append(slow_condition(operand, looked_up(document, name)))
    return all(results)


numbers = st.sampled_from([0, -0.0, 1, 1.0, 1.5, -1, 2, 2**53, 2**53 + 1, 1e300])
strings = st.sampled_from(["", "a", "b", "ab", "1", "é", "\ue000", "\U00010000", "null"])
leaves = st.one_of(st.none(), st.booleans(), numbers, strings)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=6,
)
documents = st.dictionaries(st.sampled_from(NAMES), values, max_size=4)
paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(".".join)
orders = st.sampled_from(["$lt", "$lte", "$gt", "$gte"])
one_operator = st.one_of(
    st.tuples(st.sampled_from(["$eq", "$ne", "$contains"]), values),
    st.tuples(orders, numbers | strings),
    st.tuples(st.sampled_from(["$in", "$nin"]), st.lists(values, max_size=4)),
    st.tuples(st.just("$exists"), st.booleans()),
)
conditions = st.recursive(
    values | st.lists(one_operator, min_size=1, max_size=3).map(dict),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["$and", "$or"]), st.lists(inner, min_size=1, max_size=3)),
        st.tuples(st.just("$not"), inner),
    ).map(lambda pair: dict([pair])),
    max_leaves=4,
)
queries = st.recursive(
    st.dictionaries(paths, conditions, max_size=3),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["$and", "$or"]), st.lists(inner, min_size=1, max_size=3)),
        st.tuples(st.just("$not"), inner),
    ).map(lambda pair: dict([pair])),
    max_leaves=4,
)


@settings(max_examples=4_000, deadline=None)
@given(queries, documents)
def test_theorem_40_1_the_matcher_is_the_slow_one(query: Any, document: Any) -> None:
    text = json.dumps(query).encode()
    assume(len(text) <= QUERY_BYTES_MAX)
    parsed, fault = parsed_or_fault(text)
    assume(fault is not Fault.TOO_COMPLEX)
    assert parsed is not None, fault
    found = read_object(json.dumps(document).encode())
    wanted = json.loads(text, parse_int=float)
    assert matches(parsed, found) == slow_match(wanted, found)
    assert 1 <= parsed.nodes <= QUERY_NODES_MAX


@settings(max_examples=2_000, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["a", "$and", "$or", "$not", "$eq", "$gt", "$in", "$x", ""]), values | queries
    )
)
def test_theorem_40_2_whatever_is_asked_is_a_query_or_an_error_of_its_own(query: Any) -> None:
    parsed, fault = parsed_or_fault(json.dumps(query).encode())
    assert fault in Fault if parsed is None else matches(parsed, {}) in (True, False)


@settings(max_examples=2_000, deadline=None)
@given(st.binary(max_size=64) | st.text(max_size=64).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_theorem_40_3_whatever_bytes_come_they_are_an_object_or_refused(data: bytes) -> None:
    try:
        found = read_object(data)
    except QueryError:
        return
    assert isinstance(found, dict)


def test_the_vectors_hold() -> None:
    found = [read_object(text.encode()) for text in VECTORS["documents"]]
    for row in VECTORS["queries"]:
        query = parse_query(row["query"].encode())
        assert [at for at, one in enumerate(found) if matches(query, one)] == row["matches"], row["query"]
        slow = json.loads(row["query"], parse_int=float)
        assert [at for at, one in enumerate(found) if slow_match(slow, one)] == row["matches"], row["query"]
    for row in VECTORS["refused"]:
        with pytest.raises(QueryError) as refusal:
            parse_query(row["query"].encode())
        assert refusal.value.fault.value == row["fault"], row["query"]


def test_an_unknown_operator_is_named() -> None:
    with pytest.raises(QueryError, match=r"no operator '\$regex'"):
        query_of({"a": {"$regex": "x"}})
    assert {row["fault"] for row in VECTORS["refused"]} >= {fault.value for fault in Fault} - {
        "too_many_values",
    }


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b'{"a":1,"a":1}', Fault.NOT_JSON),
        (b"\xff", Fault.NOT_JSON),
        (b'{"a":Infinity}', Fault.NOT_JSON),
        (b'{"a":' + b"[" * 9_000 + b"]" * 6_000 + b"}", Fault.TOO_DEEP),
        (b'{"a":' + b"[" * 15 + b"]" * 15 + b"}", None),
        (b'{"a":' + b"[" * 16 + b"]" * 16 + b"}", Fault.TOO_DEEP),
        (b'{"a":[' + b"1," * 1_021 + b"1]}", None),
        (b'{"a":[' + b"1," * 1_022 + b"1]}", Fault.TOO_MANY_VALUES),
        (b'{"a":"' + b"x" * (16 * 1024 - 8) + b'"}', None),
        (b'{"a":"' + b"x" * (16 * 1024 - 7) + b'"}', Fault.TOO_LARGE),
    ],
)
def test_what_is_no_object_says_why(text: bytes, fault: Fault | None) -> None:
    if fault is None:
        read_object(text)
        return
    with pytest.raises(QueryError) as refusal:
        read_object(text)
    assert refusal.value.fault is fault
