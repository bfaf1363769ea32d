"""`response_format`: what clients write as a JSON schema, in the closed subset that a judge can check."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import msgspec

from dicast.consensus.constants import POINTERS_MAX
from dicast.consensus.schema import DEPTH_MAX
from dicast.gateway.errors import invalid, unsupported

SCHEMA_BYTES_MAX = 16 * 1024
"""A schema travels inside the request beside up to 32 KiB of prompt, in a packet of 64 KiB."""
ANNOTATIONS = frozenset({"title", "description", "$schema", "default", "examples"})
"""Keywords that ask for nothing: left out."""
DEFINITIONS = ("$defs", "definitions")
LEVELS_MAX = 4 * DEPTH_MAX
"""Of JSON: a schema inside a schema is two levels, and a reference one more."""
ANYTHING = '{"type":"object"}'


class JsonSchema(msgspec.Struct, frozen=True):
    """`response_format.json_schema`."""

    schema: dict[str, Any]
    name: str = ""
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`response_format`: text, a JSON object, or JSON that keeps to a schema."""

    type: str = "text"
    json_schema: JsonSchema | None = None


class JsonForm(msgspec.Struct, frozen=True):
    """What the network is asked for: a schema, and how its fields are compared.

    Fields at `exact` must be equal; texts at `fuzzy` may be worded differently. `closed` lists the objects
    that may hold no other field, which the gateway checks itself.
    """

    schema: str = ""
    exact: tuple[str, ...] = ()
    fuzzy: tuple[str, ...] = ()
    closed: tuple[tuple[str, frozenset[str]], ...] = ()


def json_form(wanted: ResponseFormat | None) -> JsonForm:
    """The form of the answer; nothing for plain text. Raises GatewayError."""
    if wanted is None or wanted.type == "text":
        return JsonForm()
    if wanted.type == "json_object":
        return JsonForm(ANYTHING, exact=("",))
    if wanted.type != "json_schema" or wanted.json_schema is None:
        raise unsupported("response_format", "There are text, json_object and json_schema (with a schema).")
    return form_of_schema(wanted.json_schema.schema)


def plain_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """What a judge can check of a schema: keywords that it does not know are left out, at any depth."""
    kept: dict[str, Any] = {}
    for keyword, value in schema.items():
        match keyword, value:
            case "properties", dict():
                members = cast("dict[str, Any]", value)
                kept[keyword] = {name: plain_schema(one) for name, one in members.items() if _is_schema(one)}
            case "items", dict():
                kept[keyword] = plain_schema(cast("dict[str, Any]", value))
            case "required", list():
                names = _mapping(schema.get("properties", {}))
                kept[keyword] = [
                    name for name in cast("list[Any]", value) if isinstance(name, str) and name in names
                ]
            case "type", str():
                kept[keyword] = value
            case (("enum" | "const" | "minimum" | "maximum" | "maxLength"), _):
                kept[keyword] = value
            case _:
                pass
    return kept


def document_of(form: JsonForm, answer: str) -> str:
    """The agreed answer as its schema writes it: where all is exact, a verdict lists `pointer: value`."""
    if form.fuzzy or not form.exact:
        return answer
    values = msgspec.json.decode(answer.encode(), type=dict[str, msgspec.Raw])
    if "" in values:
        return bytes(values[""]).decode()
    document: dict[str, Any] = {}
    for pointer, value in values.items():
        *path, last = [_name(token) for token in pointer.split("/")[1:]]
        holder = document
        for name in path:
            holder = holder.setdefault(name, {})
        holder[last] = value
    return msgspec.json.encode(document).decode()


def extra_fields(form: JsonForm, answer: str) -> list[str]:
    """Fields of an answer that its schema does not allow (`additionalProperties: false`)."""
    if not form.closed:
        return []
    try:
        document = msgspec.json.decode(answer.encode())
    except (msgspec.DecodeError, RecursionError):
        return ["the whole answer"]
    found: list[str] = []
    for pointer, names in form.closed:
        for holder in _at(document, pointer.split("/")[1:]):
            found += [f"{pointer}/{name}" for name in holder if name not in names]
    return found


