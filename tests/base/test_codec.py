"""Canonical JSON: `spec/01-encoding.md`."""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dicast.base import codec
from dicast.base.codec import CodecError
from dicast.base.limits import INTEGER_MAX, JSON_DEPTH_MAX
from dicast.base.types import Json

numbers = st.integers(-INTEGER_MAX, INTEGER_MAX)
keys = st.text(st.characters(max_codepoint=127))
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=20,
)
json_like = st.text('[]{}",:\\u0dD8e.-1 é\n', max_size=60).map(str.encode)


class Inner(msgspec.Struct, frozen=True):
    names: dict[str, int]


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    v: int
    text: str
    inner: Inner | None = None
    items: tuple[str, ...] = ()


bodies = st.builds(
    Body,
    v=numbers,
    text=st.text(),
    inner=st.none() | st.builds(Inner, st.dictionaries(keys, numbers, max_size=3)),
    items=st.lists(st.text(), max_size=3).map(tuple),
)


def refusal(decode: Callable[[bytes], object], data: bytes) -> str:
    with pytest.raises(CodecError) as caught:
        decode(data)
    return caught.value.code


def decode_body(data: bytes) -> Body:
    return codec.decode_as(data, Body)


@given(values)
def test_theorem_1_1_decoding_inverts_encoding(value: Json) -> None:
    assert codec.decode(codec.encode(value)) == value


@given(bodies)
def test_theorem_1_1_decoding_inverts_encoding_of_records(body: Body) -> None:
    assert decode_body(codec.encode(body)) == body


@given(values)
def test_theorem_1_2_the_encoding_is_that_of_the_standard_library(value: Json) -> None:
    theirs = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert codec.encode(value) == theirs.encode()


@given(values, st.data())
def test_theorem_1_3_what_decodes_is_its_own_encoding(value: Json, data: st.DataObject) -> None:
    wire = codec.encode(value)
    start = data.draw(st.integers(0, len(wire)))
    end = start + data.draw(st.integers(0, 3))
    changed = wire[:start] + data.draw(st.binary(max_size=3) | json_like) + wire[end:]
    try:
        other = codec.decode(changed)
    except CodecError:
        return
    assert codec.encode(other) == changed


@given(st.binary(max_size=200) | json_like)
@example(b'"\\ud800')
@example(b'{"v":1,"text":"\\udc00"}')
@example(b"9" * 5000)
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b'"\\"' * 20_000)
def test_theorem_1_4_decoders_raise_codec_errors_only(data: bytes) -> None:
    for decode in (codec.decode, codec.decode_loose, decode_body):
        try:
            decode(data)
        except CodecError:
            continue


@given(values)
def test_theorem_1_5_loose_text_decodes_to_the_same_value(value: Json) -> None:
    assert codec.decode_loose(json.dumps(value, indent=1).encode()) == value
    assert codec.decode_loose(codec.encode(value)) == value


@given(st.lists(st.sampled_from(['["', '{"', "[", "{", "]", "}", '"', "\\", "a"]), max_size=80).map("".join))
def test_the_depth_scan_never_refuses_what_is_shallow(text: str) -> None:
    wrapped = json.dumps([text, [text]]).encode()
    assert codec.decode_loose(wrapped) == [text, [text]]


