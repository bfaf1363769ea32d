"""Does a query match an object? Never raises, whatever the two are."""

from __future__ import annotations

from typing import Final, assert_never

from dicast.queries.json_text import JsonObject, JsonValue
from dicast.queries.language import (
    At,
    Compared,
    Contains,
    Either,
    Equal,
    Every,
    Exists,
    Members,
    Negated,
    OneOf,
    Order,
    Query,
    Test,
    Value,
)

INDEX_DIGITS_MAX = 4
"""`tags.0`: a list of a document has fewer than 10,000 items."""


class Missing:
    """Nothing at the path; `null` is something."""


MISSING: Final = Missing()


def matches(query: Query, document: JsonObject) -> bool:
    """Whether `document` is what the query asks for."""
    return _holds(query.test, document)


def same(wanted: Value, found: JsonValue) -> bool:
    """Equal and of one kind: a boolean is no number, a number no string."""
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    if isinstance(wanted, tuple):
        return isinstance(found, list) and len(wanted) == len(found) and all(map(same, wanted, found))
    if isinstance(wanted, Members):
        return (
            isinstance(found, dict)
            and len(wanted.pairs) == len(found)
            and all(name in found and same(value, found[name]) for name, value in wanted.pairs)
        )
    return wanted == found


def _holds(test: Test, value: JsonValue | Missing) -> bool:
    match test:
        case At(path=path, test=inner):
            return _holds(inner, _at(path, value))
        case Every(tests=tests):
            return all(_holds(one, value) for one in tests)
        case Either(tests=tests):
            return any(_holds(one, value) for one in tests)
        case Negated(test=inner):
            return not _holds(inner, value)
        case Exists(is_wanted=is_wanted):
            return isinstance(value, Missing) is not is_wanted
        case Equal() | Compared() | OneOf() | Contains():
            return not isinstance(value, Missing) and _is_so(test, value)
        case _:
            assert_never(test)


def _is_so(test: Equal | Compared | OneOf | Contains, value: JsonValue) -> bool:
    match test:
        case Equal(value=wanted):
            return same(wanted, value)
        case OneOf(values=values):
            return any(same(one, value) for one in values)
        case Contains(value=wanted):
            if isinstance(value, str):
                return isinstance(wanted, str) and wanted in value
            return isinstance(value, list) and any(same(wanted, item) for item in value)
        case Compared(order=order, bound=bound):
            return _compare(order, bound, value)
        case _:
            assert_never(test)


def _compare(order: Order, bound: float | str, value: JsonValue) -> bool:
    """Numbers by size, strings by code points."""
    sign = _sign(bound, value)
    match order:
        case Order.LESS:
            return sign == -1
        case Order.LESS_OR_EQUAL:
            return sign in (-1, 0)
        case Order.GREATER:
            return sign == 1
        case Order.GREATER_OR_EQUAL:
            return sign in (0, 1)
        case _:
            assert_never(order)


def _sign(bound: float | str, value: JsonValue) -> int | None:
    if isinstance(bound, str):
        return (value > bound) - (value < bound) if isinstance(value, str) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return (value > bound) - (value < bound)


def _at(path: tuple[str, ...], value: JsonValue | Missing) -> JsonValue | Missing:
    """What is at a path: members of objects by name, items of lists by number."""
    for part in path:
        if isinstance(value, dict):
            value = value.get(part, MISSING)
        elif isinstance(value, list):
            value = _item(part, value)
        else:
            return MISSING
    return value


def _item(part: str, items: list[JsonValue]) -> JsonValue | Missing:
    is_index = part.isascii() and part.isdigit() and len(part) <= INDEX_DIGITS_MAX and str(int(part)) == part
    return items[int(part)] if is_index and int(part) < len(items) else MISSING
