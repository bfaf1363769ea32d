"""Queries, parsed once into a frozen and bounded form; see `spec/40-queries.md`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import TypeAlias, cast

import msgspec

from dicast.queries.json_text import Fault, JsonObject, JsonValue, QueryError, check_bounds, read_object

QUERY_BYTES_MAX = 4 * 1024
"""A filter that a person or a page writes has some hundred bytes."""
QUERY_NODES_MAX = 64
"""Tests in one query: each may look at every value of a document."""
QUERY_DEPTH_MAX = 8
"""`$and`, `$or` and `$not` inside each other."""
LIST_ITEMS_MAX = 64
"""Items of `$in`, `$nin`, `$and` and `$or`."""
PATH_PARTS_MAX = 8
"""`a.b.c` has three; a document nests 16 deep at the most."""

Value: TypeAlias = "bool | float | str | tuple[Value, ...] | Members | None"


class Members(msgspec.Struct, frozen=True):
    """An object as a value to compare with: its members in the order of their names."""

    pairs: tuple[tuple[str, Value], ...]


class Order(StrEnum):
    """How a number or a string stands to another."""

    LESS = "$lt"
    LESS_OR_EQUAL = "$lte"
    GREATER = "$gt"
    GREATER_OR_EQUAL = "$gte"


class Every(msgspec.Struct, frozen=True):
    """All of these hold; true when there are none."""

    tests: tuple[Test, ...]


class Either(msgspec.Struct, frozen=True):
    """At least one of these holds."""

    tests: tuple[Test, ...]


class Negated(msgspec.Struct, frozen=True):
    """This does not hold."""

    test: Test


class At(msgspec.Struct, frozen=True):
    """The test holds for what is at the path."""

    path: tuple[str, ...]
    test: Test


class Exists(msgspec.Struct, frozen=True):
    """Whether there is anything, `null` included."""

    is_wanted: bool


class Equal(msgspec.Struct, frozen=True):
    """The same value: the same kind, and equal throughout."""

    value: Value


class Compared(msgspec.Struct, frozen=True):
    """A number against a number, or a string against a string; anything else does not hold."""

    order: Order
    bound: float | str


class OneOf(msgspec.Struct, frozen=True):
    """Equal to one of these."""

    values: tuple[Value, ...]


class Contains(msgspec.Struct, frozen=True):
    """A list with an item equal to this, or a string with this inside."""

    value: Value


Test = Every | Either | Negated | At | Exists | Equal | Compared | OneOf | Contains


class Query(msgspec.Struct, frozen=True):
    """A parsed query; `nodes` is how many tests it has, which bounds what matching costs."""

    test: Test
    nodes: int


def parse_query(text: bytes) -> Query:
    """The query in a JSON text. Raises `QueryError` naming what is wrong."""
    return query_of(read_object(text, QUERY_BYTES_MAX))


def query_of(value: JsonObject) -> Query:
    """The query that an object says, numbers being floats. Raises `QueryError`."""
    check_bounds(value)
    parser = _Parser()
    return Query(parser.whole(value, 1), parser.nodes)


class _Parser:
    def __init__(self) -> None:
        self.nodes = 0

    def whole(self, value: JsonValue, depth: int) -> Test:
        """A query: paths with conditions, and `$and`, `$or`, `$not` over queries."""
        if not isinstance(value, dict):
            raise QueryError(Fault.BAD_OPERAND, "A query is an object.")
        self._enter(depth)
        return _every(self._part(name, operand, depth) for name, operand in value.items())

    def condition(self, value: JsonValue, depth: int) -> Test:
        """What is asked of one field: operators, or a plain value that it must equal."""
        self._enter(depth)
        names = [name for name in value if name.startswith("$")] if isinstance(value, dict) else []
        if not isinstance(value, dict) or not names:
            _refuse_operators(value)
            return Equal(frozen(value))
        if len(names) != len(value):
            raise QueryError(Fault.MISPLACED_OPERATOR, f"{names[0]} stands beside a plain name.")
        return _every(self._operator(name, operand, depth) for name, operand in value.items())

    def _part(self, name: str, operand: JsonValue, depth: int) -> Test:
        if not name.startswith("$"):
            return At(_path(name), self.condition(operand, depth))
        if name in _JOINING:
            return self._joined(name, operand, depth, self.whole)
        if name in _OPERATORS:
            raise QueryError(Fault.MISPLACED_OPERATOR, f'{name} needs a field: {{"name": {{"{name}": …}}}}.')
        raise _unknown(name)

    def _operator(self, name: str, operand: JsonValue, depth: int) -> Test:
        if name in _JOINING:
            return self._joined(name, operand, depth, self.condition)
        self._enter(depth)
        make = _OPERATORS.get(name)
        if make is None:
            raise _unknown(name)
        return make(name, operand)

    def _joined(
        self, name: str, operand: JsonValue, depth: int, read: Callable[[JsonValue, int], Test]
    ) -> Test:
        if name == "$not":
            return Negated(read(operand, depth + 1))
        tests = tuple(read(one, depth + 1) for one in _list(name, operand))
        if not tests:
            raise QueryError(Fault.BAD_OPERAND, f"{name} takes a list with at least one item.")
        return Every(tests) if name == "$and" else Either(tests)

    def _enter(self, depth: int) -> None:
        self.nodes += 1
        if depth > QUERY_DEPTH_MAX or self.nodes > QUERY_NODES_MAX:
            raise QueryError(
                Fault.TOO_COMPLEX,
                f"A query has at most {QUERY_NODES_MAX} tests, nested at most {QUERY_DEPTH_MAX} deep.",
            )


def frozen(value: JsonValue) -> Value:
    """A value that nobody can change any more."""
    if isinstance(value, list):
        return tuple(map(frozen, value))
    if isinstance(value, dict):
        return Members(tuple((name, frozen(value[name])) for name in sorted(value)))
    return value


def _every(tests: Iterable[Test]) -> Test:
    found = tuple(tests)
    return found[0] if len(found) == 1 else Every(found)


def _path(name: str) -> tuple[str, ...]:
    parts = tuple(name.split("."))
    if not all(parts) or len(parts) > PATH_PARTS_MAX:
        raise QueryError(
            Fault.BAD_PATH, f"{name[:64]!r} is no path: names with dots between, at most {PATH_PARTS_MAX}."
        )
    return parts


def _list(name: str, operand: JsonValue) -> list[JsonValue]:
    if not isinstance(operand, list) or len(operand) > LIST_ITEMS_MAX:
        raise QueryError(Fault.BAD_OPERAND, f"{name} takes a list of at most {LIST_ITEMS_MAX} items.")
    return operand


def _refuse_operators(value: JsonValue) -> None:
    """`{"a": {"b": {"$gt": 1}}}` was meant as `a.b`, and must not silently match nothing."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            names = [name for name in one if name.startswith("$")]
            if names:
                raise QueryError(
                    Fault.MISPLACED_OPERATOR, f"{names[0]} stands inside a plain value: write the path, a.b."
                )
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _unknown(name: str) -> QueryError:
    known = " ".join((*_OPERATORS, *_JOINING))
    return QueryError(Fault.UNKNOWN_OPERATOR, f"There is no operator {name[:64]!r}; there are {known}.")


def _exists(name: str, operand: JsonValue) -> Test:
    if not isinstance(operand, bool):
        raise QueryError(Fault.BAD_OPERAND, f"{name} takes true or false.")
    return Exists(operand)


def _compared(name: str, operand: JsonValue) -> Test:
    if isinstance(operand, bool) or not isinstance(operand, int | float | str):
        raise QueryError(Fault.BAD_OPERAND, f"{name} takes a number or a string.")
    return Compared(Order(name), cast("float | str", operand))


def _one_of(name: str, operand: JsonValue) -> Test:
    return OneOf(tuple(map(frozen, _list(name, operand))))


_JOINING = ("$and", "$or", "$not")
_OPERATORS: dict[str, Callable[[str, JsonValue], Test]] = {
    "$eq": lambda _, operand: Equal(frozen(operand)),
    "$ne": lambda _, operand: Negated(Equal(frozen(operand))),
    **{order.value: _compared for order in Order},
    "$in": _one_of,
    "$nin": lambda name, operand: Negated(_one_of(name, operand)),
    "$contains": lambda _, operand: Contains(frozen(operand)),
    "$exists": _exists,
}
