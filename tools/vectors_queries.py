"""Vectors of queries: what matches, what does not, and what is no query, for every implementation."""

from __future__ import annotations

import json

from dicast.base.types import Json
from dicast.queries.json_text import QueryError, read_object
from dicast.queries.language import parse_query
from dicast.queries.matching import matches

DOCUMENTS = [
    "{}",
    '{"a":1}',
    '{"a":1.0,"b":null}',
    '{"a":"1"}',
    '{"a":true}',
    '{"a":null}',
    '{"a":-0.0}',
    '{"a":9007199254740993}',
    '{"a":1e300}',
    '{"a":[1,2,"x",[3],{"b":1}]}',
    '{"a":{"b":1,"c":[true]}}',
    '{"a":{"c":[true],"b":1}}',
    '{"a":[]}',
    '{"a":{}}',
    '{"a":"needle in hay"}',
    '{"a":"\\ue000"}',
    '{"a":"\\ud800\\udc00"}',
    '{"a":"é","ü":{"ß":2}}',
    '{"a":"e\\u0301"}',
    '{"a.b":1,"a":{"b":2}}',
    '{"__proto__":1,"constructor":"x","a":{"length":3}}',
    '{"type":"news","score":7,"tags":["sport","local"]}',
]
QUERIES = [
    "{}",
    '{"a":1}',
    '{"a":0}',
    '{"a":"1"}',
    '{"a":null}',
    '{"a":true}',
    '{"a":false}',
    '{"a":[]}',
    '{"a":{}}',
    '{"a":{"b":1,"c":[true]}}',
    '{"a":[1,2,"x",[3],{"b":1}]}',
    '{"a":9007199254740992}',
    '{"a":{"$eq":1}}',
    '{"a":{"$eq":{"$gt":1}}}',
    '{"a":{"$ne":1}}',
    '{"a":{"$ne":null}}',
    '{"a":{"$lt":1}}',
    '{"a":{"$lte":1}}',
    '{"a":{"$gt":0}}',
    '{"a":{"$gte":1,"$lt":2}}',
    '{"a":{"$gt":""}}',
    '{"a":{"$gt":"\\uffff"}}',
    '{"a":{"$lte":"\\ue000"}}',
    '{"a":{"$in":[1,"x",null]}}',
    '{"a":{"$in":[]}}',
    '{"a":{"$in":[true,[],{"b":2}]}}',
    '{"a":{"$nin":[1,"1"]}}',
    '{"a":{"$nin":[]}}',
    '{"a":{"$contains":1}}',
    '{"a":{"$contains":"x"}}',
    '{"a":{"$contains":[3]}}',
    '{"a":{"$contains":{"b":1}}}',
    '{"a":{"$contains":"needle"}}',
    '{"a":{"$contains":""}}',
    '{"a":{"$exists":true}}',
    '{"a":{"$exists":false}}',
    '{"a":{"$not":{"$gte":1}}}',
    '{"a":{"$not":1}}',
    '{"a":{"$or":[1,{"$contains":2}]}}',
    '{"a":{"$and":[{"$exists":true},{"$ne":"1"}]}}',
    '{"a.b":1}',
    '{"a.b":2}',
    '{"a.0":1}',
    '{"a.4.b":1}',
    '{"a.01":1}',
    '{"a.-1":{"$exists":true}}',
    '{"a.9":{"$exists":false}}',
    '{"a.length":{"$exists":true}}',
    '{"constructor":{"$exists":true}}',
    '{"__proto__":{"$exists":true}}',
    '{"toString":{"$exists":true}}',
    '{"ü.ß":2}',
    '{"a":"é"}',
    '{"$and":[{"a":1},{"b":null}]}',
    '{"$or":[{"a":1},{"a":"1"}]}',
    '{"$not":{"a":1}}',
    '{"$not":{"$or":[{"a":{"$exists":true}},{"type":"news"}]}}',
    '{"type":"news","score":{"$gte":5},"tags":{"$contains":"local"},"$or":[{"lang":"en"},{"lang":{"$exists":false}}]}',
]
DEEP = '{"$not":' * 8 + '{"a":1}' + "}" * 8
REFUSED = [
    "",
    "nothing",
    "[]",
    '"a"',
    "1",
    '{"a":NaN}',
    '{"a":1e999}',
    '{"a":"\\ud800"}',
    '{"$near":1}',
    '{"a":{"$regex":"x"}}',
    '{"a":{"$GT":1}}',
    '{"a":{"$":1}}',
    '{"$eq":1}',
    '{"$exists":true}',
    '{"a":{"$gt":1,"b":2}}',
    '{"a":{"b":{"$gt":1}}}',
    '{"a":[{"$gt":1}]}',
    '{"a":{"$gt":true}}',
    '{"a":{"$lt":null}}',
    '{"a":{"$lte":[1]}}',
    '{"a":{"$in":1}}',
    '{"a":{"$nin":{}}}',
    '{"a":{"$in":[' + ",".join(["1"] * 65) + "]}}",
    '{"a":{"$exists":1}}',
    '{"$and":{}}',
    '{"$and":[]}',
    '{"$or":[1]}',
    '{"$not":[]}',
    '{"a":{"$or":[]}}',
    '{"":1}',
    '{"a..b":1}',
    '{".a":1}',
    '{"a.b.c.d.e.f.g.h.i":1}',
    DEEP,
    '{"a":' + "[" * 16 + "]" * 16 + "}",
    '{"$or":[' + ",".join(['{"a":1}'] * 33) + "]}",
    '{"a":"' + "x" * 4096 + '"}',
]


def generate() -> dict[str, Json]:
    """File name -> content."""
    documents = [read_object(text.encode()) for text in DOCUMENTS]
    matched: list[Json] = []
    for text in QUERIES:
        query = parse_query(text.encode())
        found: list[Json] = [at for at, document in enumerate(documents) if matches(query, document)]
        matched.append({"query": text, "matches": found})
    refused: list[Json] = [{"query": text, "fault": fault_of(text)} for text in REFUSED]
    return {"queries.json": {"documents": list(DOCUMENTS), "queries": matched, "refused": refused}}


def fault_of(text: str) -> str:
    """Why this is no query."""
    try:
        parse_query(text.encode())
    except QueryError as error:
        return error.fault.value
    raise AssertionError(json.dumps(text))
