"""Queries by example over the WebSocket: events of the gateway, and documents of a signaller."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from dicast.base.crypto import KeyPair
from dicast.queries.document import document_topic, make_document
from dicast.signalling.client import Signallers, publish
from dicast.signalling.settings import SignalSettings
from dicast.signalling.signaller import Signaller


def socket(url: str) -> ClientConnection:
    return connect(f"{url.replace('http', 'ws')}/api/ws", subprotocols=["dicast"])


def say(client: ClientConnection, **order: Any) -> None:
    client.send(json.dumps(order))


def hear(client: ClientConnection, *names: str) -> dict[str, Any]:
    """The next message of one of these types."""
    lines = (line for text in client for line in text.splitlines())
    return next(one for one in map(json.loads, lines) if one["type"] in names)


def test_events_are_chosen_by_example(place) -> None:
    query = {"type": "round_decided", "data.verdict.ball_size": {"$gte": 3}}
    with socket(place.url) as client:
        hear(client, "node_up")
        say(client, op="filter", types=["bye"])
        hear(client, "filtered")
        say(client, op="subscribe", name="agreed", query=query)
        assert hear(client, "subscribed")["data"] == {"name": "agreed"}
        say(client, op="subscribe", name="strange", query={"type": "strange"})
        hear(client, "subscribed")
        body = {"prompt": "hello", "temperature": 0.0}
        first = httpx.post(f"{place.url}/api/ask", json=body, timeout=60).json()["request_id"]
        told = hear(client, "match", "round_decided")
        assert (told["type"], told["data"]["name"]) == ("match", "agreed")
        assert told["data"]["event"]["data"]["request_id"] == first
        say(client, op="unsubscribe", name="agreed")
        assert hear(client, "unsubscribed", "match")["type"] == "unsubscribed"


@pytest.mark.parametrize(
    "order",
    [
        {"op": "subscribe", "name": "", "query": {}},
        {"op": "subscribe", "name": "a", "query": {"$strange": 1}},
        {"op": "subscribe", "name": "a", "query": 1},
        {"op": "subscribe", "name": "a", "query": {}, "of": "documents"},
        {"op": "subscribe", "name": "a", "query": {}, "of": "strange"},
        {"op": "subscribe", "query": {}},
    ],
)
def test_wrong_subscriptions_are_answered(loopback, order: dict[str, Any]) -> None:
    with socket(loopback.url) as client:
        say(client, **order)
        assert hear(client, "error")["data"]["code"] in {"invalid_request", "unsupported"}


def test_one_connection_holds_so_many_queries(loopback) -> None:
    with socket(loopback.url) as client:
        for number in range(17):
            say(client, op="subscribe", name=str(number), query={"type": "strange"})
        assert hear(client, "error")["data"]["code"] == "overloaded"


def test_documents_are_followed_as_by_the_command(place) -> None:
    signaller = place.run(_started())
    command = [
        sys.executable,
        "-m",
        "dicast.cli",
        "gateway",
        "--state-dir",
        str(place.state_dir),
        "--port",
        "0",
    ]
    command += ["--signaller", signaller.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            with socket(process.stdout.readline().removeprefix("listening on ").strip()) as client:
                query = {"score": {"$gt": 5}}
                say(client, op="subscribe", name="news", of="documents", query=query, backlog=True)
                hear(client, "subscribed")
                place.run(_published(signaller.url, {"score": 3}, {"score": 7, "text": "hello"}))
                told = hear(client, "document", "error")
                assert (told["type"], told["data"]["name"]) == ("document", "news")
                assert told["data"]["document"] == {"score": 7, "text": "hello"}
                assert told["data"]["author"] == KeyPair.from_seed(b"publisher").node_id
        finally:
            process.terminate()
            assert process.wait(60) == 0
            place.run(signaller.stop())


async def _started() -> Signaller:
    signaller = Signaller(SignalSettings(listen=("127.0.0.1", 0)))
    await signaller.start()
    return signaller


async def _published(url: str, *values: dict[str, Any]) -> None:
    key, topic = KeyPair.from_seed(b"publisher"), document_topic("main")
    now = int(time.time() * 1000)
    await publish(
        Signallers((url,)), [make_document(key, topic, json.dumps(one).encode(), now) for one in values]
    )
