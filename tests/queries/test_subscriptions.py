"""Subscriptions: bounded whatever is offered, each document once, the backlog for late joiners."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicast.base.crypto import KeyPair
from dicast.base.events import encode_event, sign_event
from dicast.base.types import EventId, NodeId
from dicast.protocol.messages import Kind
from dicast.queries import document as documents
from dicast.queries.document import (
    DOCUMENT_KIND,
    Document,
    DocumentError,
    DocumentFault,
    document_topic,
    make_document,
    read_document,
)
from dicast.queries.json_text import OBJECT_BYTES_MAX, Fault, QueryError
from dicast.queries.language import query_of
from dicast.queries.subscriptions import Bounds, Form, Subscriptions

KEY = KeyPair.from_seed(b"documents".ljust(32))
TOPIC = document_topic("main")
NOW = 1_790_000_000_000
MINUTE = 60_000


def plain(number: int, value: dict[str, Any], wire_bytes: int = 100) -> Document:
    return Document(EventId(f"{number:064x}"), NodeId(KEY.node_id), 0, value, 2, b"x" * wire_bytes)


def taken(subscriber: Any) -> list[tuple[int, tuple[str, ...], tuple[str, ...]]]:
    found = []
    while (delivery := subscriber.take()) is not None:
        found.append((int(delivery.document.id, 16), delivery.full, delivery.brief))
    return found


SMALL = Bounds(queries=2, waiting=4, waiting_bytes=1_000, backlog=6, backlog_bytes=2_000, answer=3)
operations = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 2), st.integers(1, 900), st.booleans()), max_size=40
)


@settings(max_examples=500, deadline=None)
@given(operations)
def test_theorem_40_4_a_subscriber_never_holds_more_than_its_bounds(operations: list[Any]) -> None:
    subscriptions = Subscriptions(SMALL)
    subscriber = subscriptions.join(lambda: None)
    assert subscriber is not None
    subscriber.add("all", query_of({}))
    offered: list[int] = []
    for number, value, size, is_taken in operations:
        if subscriptions.offer(plain(number, {"a": float(value)}, size), 0):
            offered.append(number)
        assert len(subscriber) <= SMALL.waiting
        assert len(subscriptions.backlog(0)) <= SMALL.backlog
        assert sum(len(one.wire) for one in subscriptions.backlog(0)) <= SMALL.backlog_bytes
        if is_taken:
            taken(subscriber)
            offered.clear()
    held = [number for number, _, _ in taken(subscriber)]
    assert held == (offered[-len(held) :] if held else [])
    assert held or not offered


@settings(max_examples=500, deadline=None)
@given(operations)
def test_theorem_40_5_each_document_at_most_once_and_only_if_it_matches(operations: list[Any]) -> None:
    subscriptions = Subscriptions()
    subscriber = subscriptions.join(lambda: None)
    assert subscriber is not None
    subscriber.add("one", query_of({"a": 1.0}))
    subscriber.add("ids", query_of({"a": {"$gte": 1.0}}), Form.IDS)
    first: dict[int, int] = {}
    for number, value, _, _ in operations:
        first.setdefault(number, value)
        subscriptions.offer(plain(number, {"a": float(value)}), 0)
    wanted = [(n, ("one",) if value == 1 else (), ("ids",)) for n, value in first.items() if value >= 1]
    assert taken(subscriber) == wanted


def test_a_late_joiner_gets_the_newest_of_the_backlog_once() -> None:
    subscriptions = Subscriptions(SMALL)
    for number in range(8):
        subscriptions.offer(plain(number, {"even": number % 2 == 0}), number)
    subscriber = subscriptions.join(lambda: None)
    assert subscriber is not None
    subscriber.add("even", query_of({"even": True}))
    assert subscriptions.catch_up(subscriber, "even", 10)
    assert taken(subscriber) == [(2, ("even",), ()), (4, ("even",), ()), (6, ("even",), ())]
    subscriber.add("all", query_of({}), Form.IDS)
    assert not subscriptions.catch_up(subscriber, "all", 10)
    assert taken(subscriber) == [(5, (), ("all",)), (6, (), ("all",)), (7, (), ("all",))]
    assert subscriptions.find(f"{7:064x}") is not None
    assert subscriptions.backlog(10 * MINUTE + 6) == [plain(6, {"even": True}), plain(7, {"even": False})]


def test_work_is_bounded_and_comes_back() -> None:
    subscriptions = Subscriptions(Bounds(work_per_second=10))
    subscriber = subscriptions.join(lambda: None)
    assert subscriber is not None
    subscriber.add("a", query_of({"a": {"$gte": 0.0}}))
    for number in range(3):
        subscriptions.offer(plain(number, {"a": 1.0}), 0)
    assert ([number for number, _, _ in taken(subscriber)], subscriber.dropped) == ([0], 2)
    subscriptions.offer(plain(3, {"a": 1.0}), 1_000)
    assert [number for number, _, _ in taken(subscriber)] == [3]


def test_too_many_queries_are_refused_and_one_of_a_name_replaces_another() -> None:
    subscriber = Subscriptions(SMALL).join(lambda: None)
    assert subscriber is not None
    subscriber.add("a", query_of({}))
    subscriber.add("b", query_of({}))
    subscriber.add("a", query_of({"x": 1.0}))
    with pytest.raises(QueryError):
        subscriber.add("c", query_of({}))
    subscriber.remove("a")
    subscriber.remove("a")
    subscriber.add("c", query_of({}))


def test_a_document_is_read_back_as_it_was_made() -> None:
    made = make_document(KEY, TOPIC, b'{"price": 1.50, "\\u00e9": [true]}', NOW)
    assert read_document(made.wire, TOPIC, NOW) == made
    assert (made.value, made.value_count, made.author) == ({"price": 1.5, "é": [True]}, 4, KEY.node_id)
    assert json.loads(made.wire)["content"] == '{"price": 1.50, "\\u00e9": [true]}'


def test_the_largest_document_fits_whatever_has_to_be_escaped() -> None:
    text = b'{"a":"' + b'\\"' * ((OBJECT_BYTES_MAX - 8) // 2) + b'"}'
    made = make_document(KEY, TOPIC, text, NOW)
    assert len(made.wire) <= documents.DOCUMENT_WIRE_BYTES_MAX
    assert read_document(made.wire, TOPIC, NOW) == made
    with pytest.raises(QueryError) as refusal:
        make_document(KEY, TOPIC, text + b" " * 8, NOW)
    assert refusal.value.fault is Fault.TOO_LARGE


def wire(
    kind: int = DOCUMENT_KIND, tags: Any = (("t", TOPIC),), content: str = "{}", age_s: int = 0
) -> bytes:
    return encode_event(sign_event(KEY, NOW // 1000 - age_s, kind, tags, content))


FORGED = re.sub(rb'"sig":"[0-9a-f]{8}', b'"sig":"00000000', wire())


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"x", DocumentFault.EVENT),
        (wire()[:-1], DocumentFault.EVENT),
        (b" " * (documents.DOCUMENT_WIRE_BYTES_MAX + 1), DocumentFault.EVENT),
        (wire(kind=Kind.REQUEST), DocumentFault.KIND),
        (wire(tags=(("t", document_topic("other")),)), DocumentFault.TOPIC),
        (wire(tags=(("t", TOPIC), ("p", "00" * 32))), DocumentFault.TOPIC),
        (wire(age_s=601), DocumentFault.STALE),
        (wire(age_s=-61), DocumentFault.CLOCK),
        (FORGED, DocumentFault.SIGNATURE),
    ],
)
def test_what_is_no_document_says_why(data: bytes, fault: DocumentFault) -> None:
    with pytest.raises(DocumentError) as refusal:
        read_document(data, TOPIC, NOW)
    assert refusal.value.fault is fault


def test_content_that_is_no_object_is_refused() -> None:
    with pytest.raises(QueryError) as refusal:
        read_document(wire(content="[1]"), TOPIC, NOW)
    assert refusal.value.fault is Fault.NOT_AN_OBJECT


def test_no_message_of_a_round_has_the_kind_of_a_document() -> None:
    assert DOCUMENT_KIND not in {int(kind) for kind in Kind}
