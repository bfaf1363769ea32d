"""Who leaves, or is put out, while asking: the work ends with them, in every dialect, also in the queue."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from dicast.gateway.keys import Scope
from waiting import WAIT_SECONDS_MAX

CROWD = 30
HOLD = [{"role": "user", "content": "hold"}]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "memory", "messages": HOLD},
    "/v1/completions": {"model": "memory", "prompt": "hold"},
    "/v1/responses": {"model": "memory", "input": "hold"},
    "/v1/messages": {"model": "memory", "max_tokens": 9, "messages": HOLD},
    "/api/ask": {"prompt": "hold"},
}
ERROR_EVENT = {
    "/v1/chat/completions": lambda data: data["error"],
    "/v1/completions": lambda data: data["error"],
    "/v1/responses": lambda data: data,
    "/v1/messages": lambda data: data["error"],
    "/api/ask": lambda data: data["data"],
}


def sent(place: Any, route: str, stream: bool) -> socket.socket:
    body = json.dumps({**BODIES[route], "stream": stream}).encode()
    head = f"POST {route} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    connection = place.connect()
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return connection


def until_queue(place: Any, asking: bool, waiting: bool) -> None:
    """Waits until somebody asks and waits, or nobody."""
    give_up = time.monotonic() + WAIT_SECONDS_MAX
    while time.monotonic() < give_up:
        told = httpx.get(f"{place.url}/api/status", timeout=60).json()["gateway"]
        if (told["asking"] > 0, told["waiting"] > 0) == (asking, waiting):
            return
    raise AssertionError(told)


@pytest.mark.parametrize("stream", [False, True])
def test_a_crowd_that_vanishes_leaves_nothing_behind(place, stream: bool) -> None:
    with ExitStack() as crowd:
        for number in range(CROWD):
            crowd.enter_context(sent(place, [*BODIES][number % len(BODIES)], stream))
        until_queue(place, asking=True, waiting=True)
    until_queue(place, asking=False, waiting=False)
    answer = httpx.post(f"{place.url}/v1/completions", json={"model": "memory", "prompt": "hi"}, timeout=60)
    assert answer.status_code == 200


@pytest.mark.parametrize("route", BODIES)
def test_a_key_that_is_revoked_ends_its_stream_in_its_dialect(public_place, route: str) -> None:
    key = public_place.key(Scope.INFER, name=f"leaked at {route}")
    cancelled = public_place.next_cancelled()
    began = public_place.next_open()
    headers = {"authorization": f"Bearer {key}"}
    body = {**BODIES[route], "stream": True}
    with httpx.stream("POST", public_place.url + route, json=body, headers=headers, timeout=60) as stream:
        assert stream.status_code == 200
        began()
        public_place.keys.revoke(f"leaked at {route}")
        lines = [line for line in stream.iter_lines() if line.startswith("data: {")]
    assert ERROR_EVENT[route](json.loads(lines[-1][6:]))["code"] == "key_invalid"
    cancelled()
    refused = httpx.post(public_place.url + route, json=BODIES[route], headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "key_invalid")
