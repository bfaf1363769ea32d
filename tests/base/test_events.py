"""NIP-01 events: `spec/02-identity.md`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import msgspec
import nostr_sdk
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from dicast.base import codec
from dicast.base.crypto import KeyPair
from dicast.base.errors import LocalProtocolError, RemoteProtocolError
from dicast.base.events import Event, encode_event, event_digest, is_signed, parse_event, sign_event
from dicast.base.limits import PACKET_BYTES_MAX, TAG_ITEM_CHARS_MAX, TAG_ITEMS_MAX, TAGS_MAX, UNIX_SECONDS_MAX
from dicast.base.types import EventId, NodeId

KEY = KeyPair.from_seed(b"events")
EVENT = sign_event(
    KEY, 1_700_000_000, 4110, [["t", "ab" * 32], ["e", "cd" * 32]], '{"text":"é\u2028\x7f","v":1}'
)
WIRE = encode_event(EVENT)
FIELDS: dict[str, object] = json.loads(WIRE)

escaped = "\b\t\n\f\r"
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from(escaped + "\x7f\x80"))
tags = st.lists(st.lists(texts, min_size=1, max_size=4), max_size=5)
seconds = st.integers(0, UNIX_SECONDS_MAX)
kinds = st.integers(0, 65535)


def refusal(wire: bytes) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_event(wire)
    return caught.value.code


def changed(**fields: object) -> bytes:
    return json.dumps(FIELDS | fields, ensure_ascii=False).encode("utf-8", "surrogatepass")


def resigned(**fields: object) -> bytes:
    """The event with other fields, its id and signature made to fit."""
    event: dict[str, object] = FIELDS | fields
    parts = [0, *(event[name] for name in ("pubkey", "created_at", "kind", "tags", "content"))]
    data = json.dumps(parts, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(data).digest()
    return changed(**fields, id=digest.hex(), sig=KEY.sign(digest))


@given(seconds, kinds, tags, texts)
def test_theorem_2_4_a_signed_event_survives_the_wire(
    at: int, kind: int, tags: list[list[str]], text: str
) -> None:
    event = sign_event(KEY, at, kind, tags, text)
    parsed = parse_event(encode_event(event))
    assert parsed == event
    assert is_signed(parsed)
    assert encode_event(event) == codec.encode(event)


@given(seconds, kinds, tags, texts)
def test_theorem_2_5_the_id_is_that_of_other_implementations(
    at: int, kind: int, tags: list[list[str]], text: str
) -> None:
    parts = [0, KEY.node_id, at, kind, tags, text]
    theirs = json.dumps(parts, separators=(",", ":"), ensure_ascii=False).encode()
    assert event_digest(KEY.node_id, at, kind, tags, text) == hashlib.sha256(theirs).digest()


@given(st.integers(0, 2**32), kinds, texts)
def test_theorem_2_5_nostr_sdk_accepts_our_events(at: int, kind: int, text: str) -> None:
    wire = encode_event(sign_event(KEY, at, kind, [["t", text]], text))
    assert nostr_sdk.Event.from_json(wire.decode()).verify()


@given(st.permutations(list(FIELDS)), st.sampled_from([None, 0, 2]), st.booleans())
def test_theorem_2_6_key_order_spacing_and_escapes_are_free(
    names: list[str], indent: int | None, ascii: bool
) -> None:
    reordered = {name: FIELDS[name] for name in names}
    assert parse_event(json.dumps(reordered, indent=indent, ensure_ascii=ascii).encode()) == EVENT


@given(st.data())
def test_theorem_2_7_a_changed_packet_is_refused_or_says_the_same(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(WIRE)))
    end = start + data.draw(st.integers(0, 3))
    mutated = WIRE[:start] + data.draw(st.binary(max_size=3)) + WIRE[end:]
    try:
        event = parse_event(mutated)
    except RemoteProtocolError:
        return
    assert event == EVENT or not is_signed(event)


@given(st.binary(max_size=300))
@example(b"[" * 60_000)
@example(b'{"tags":' + b"[" * 60_000)
@example(b'{"x":' * 10_000)
@example(b'{"content":"\\ud800"}')
@example(b"1" * 5000)
@example(b'{"created_at":' + b"1" * 5000 + b"}")
def test_theorem_2_8_parsing_raises_remote_errors_only(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_event(data)


@given(st.text(), st.text(), st.text())
def test_an_unchecked_event_is_never_signed_and_never_raises(event_id: str, pubkey: str, sig: str) -> None:
    assert not is_signed(Event(EventId(event_id), NodeId(pubkey), 0, 0, (), "", sig))


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"extra": 1}, "event_shape"),
        ({"extra": [[[[]]]]}, "event_shape"),
        ({"kind": 65536}, "event_shape"),
        ({"kind": -1}, "event_shape"),
        ({"kind": 1.5}, "event_shape"),
        ({"kind": "1"}, "event_shape"),
        ({"kind": True}, "event_shape"),
        ({"created_at": -1}, "event_shape"),
        ({"created_at": UNIX_SECONDS_MAX + 1}, "event_shape"),
        ({"created_at": 2**64}, "event_shape"),
        ({"tags": [["a"]] * (TAGS_MAX + 1)}, "event_shape"),
        ({"tags": [["a"] * (TAG_ITEMS_MAX + 1)]}, "event_shape"),
        ({"tags": [["a" * (TAG_ITEM_CHARS_MAX + 1)]]}, "event_shape"),
        ({"tags": [[]]}, "event_shape"),
        ({"tags": [[1]]}, "event_shape"),
        ({"tags": None}, "event_shape"),
        ({"content": None}, "event_shape"),
        ({"content": "\ud800"}, "event_shape"),
        ({"pubkey": KEY.node_id.upper()}, "event_hex"),
        ({"pubkey": KEY.node_id[:-2]}, "event_hex"),
        ({"pubkey": KEY.node_id + EVENT.sig[:2]}, "event_hex"),
        ({"content": "a\x01"}, "event_control"),
        ({"content": "\x1f"}, "event_control"),
        ({"content": "\\u0001 \x00"}, "event_control"),
        ({"tags": [["t", "\x0b"]]}, "event_control"),
    ],
)
def test_parsing_refuses_even_what_is_well_signed(fields: dict[str, object], code: str) -> None:
    assert refusal(resigned(**fields)) == code


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"id": "00" * 32}, "event_id"),
        ({"id": EVENT.id.upper()}, "event_id"),
        ({"id": ""}, "event_id"),
        ({"content": "other"}, "event_id"),
        ({"sig": EVENT.sig.upper()}, "event_hex"),
        ({"sig": EVENT.sig[:-1]}, "event_hex"),
        ({"sig": EVENT.sig + "\n"}, "event_hex"),
    ],
)
def test_parsing_refuses_a_wrong_id_and_bad_hex(fields: dict[str, object], code: str) -> None:
    assert refusal(changed(**fields)) == code


@pytest.mark.parametrize("name", FIELDS)
def test_parsing_refuses_a_missing_or_repeated_field(name: str) -> None:
    pair = f'"{name}":{json.dumps(FIELDS[name])},'.encode()
    assert refusal(b"{" + pair + WIRE[1:]) == "event_shape"
    assert refusal(json.dumps({key: FIELDS[key] for key in FIELDS if key != name}).encode()) == "event_shape"


def test_parsing_refuses_a_large_packet() -> None:
    assert refusal(WIRE + b" " * (PACKET_BYTES_MAX - len(WIRE) + 1)) == "packet_size"
    assert parse_event(WIRE + b" " * (PACKET_BYTES_MAX - len(WIRE))) == EVENT


def test_a_forged_signature_parses_and_does_not_verify() -> None:
    forged = msgspec.structs.replace(EVENT, sig=KeyPair.from_seed(b"other").sign(bytes.fromhex(EVENT.id)))
    assert parse_event(encode_event(forged)) == forged
    assert not is_signed(forged)


@given(texts)
def test_escaped_control_characters_inside_canonical_content_are_welcome(text: str) -> None:
    assume("\\" not in text)
    content = codec.encode({"text": text + "\x01\x1f"}).decode()
    assert parse_event(encode_event(sign_event(KEY, 1, 1, [], content))).content == content


@pytest.mark.parametrize(
    "build",
    [
        lambda: sign_event(KEY, 1, 1, [], "\x00"),
        lambda: sign_event(KEY, 1, 1, [], "\ud800"),
        lambda: sign_event(KEY, -1, 1, [], ""),
        lambda: sign_event(KEY, 1, 65536, [], ""),
        lambda: sign_event(KEY, 1, 1, [[]], ""),
        lambda: sign_event(KEY, 1, 1, [["t"]] * (TAGS_MAX + 1), ""),
    ],
)
def test_signing_refuses_what_nobody_would_parse(build: Callable[[], Event]) -> None:
    with pytest.raises(LocalProtocolError):
        build()