def form_of_schema(schema: dict[str, Any]) -> JsonForm:
    """The schema that travels, and how its fields are compared. Raises GatewayError."""
    closed: list[tuple[str, frozenset[str]]] = []
    plain = _stripped(_Inliner(schema).whole(), "", closed)
    text = msgspec.json.encode(plain, order="sorted").decode()
    if len(text) > SCHEMA_BYTES_MAX:
        raise invalid("response_format", f"the schema has {len(text)} bytes, at most {SCHEMA_BYTES_MAX}.")
    leaves = list(_leaves(plain, ""))
    fuzzy = tuple(pointer for pointer, is_prose in leaves if is_prose)
    exact = tuple(pointer for pointer, is_prose in leaves if not is_prose)
    if max(len(fuzzy), len(exact)) > POINTERS_MAX:
        return JsonForm(text, exact=("",), closed=tuple(closed))
    return JsonForm(text, exact, fuzzy, tuple(closed))


class _Inliner:
    """Puts definitions (`$defs`) where they are referred to: a judge reads a schema without references."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema
        self._named = {
            f"#/{place}/{_token(name)}": one
            for place in DEFINITIONS
            for name, one in _mapping(schema.get(place, {})).items()
        }
        self._left = SCHEMA_BYTES_MAX

    def whole(self) -> dict[str, Any]:
        """The schema without its definitions; what refers to nothing that is known stays, and is refused."""
        if not self._named:
            return self._schema
        kept = {keyword: one for keyword, one in self._schema.items() if keyword not in DEFINITIONS}
        return _mapping(self._inlined(kept, 0))

    def _inlined(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if depth > LEVELS_MAX or self._left < 0:
            raise invalid("response_format", "the schema nests too deeply, or refers to itself.")
        if isinstance(value, list):
            return [self._inlined(one, depth + 1) for one in cast("list[Any]", value)]
        if not isinstance(value, dict):
            return value
        members = cast("dict[str, Any]", value)
        name = members.get("$ref")
        if isinstance(name, str) and name in self._named:
            beside = {keyword: one for keyword, one in members.items() if keyword != "$ref"}
            return self._inlined({**_mapping(self._named[name]), **beside}, depth + 1)
        return {keyword: self._inlined(one, depth + 1) for keyword, one in members.items()}


def _stripped(
    schema: dict[str, Any], pointer: str, closed: list[tuple[str, frozenset[str]]]
) -> dict[str, Any]:
    """The schema without annotations; closed objects are noted. `*` in a pointer is every item."""
    if pointer.count("/") > 2 * DEPTH_MAX:
        raise invalid("response_format", "the schema nests too deeply.")
    kept: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in ANNOTATIONS:
            continue
        if keyword == "additionalProperties" and value is False:
            closed.append((pointer, frozenset(_mapping(schema.get("properties", {})))))
        elif keyword == "properties":
            kept[keyword] = {
                name: _stripped(_mapping(one), f"{pointer}/{_token(name)}", closed)
                for name, one in _mapping(value).items()
            }
        elif keyword == "items":
            kept[keyword] = _stripped(_mapping(value), f"{pointer}/*", closed)
        else:
            kept[keyword] = value
    return kept


def _leaves(schema: dict[str, Any], pointer: str) -> Iterator[tuple[str, bool]]:
    """Every required field that holds no fields of its own, and whether wording is free there.

    An object with a field that may be missing is compared whole: a pointer must find its value.
    """
    properties = schema.get("properties", {})
    if schema.get("type") == "object" and properties and _required(schema) >= set(properties):
        for name, one in properties.items():
            yield from _leaves(one, f"{pointer}/{_token(name)}")
        return
    is_prose = schema.get("type") == "string" and not schema.keys() & {"enum", "const"}
    yield pointer, is_prose


def _at(value: Any, path: list[str]) -> Iterator[dict[str, Any]]:
    """The objects at a path of names and `*`."""
    if not path:
        if isinstance(value, dict):
            yield cast("dict[str, Any]", value)
        return
    first, *rest = path
    if first == "*" and isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _at(item, rest)
    elif isinstance(value, dict):
        named = {_token(name): one for name, one in cast("dict[str, Any]", value).items()}
        if first in named:
            yield from _at(named[first], rest)


def _required(schema: dict[str, Any]) -> set[str]:
    names = schema.get("required", [])
    if not isinstance(names, list) or not all(isinstance(one, str) for one in cast("list[Any]", names)):
        raise invalid("response_format", "`required` is a list of names.")
    return set(cast("list[str]", names))


def _is_schema(value: Any) -> bool:
    return isinstance(value, dict)


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid("response_format", "a schema must be an object wherever one stands.")
    return cast("dict[str, Any]", value)


def _token(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _name(token: str) -> str:
    return token.replace("~1", "/").replace("~0", "~")
