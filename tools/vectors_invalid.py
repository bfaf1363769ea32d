"""Vectors of cases that `judge` refuses, each with the field and the reason that it must name."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from dicast.base.types import Json, NodeId
from dicast.consensus.case import CaseError, parse_case


def generate() -> dict[str, Json]:
    """File name -> content."""
    return {"judge/invalid.json": invalid()}


def key(index: int) -> NodeId:
    """The key of member number `index`."""
    return NodeId(hashlib.sha256(b"dicast vectors: member %d" % index).hexdigest())


GOOD: dict[str, Any] = {
    "v": 1,
    "request": {
        "id": "ab" * 32,
        "frame": {"quorum": 1, "sec_percentage_bp": 6_000, "sec_distance_bits": {"toy": 4}, "gates": []},
    },
    "selection_salt": "cd" * 32,
    "panel": {key(0): 1, key(1): 1},
    "commits": [{"pubkey": key(index), "digest": "ef" * 32} for index in range(2)],
    "reveals": [
        {
            "pubkey": key(index),
            "answer": "yes",
            "model": "m",
            "salt": "12" * 32,
            "embeddings": {"toy": "0000"},
        }
        for index in range(2)
    ],
    "recomputed": {key(0): {"toy": "0000"}},
}


def invalid() -> Json:
    """Texts that are no case, with the field and the reason; as `hex` where they are not ASCII."""
    texts = [
        json.dumps(changed(GOOD, path.split(), value), sort_keys=True).encode() for path, value in CHANGES
    ]
    return [refused(text) for text in (*texts, *JUNK)]


def changed(value: Any, path: list[str], new: Any) -> Any:
    """A copy with one place changed; `...` takes it away, `@0` is the key of member 0."""
    copy: Any = json.loads(json.dumps(value))
    place = copy
    *above, last = [key(int(name[1:])) if name[0] == "@" else name for name in path]
    for name in above:
        place = place[int(name) if isinstance(place, list) else name]
    if new is ...:
        del place[last]
    else:
        place[last] = new
    return copy


def refused(data: bytes) -> Json:
    """The refusal of a text."""
    try:
        parse_case(data)
    except CaseError as error:
        shown: dict[str, Json] = {"text": data.decode()} if data.isascii() else {"hex": data.hex()}
        return shown | {"field": error.field, "reason": error.reason}
    raise AssertionError(data)


CHANGES: list[tuple[str, Any]] = [
    ("v", 2),
    ("v", "1"),
    ("v", ...),
    ("extra", 0),
    ("request", None),
    ("request id", "ab" * 31),
    ("request id", "AB" * 32),
    ("request models", "m"),
    ("request schema", "{"),
    ("request schema", '{"pattern":"x"}'),
    ("request frame quorum", 0),
    ("request frame quorum", True),
    ("request frame sec_percentage_bp", 0),
    ("request frame sec_percentage_bp", 10_001),
    ("request frame sec_distance_bits toy", -1),
    ("request frame sec_distance_bits toy", 17),
    ("request frame sec_distance_bits other", 1),
    ("request frame sec_distance_bits", {}),
    ("request frame gates", ["taste"]),
    ("request frame gates", ["json"]),
    ("request frame gates", ["numbers", "numbers"]),
    ("request frame exact", ["a"]),
    ("request frame exact", ["/a~2"]),
    ("request frame labels", ["Yes", "yes."]),
    ("request frame labels", [" "]),
    ("request frame faults", 0),
    ("selection_salt", "cd" * 31),
    ("selection_beacon", "abc"),
    ("selection_beacon", "AB"),
    ("panel", None),
    ("panel @0", 0),
    ("panel @0", 16_384),
    ("panel @1", ...),
    ("panel ab", 1),
    ("commits", {}),
    ("commits 0 digest", ...),
    ("commits 0 salt", "00"),
    ("commits 1 pubkey", key(0)),
    ("commits 0 pubkey", key(9)),
    ("commits", []),
    ("reveals 1 pubkey", key(0)),
    ("reveals 0 pubkey", key(9)),
    ("reveals 0 answer", 1),
    ("reveals 0 embeddings", {}),
    ("reveals 0 embeddings toy", "000"),
    ("reveals 0 embeddings toy", "00FF"),
    ("reveals 0 embeddings toy", "00"),
    ("reveals 0 embeddings other", "00"),
    ("recomputed @0", {}),
    ("recomputed @0 toy", "00"),
    ("recomputed @9", {"toy": "0000"}),
]
JUNK = [
    b"",
    b"[]",
    b'{"v":1.0}',
    b'{"v":1e0}',
    b'{"v":1,"v":1}',
    b'{"v":9007199254740992}',
    b'{"v":"\\ud800"}',
    b'{"v":NaN}',
    b'{"v":1}x',
    b"\xff",
    b"[" * 17 + b"]" * 17,
    b"{'v':1}",
    b'{"v":01}',
]
