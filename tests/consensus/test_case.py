"""Cases read from JSON: what they may leave out, and every refusal with its field and reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.base.codec import encode
from dicast.base.limits import CASE_BYTES_MAX
from dicast.consensus.case import Case, CaseCommit, CaseError, CaseRequest, CaseReveal, parse_case
from dicast.consensus.frame import JudgedFrame

A, B, C = "aa" * 32, "bb" * 32, "cc" * 32


def plain() -> dict[str, Any]:
    """A small case as JSON."""
    frame = {"quorum": 1, "sec_percentage_bp": 6600, "sec_distance_bits": {"toy": 8}, "gates": ["numbers"]}
    reveal = {"pubkey": A, "answer": "é", "model": "m", "salt": C, "embeddings": {"toy": "00ff"}}
    return {
        "v": 1,
        "request": {"id": B, "frame": frame},
        "selection_salt": C,
        "commits": [{"pubkey": A, "digest": B}, {"pubkey": B, "digest": C}],
        "reveals": [reveal],
    }


def full() -> dict[str, Any]:
    """The same with every optional field."""
    case = plain()
    case["request"] |= {"prompt": "p", "models": ["m"], "schema": '{"type":"object"}'}
    case["request"]["frame"] |= {"gates": ["json"], "exact": ["/a"], "fuzzy": ["/b"], "labels": []}
    case |= {"panel": {A: 2, B: 1, C: 3}, "selection_beacon": "beef", "recomputed": {A: {"toy": "0000"}}}
    return case


def parse(value: object) -> Case:
    return parse_case(json.dumps(value).encode())


def test_what_is_left_out_has_a_meaning() -> None:
    assert parse(plain()) == Case(
        v=1,
        request=CaseRequest(
            B, JudgedFrame(1, 6600, {"toy": 8}, ("numbers",)), prompt="", models=(), schema=""
        ),
        selection_salt=C,
        commits=(CaseCommit(A, B), CaseCommit(B, C)),
        reveals=(CaseReveal(A, "é", "m", C, {"toy": "00ff"}),),
        panel=None,
        selection_beacon="",
        recomputed={},
    )


def test_everything_given_is_read() -> None:
    assert parse(full()) == Case(
        v=1,
        request=CaseRequest(
            id=B,
            frame=JudgedFrame(1, 6600, {"toy": 8}, ("json",), ("/a",), ("/b",), ()),
            prompt="p",
            models=("m",),
            schema='{"type":"object"}',
        ),
        selection_salt=C,
        commits=(CaseCommit(A, B), CaseCommit(B, C)),
        reveals=(CaseReveal(A, "é", "m", C, {"toy": "00ff"}),),
        panel={A: 2, B: 1, C: 3},
        selection_beacon="beef",
        recomputed={A: {"toy": "0000"}},
    )


@pytest.mark.parametrize("make", [plain, full])
def test_spelling_is_free(make: Callable[[], dict[str, Any]]) -> None:
    case = make()
    texts = [
        json.dumps(case, ensure_ascii=False),
        json.dumps(case, ensure_ascii=True, indent=3),
        json.dumps(case, sort_keys=True) + "\n\t",
        json.dumps(dict(reversed(case.items()))),
    ]
    assert len({encode(parse_case(text.encode())) for text in texts}) == 1
    assert parse_case(encode(parse(case))) == parse(case)


def put(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    """A change of the full case: `a.b.0` names the place; `...` takes the field away."""

    def change(case: dict[str, Any]) -> None:
        *above, last = path.split(">")
        place: Any = case
        for name in above:
            place = place[int(name) if isinstance(place, list) else name]
        at: Any = int(last) if isinstance(place, list) else last
        if value is ...:
            del place[at]
        else:
            place[at] = value

    return change


LOST = {"pubkey": C, "answer": "", "model": "", "salt": C, "embeddings": {"toy": "0000"}}
REFUSED: list[tuple[str, object, str, str]] = [
    ("v", 2, "v", "must be within 1…1, is 2"),
    ("v", True, "v", "must be an integer"),
    ("v", ..., "v", "missing"),
    ("extra", 1, "extra", "unknown field"),
    ("a b\n", 1, "'a b\\n'", "unknown field"),
    ("request", [], "request", "must be an object"),
    ("request>id", A[:-2], "request.id", "must be 64 hex characters, has 62"),
    ("request>id", A.upper(), "request.id", "must be lower-case hex"),
    ("request>id", 7, "request.id", "must be a string"),
    ("request>seed", 7, "request.seed", "unknown field"),
    ("request>models", "m", "request.models", "must be an array"),
    ("request>models", [1], "request.models[0]", "must be a string"),
    ("request>prompt", None, "request.prompt", "must be a string"),
    ("request>schema", "{", "request.schema", ""),
    ("request>frame", ..., "request.frame", "missing"),
    ("request>frame>gates", ..., "request.frame.gates", "missing"),
    ("request>frame>gates", ["json", "json"], "request.frame.gates", "a gate is named twice"),
    ("request>frame>gates", ["taste"], "request.frame.gates", "no gate is named 'taste'"),
    ("request>frame>faults", 1, "request.frame.faults", "unknown field"),
    ("request>frame>quorum", 0, "request.frame.quorum", "must be at least 1, is 0"),
    ("request>frame>quorum", "1", "request.frame.quorum", "must be an integer"),
    ("request>frame>sec_percentage_bp", 0, "request.frame.sec_percentage_bp", "within 1…10000, is 0"),
    ("request>frame>sec_percentage_bp", 10_001, "request.frame.sec_percentage_bp", "is 10001"),
    ("request>frame>sec_distance_bits>toy", -1, "request.frame.sec_distance_bits.toy", "at least 0"),
    ("request>frame>sec_distance_bits>toy", 17, "request.frame.sec_distance_bits.toy", "0…16, is 17"),
    ("request>frame>sec_distance_bits", {}, "request.frame.sec_distance_bits", "need an embedder"),
    ("request>frame>sec_distance_bits>b", 3, "reveals[0].embeddings.b", "missing"),
    ("request>frame>exact", ["a"], "request.frame.exact", "'a' is not a JSON pointer"),
    ("request>frame>labels", ["x"], "request.frame.labels", "exclude each other"),
    ("selection_salt", "", "selection_salt", "must be 64 hex characters, has 0"),
    ("selection_beacon", "abc", "selection_beacon", "even number"),
    ("selection_beacon", "AB", "selection_beacon", "lower-case hex"),
    ("panel", None, "panel", "must be an object"),
    ("panel>" + A, 0, f"panel.{A}", "must be at least 1, is 0"),
    ("panel>" + A, 16_385, "panel", "16389 seats, at most 16384"),
    ("panel>ab", 1, "panel.ab", "must be 64 hex characters"),
    ("panel>" + B, ..., "commits[1].pubkey", "is not in the panel"),
    ("commits", {}, "commits", "must be an array"),
    ("commits>0>digest", ..., "commits[0].digest", "missing"),
    ("commits>1>pubkey", A, "commits[1].pubkey", "a second one of this key"),
    ("commits>1>salt", A, "commits[1].salt", "unknown field"),
    ("reveals>0>pubkey", C, "reveals[0].pubkey", "has no commit"),
    ("reveals", [LOST | {"pubkey": A}, LOST | {"pubkey": A}], "reveals[1].pubkey", "a second one"),
    ("reveals>0>embeddings", {}, "reveals[0].embeddings.toy", "missing"),
    ("reveals>0>embeddings>b", "00", "reveals[0].embeddings.b", "no such embedder"),
    ("reveals>0>embeddings>toy", "0", "reveals[0].embeddings.toy", "even number"),
    ("reveals>0>embeddings>toy", "", "reveals[0].embeddings.toy", "1…4096 bytes"),
    ("reveals>0>embeddings>toy", "00" * 4097, "reveals[0].embeddings.toy", "1…4096 bytes"),
    ("recomputed>" + A, {}, f"recomputed.{A}.toy", "missing"),
    ("recomputed>" + A, {"toy": "00"}, f"recomputed.{A}.toy", "must be 4 hex characters, has 2"),
    ("recomputed>" + C, {"toy": "0000"}, f"recomputed.{C}", "has no commit"),
    ("recomputed>" + A + ">b", "00", f"recomputed.{A}.b", "no such embedder"),
]


@pytest.mark.parametrize(("path", "value", "field", "reason"), REFUSED)
def test_a_refusal_names_field_and_reason(path: str, value: object, field: str, reason: str) -> None:
    case = full()
    put(path, value)(case)
    with pytest.raises(CaseError) as caught:
        parse(case)
    assert caught.value.field == field
    assert reason in caught.value.reason
    assert caught.value.message == f"{field}: {caught.value.reason}"
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "case: The text is not JSON"),
        (b"[]", "case: must be an object"),
        (b"null", "case: must be an object"),
        (b'{"v":1}x', "case: The text is not JSON"),
        (b"\xff", "case: The text is not UTF-8, or it holds a lone surrogate"),
        (b"\xef\xbb\xbf{}", "case: The text is not JSON"),
        (b"[" * 100_000, "case: The nesting is unbalanced or deeper than 16"),
        (b"1.5", "case: must be an integer, not a float"),
        (b'{"v":1.0}', "v: must be an integer, not a float"),
        (b'{"request":{"frame":{"quorum":1e0}}}', "request.frame.quorum: must be an integer, not a float"),
        (b'{"v":NaN}', "v: must be an integer, not a float"),
        (b'{"v":1,"v":1}', "v: named twice"),
        (b'{"commits":[1,{"digest":1,"digest":2}]}', "commits[1].digest: named twice"),
        (b'{"v":9007199254740992}', "v: an integer beyond 2^53 - 1"),
        (b'{"v":-' + b"9" * 5_000 + b"}", "v: an integer beyond 2^53 - 1"),
        (b'{"reveals":["\\ud800"]}', "reveals[0]: holds a lone surrogate"),
        (b'{"\xc3\xa9":1}', "'\\xe9': a name outside ASCII"),
        (b'{"\\ud800":1}', "'\\ud800': a name outside ASCII"),
    ],
)
def test_what_the_codec_refuses_is_named_too(text: bytes, message: str) -> None:
    with pytest.raises(CaseError) as caught:
        parse_case(text)
    assert caught.value.message == message


def test_a_case_beyond_the_limit_is_refused_unread() -> None:
    with pytest.raises(CaseError) as caught:
        parse_case(b" " * (CASE_BYTES_MAX + 1))
    assert caught.value.message == "case: longer than 67108864 bytes"


@given(st.binary())
def test_theorem_6_10_any_bytes_give_a_case_or_a_case_error(data: bytes) -> None:
    with pytest.raises(CaseError):
        parse_case(data)


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_damaged_case_gives_a_case_or_a_case_error(at: int, byte: int) -> None:
    text = bytearray(json.dumps(full()).encode())
    text[at % len(text)] = byte
    try:
        case = parse_case(bytes(text))
    except CaseError:
        return
    assert parse_case(encode(case)) == case