def test_nesting_is_bounded() -> None:
    deepest = b"[" * JSON_DEPTH_MAX + b"]" * JSON_DEPTH_MAX
    too_deep = b"[" + deepest + b"]"
    assert codec.encode(codec.decode(deepest)) == deepest
    assert codec.decode(b"[" + b",".join([b"[]"] * 50) + b"]") == [[]] * 50
    assert [refusal(each, too_deep) for each in (codec.decode, codec.decode_loose, decode_body)] == [
        "too_deep"
    ] * 3
    nested: Json = []
    for _ in range(JSON_DEPTH_MAX):
        nested = [nested]
    with pytest.raises(CodecError):
        codec.encode(nested)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not_json"),
        (b"nul", "not_json"),
        (b"\xef\xbb\xbf1", "not_json"),
        (b'"\xff"', "not_json"),
        (b'"\xed\xa0\x80"', "not_json"),
        (b'"\\ud800x"', "not_json"),
        (b'"a\x01"', "not_json"),
        (b"NaN", "not_json"),
        (b"01", "not_json"),
        (b"[1,]", "not_json"),
        (b"1.5", "float"),
        (b"[1.0]", "float"),
        (b"1e2", "float"),
        (b"-0", "not_canonical"),
        (b' {"a":1}', "not_canonical"),
        (b'{"a":1}\n', "not_canonical"),
        (b'{"a":1,"a":1}', "not_canonical"),
        (b'{"b":1,"a":1}', "not_canonical"),
        (b'"\\u00e9"', "not_canonical"),
        (b'"\\/"', "not_canonical"),
        (b'"\\u001F"', "not_canonical"),
        (b'"\\u000a"', "not_canonical"),
        (b"9007199254740992", "integer_range"),
        (b'{"a":-9007199254740992}', "integer_range"),
        (b"[18446744073709551616]", "integer_range"),
        ('{"é":1}'.encode(), "key_not_ascii"),
        ('[{"a":{"é":1}}]'.encode(), "key_not_ascii"),
    ],
)
def test_canonical_decoding_refuses(data: bytes, code: str) -> None:
    assert refusal(codec.decode, data) == code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not_json"),
        (b"[1", "not_json"),
        (b'"\xff"', "not_unicode"),
        (b'["\\ud800"]', "not_unicode"),
        (b'{"a":"\\udc00\\ud800"}', "not_unicode"),
        (b'"a\x01"', "not_json"),
        (b"1.5", "float"),
        (b"1E2", "float"),
        (b"-Infinity", "float"),
        (b"9007199254740992", "integer_range"),
        (b"-" + b"9" * 5000, "integer_range"),
        (b'{"a":1, "a":1}', "duplicate_key"),
        (b'{"a":1, "\\u0061":2}', "duplicate_key"),
        ('{"é":1}'.encode(), "key_not_ascii"),
        ("[1]".encode("utf-16"), "not_unicode"),
    ],
)
def test_loose_decoding_refuses(data: bytes, code: str) -> None:
    assert refusal(codec.decode_loose, data) == code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'{"text":"a","v":1,"more":1}', "wrong_shape"),
        (b'{"more":[[[[1]]]],"text":"a","v":1}', "wrong_shape"),
        (b'{"text":1,"v":1}', "wrong_shape"),
        (b'{"text":"a"}', "wrong_shape"),
        (b'{"text":"a","v":"1"}', "wrong_shape"),
        (b'{"text":"a","v":1.0}', "wrong_shape"),
        (b'{"v":1,"text":"a"}', "not_canonical"),
        (b'{"text":"a","text":"a","v":1}', "not_canonical"),
        (b'{"items":[],"text":"a","v":1}', "not_canonical"),
        (b'{"text":"a","v":9007199254740993}', "integer_range"),
        ('{"inner":{"names":{"é":1}},"text":"a","v":1}'.encode(), "key_not_ascii"),
    ],
)
def test_record_decoding_refuses(data: bytes, code: str) -> None:
    assert refusal(decode_body, data) == code


@pytest.mark.parametrize(
    "value", ["\ud800", {"a": 1.5}, [2**53], [-(2**64)], [2**70], {"é": 1}, {"a": object()}, 1e16]
)
def test_encoding_refuses_what_canonical_json_cannot_hold(value: Json) -> None:
    with pytest.raises(CodecError):
        codec.encode(value)


def test_sixteen_digits_inside_a_string_are_not_an_integer() -> None:
    wire = b'["9999999999999999","a\\"9999999999999999",9007199254740991]'
    assert codec.encode(codec.decode(wire)) == wire


def test_code_points_of_strings_pass_unchanged() -> None:
    text = "\u2028\u2029\x7f/<>&é\U0001f600" + "".join(map(chr, range(32))) + '"\\'
    escaped = "".join(
        {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r"}.get(code, f"\\u{code:04x}")
        for code in range(32)
    )
    assert codec.encode(text) == f'"\u2028\u2029\x7f/<>&é\U0001f600{escaped}\\"\\\\"'.encode()
