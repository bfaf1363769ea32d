"""A relay's own limits (NIP-11): read where told, respected, and never believed too much."""

from __future__ import annotations

import http
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.http11 import Response

from dicast.transports.nostr_terms import DOCUMENT_BYTES_MAX, UNTOLD, Terms, ask_terms, parse_terms

pytestmark = pytest.mark.anyio


def serving(document: bytes, status: int = 200):
    """Answers a plain GET with the document, and lets WebSockets through."""

    def process(connection, request):
        if request.headers.get("Accept") == "application/nostr+json":
            headers = Headers({"Date": "Fri, 20 Nov 2026 12:00:00 GMT", "Content-Length": str(len(document))})
            return Response(status, http.HTTPStatus(status).phrase, headers, document)
        return None

    return process


def document(**limits: Any) -> bytes:
    return json.dumps({"name": "a relay", "supported_nips": [1, 11], "limitation": limits}).encode()


async def quiet(connection) -> None:
    await connection.wait_closed()


def obedient(seen: list[Any], bytes_max: int = 1 << 20):
    """A relay that ends what it has stored at once, confirms everything, and hangs up on what is too long."""

    async def serve(connection) -> None:
        async for frame in connection:
            if len(frame) > bytes_max:
                return await connection.close(1009)
            label, *rest = json.loads(frame)
            seen.append((label, rest))
            if label == "REQ":
                await connection.send(json.dumps(["EOSE", rest[0]]))
            elif label == "EVENT":
                await connection.send(json.dumps(["OK", rest[0]["id"], True, ""]))
        return None

    return serve


async def test_the_limits_are_read(lying_relay) -> None:
    told = document(
        max_message_length=16_384,
        max_subscriptions=20,
        auth_required=True,
        payment_required=False,
        created_at_lower_limit=3600,
        created_at_upper_limit=900,
    )
    url = await lying_relay(quiet, process_request=serving(told))
    assert await ask_terms(url) == Terms(
        16_384, 20, True, False, 3600, 900, date="Fri, 20 Nov 2026 12:00:00 GMT"
    )


@pytest.mark.parametrize(
    ("body", "status"), [(b"[]", 200), (b"<html>", 200), (b"x" * (DOCUMENT_BYTES_MAX + 1), 200), (b"{}", 404)]
)
async def test_what_is_no_document_limits_nothing(lying_relay, body: bytes, status: int) -> None:
    terms = await ask_terms(await lying_relay(quiet, process_request=serving(body, status)))
    assert terms is None or terms == Terms(date=terms.date)


async def test_nobody_there_is_no_error() -> None:
    assert await ask_terms("ws://127.0.0.1:9") is None


async def test_a_packet_over_the_limit_is_left_to_others(
    lying_relay, make_node, make_packet, wait_until
) -> None:
    seen: list[Any] = []
    url = await lying_relay(obedient(seen, 8192), process_request=serving(document(max_message_length=8192)))
    node = await make_node(url, wait=False)
    node.transport.publish(make_packet("x" * 9000))
    await wait_until(lambda: node.transport.health().state == "up")
    await wait_until(lambda: node.transport.health().dropped == 1)
    node.transport.publish(make_packet("y" * 9000))
    node.transport.publish(make_packet("small"))
    await wait_until(lambda: any(label == "EVENT" for label, _ in seen))
    assert [rest[0]["content"] for label, rest in seen if label == "EVENT"] == ["small"]
    assert node.transport.health().dropped == 2


async def test_stamps_and_subscriptions_stay_within_the_limits(
    lying_relay, make_node, make_packet, wait_until
) -> None:
    seen: list[Any] = []
    told = document(max_subscriptions=1, created_at_lower_limit=60)
    url = await lying_relay(obedient(seen), process_request=serving(told))
    node = await make_node(url)
    await wait_until(lambda: node.transport._links[0]._terms.subscriptions_max == 1)
    node.transport.publish(make_packet("too old", age_seconds=120))
    node.transport._links[0].fetch(("ab" * 32,))
    node.transport.publish(make_packet("new"))
    await wait_until(lambda: any(label == "EVENT" for label, _ in seen))
    assert [rest[0]["content"] for label, rest in seen if label == "EVENT"] == ["new"]
    assert [rest[0] for label, rest in seen if label == "REQ"] == ["live"]
    assert node.transport.health().round_trip_ms is not None


async def test_a_relay_that_wants_pay_says_so(lying_relay, make_node, wait_until) -> None:
    async def deaf(connection) -> None:
        await connection.wait_closed()

    url = await lying_relay(deaf, process_request=serving(document(payment_required=True)))
    node = await make_node(url, wait=False)
    await wait_until(lambda: "pay" in node.transport.health().detail)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(
    st.dictionaries(st.sampled_from(["max_message_length", "max_subscriptions", "auth_required"]), JSON), JSON
)
def test_whatever_is_told_limits_within_reason(limits, odd) -> None:
    for told in ({"limitation": limits}, {"limitation": odd}, odd):
        terms = parse_terms(json.dumps(told).encode())
        assert terms.takes(4096, int(time.time()), int(time.time()))
        assert terms.may_open(1)


@given(st.binary())
def test_noise_is_no_limit(noise: bytes) -> None:
    assert parse_terms(noise).takes(65_536, 0, 0)
    assert UNTOLD.may_open(10)
