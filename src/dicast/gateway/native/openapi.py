"""The OpenAPI 3.1 document of the native interface, made of the route table and its records."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from dicast.gateway.native.node_records import ErrorAnswer
from dicast.gateway.native.table import JSON, SPECS, Spec
from dicast.version import VERSION

REFERENCE = "#/components/schemas/{name}"
ALWAYS = (401, 403, 421, 429, 500, 503)
"""What any route may answer: key, scope, host, rate, our own mistake, a node that is gone."""
OF_BODIES = (400, 404, 408, 413, 415)
OF_ASKING = (422, 502)
PATTERNS = {"request_id": "^[0-9a-f]{64}$", "node_id": "^[0-9a-f]{64}$", "key_id": "^[0-9A-Za-z]{1,64}$"}
_PARAMETER = re.compile(r"\{(\w+)\}")


def document() -> dict[str, Any]:
    """The whole document."""
    kinds = [kind for spec in SPECS for kind in (spec.answers, spec.query, spec.body) if kind is not None]
    schemas, components = msgspec.json.schema_components([*kinds, ErrorAnswer], ref_template=REFERENCE)
    found = dict(zip(kinds, schemas, strict=False))
    paths: dict[str, dict[str, Any]] = {}
    for spec in SPECS:
        method, path = spec.rule.split(" ")
        if method != "WS":
            paths.setdefault(path, {})[method.lower()] = _operation(spec, found, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Dicast",
            "version": VERSION,
            "description": "The native interface of the gateway.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}, {}],
    }


def _operation(spec: Spec, found: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    schema = found.get(spec.answers, {})
    content = {media: {"schema": schema} if media == JSON else {} for media in spec.media}
    answers: dict[str, Any] = {str(spec.status): {"description": spec.says, "content": content}}
    for status in _refusals(spec):
        reference = {"schema": {"$ref": REFERENCE.format(name="ErrorAnswer")}}
        answers[str(status)] = {"description": "An error.", "content": {JSON: reference}}
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", spec.rule.lower().replace("/api", "")).strip("_"),
        "summary": spec.says,
        "tags": [spec.scope.value],
        "parameters": _parameters(spec, components),
        "responses": answers,
    }
    if spec.body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": found[spec.body]}}}
    return operation


def _refusals(spec: Spec) -> list[int]:
    statuses: set[int] = {*ALWAYS}
    if spec.query is not None:
        statuses.add(400)
    if spec.lacks:
        statuses.add(404)
    if spec.body is not None:
        statuses.update(OF_BODIES)
    if spec.answers is not None and spec.scope.value == "infer":
        statuses.update(OF_ASKING)
    return sorted(statuses)


def _parameters(spec: Spec, components: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": PATTERNS[name]},
        }
        for name in _PARAMETER.findall(spec.rule)
    ]
    if spec.query is None:
        return found
    shape = components[spec.query.__name__]
    required = shape.get("required", ())
    for name, schema in shape["properties"].items():
        # Nothing is written as leaving the parameter out: an address cannot say null.
        found.append(
            {"name": name, "in": "query", "required": name in required, "schema": _without_null(schema)}
        )
    return found


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    choices = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    if len(choices) == 1:
        return {**rest, **choices[0]}
    return {**rest, "anyOf": choices} if choices else rest
