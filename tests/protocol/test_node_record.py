"""Node records: what fits, what is refused, and that nobody can change a signed one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.base.crypto import KeyPair
from dicast.base.errors import RemoteProtocolError
from dicast.base.types import Now
from dicast.protocol.envelope import topic_of
from dicast.protocol.node_record import (
    RECORD_BYTES_MAX,
    RECORD_LIFE_S,
    finder_key,
    finder_keys,
    is_record_live,
    is_record_signed,
    make_record,
    model_mark,
    parse_record,
)

VECTORS = json.loads((Path(__file__).parents[2] / "spec/vectors/node_record.json").read_text())
KEY = KeyPair.from_seed(b"record")
TOPIC = topic_of("test")
NOW = Now(0, 1_790_000_000_000)
NAMES = st.from_regex(r"[a-z0-9-]{1,64}", fullmatch=True)
ADDRESSES = st.dictionaries(NAMES, st.lists(st.text(min_size=1, max_size=256), max_size=4), max_size=16)
MODELS = st.lists(st.text(max_size=64), max_size=30)


def test_the_vectors_hold() -> None:
    topic = VECTORS["topic"]
    for row in VECTORS["keys"]:
        assert finder_key(topic, row["model"]) == row["key"]
        assert model_mark(topic, row["model"]) == row["mark"]
    for text in VECTORS["valid"]:
        assert is_record_signed(parse_record(text.encode()), topic)
        assert not is_record_signed(parse_record(text.encode()), topic_of("other"))
    for text in VECTORS["badly_signed"]:
        assert not is_record_signed(parse_record(text.encode()), topic)
    for row in VECTORS["invalid"]:
        with pytest.raises(RemoteProtocolError) as raised:
            parse_record(row["record"].encode())
        assert raised.value.code == row["code"]


@given(ADDRESSES, MODELS)
def test_theorem_21_1_a_record_fits_every_table_and_says_what_was_given(addresses, models) -> None:
    data = make_record(KEY, TOPIC, addresses, models, NOW)
    record = parse_record(data)
    assert len(data) <= RECORD_BYTES_MAX
    assert is_record_signed(record, TOPIC)
    assert is_record_live(record, NOW)
    for name, some in record.addresses.items():
        assert list(some) == addresses[name][: len(some)]
    assert set(record.models) <= {model_mark(TOPIC, model) for model in models}
    assert len(finder_keys(TOPIC, models)) == 1 + min(16, len(set(models)))


@given(st.binary(max_size=1100) | st.sampled_from(VECTORS["valid"]).map(str.encode), st.data())
def test_theorem_21_2_whatever_bytes_come_a_record_is_parsed_or_refused(wire: bytes, data) -> None:
    if wire:
        place = data.draw(st.integers(0, len(wire) - 1))
        wire = wire[:place] + data.draw(st.binary(max_size=2)) + wire[place + 1 :]
    try:
        parsed = parse_record(wire)
    except RemoteProtocolError:
        return
    assert not is_record_signed(parsed, VECTORS["topic"]) or wire.decode() in VECTORS["valid"]


def test_a_record_lives_two_hours() -> None:
    record = parse_record(make_record(KEY, TOPIC, {"zenoh": ("tcp/192.0.2.1:1",)}, (), NOW))
    later = Now(0, NOW.unix_ms + RECORD_LIFE_S * 1000)
    assert [is_record_live(record, now) for now in (Now(0, NOW.unix_ms - 60_001), NOW, later)] == [
        False,
        True,
        False,
    ]
