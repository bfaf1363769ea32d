"""Whatever comes in is answered in its dialect, and costs little: wrong, huge, slow, half closed, gone."""

from __future__ import annotations

import asyncio
import json
import socket
import time

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicast.base.limits import ATTACHED_PROMPT_BYTES_MAX
from dicast.gateway.bodies import BODY_BYTES_MAX, Held
from dicast.gateway.errors import CODES, GatewayError
from dicast.gateway.server import Address, bind, serve

ROUTES = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages")
GOOD = {
    "/v1/chat/completions": {"model": "memory", "messages": [{"role": "user", "content": "hello"}]},
    "/v1/completions": {"model": "memory", "prompt": "hello"},
    "/v1/responses": {"model": "memory", "input": "hello"},
    "/v1/messages": {"model": "memory", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]},
}
JSON = {"content-type": "application/json"}


def code_of(answer: httpx.Response) -> str:
    """The stable code, after checking that the error has its dialect's shape."""
    body = answer.json()
    error = body["error"]
    if answer.request.url.path == "/v1/messages":
        assert (body["type"], error["type"]) == ("error", CODES[error["code"]].anthropic)
    else:
        assert set(error) - {"dicast"} == {"message", "type", "param", "code"}
        assert error["type"] == CODES[error["code"]].openai
    assert answer.status_code == CODES[error["code"]].status
    assert error["message"]
    return error["code"]


def post(place, route: str, content: bytes) -> httpx.Response:
    return httpx.post(place.url + route, content=content, headers=JSON, timeout=60)


WRONG = {
    "nothing": (b"", "invalid_json"),
    "no JSON": (b"{", "invalid_json"),
    "not UTF-8": (b'{"model":"\xff"}', "invalid_json"),
    "half a character": (b'{"model":"\\ud800"}', "invalid_json"),
    "deep": (b"[" * 100_000, "invalid_request"),
    "deep inside": (b'{"model":"memory","top_p":' + b"[" * 100_000, "invalid_json"),
    "a list": (b"[]", "invalid_request"),
    "null": (b"null", "invalid_request"),
    "an unknown field": (b'{"modle":"memory"}', "invalid_request"),
    "nothing given": (b"{}", "invalid_request"),
}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("what", WRONG)
def test_bodies_that_are_none(place, route: str, what: str) -> None:
    content, code = WRONG[what]
    assert code_of(post(place, route, content)) == code


FIELDS = {
    "model": [1, None, "", ["memory"]],
    "models": ["memory", [1], {}],
    "dicast": [1, {"quorum": 0}, {"quorum": "3"}, {"qorum": 3}, {"sec_distance": 2}, {"deadline_ms": 1}],
    "stream": ["yes", 1],
    "max_tokens": [0, -1, "9", 10**9, 1.5],
    "temperature": [-1, 3, "0"],
}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("field", FIELDS)
def test_wrong_values(place, route: str, field: str) -> None:
    for value in FIELDS[field]:
        body = json.dumps({**GOOD[route], field: value}).encode()
        assert code_of(post(place, route, body)) == "invalid_request", value


MESSAGES = [
    ([], "invalid_request"),
    ("hello", "invalid_request"),
    ([{}], "invalid_request"),
    ([{"role": "king", "content": "x"}], "invalid_request"),
    ([{"role": "user", "content": ""}], "invalid_request"),
    ([{"role": "user", "content": 1}], "invalid_request"),
    ([{"role": "assistant", "content": "x"}], "unsupported"),
    ([{"role": "user", "content": "x", "function_call": {"name": "f"}}], "unsupported"),
    ([{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}], "unsupported"),
    ([{"role": "user", "content": "x"}] * 300, "context_length_exceeded"),
    ([{"role": "user", "content": "x" * (ATTACHED_PROMPT_BYTES_MAX + 1)}], "context_length_exceeded"),
]


@pytest.mark.parametrize("route", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("number", range(len(MESSAGES)))
def test_wrong_messages(place, route: str, number: int) -> None:
    messages, code = MESSAGES[number]
    body = json.dumps({**GOOD[route], "messages": messages}).encode()
    assert code_of(post(place, route, body)) == code


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ([], "input"),
        ([{"role": "user", "content": "x"}, {"role": "assistant", "content": "x"}], "input[1]"),
        ([{"role": "king", "content": "x"}], "input[0].role"),
        ([{"role": "user", "content": [{"type": "input_image"}]}], "input[0].content"),
        ("x" * (ATTACHED_PROMPT_BYTES_MAX + 1), "input"),
    ],
)
def test_responses_name_the_field_that_they_have(place, given: object, field: str) -> None:
    answer = post(place, "/v1/responses", json.dumps({"model": "any", "input": given}).encode())
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)
    assert "messages[" not in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {"x-dicast-quorum": "many"},
        {"x-dicast-quorm": "3"},
        {"x-dicast-sec-distance": "nan"},
        {"x-dicast-quorum": "-1"},
    ],
)
def test_wrong_headers(place, headers: dict[str, str]) -> None:
    for route in ROUTES:
        answer = httpx.post(place.url + route, json=GOOD[route], headers=headers)
        assert code_of(answer) == "invalid_request"


@pytest.mark.parametrize("route", ROUTES)
def test_huge_bodies_are_refused_before_they_are_read(place, route: str) -> None:
    assert code_of(post(place, route, b" " * BODY_BYTES_MAX + b"{}")) == "body_too_large"
    head = f"POST {route} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with place.connect() as connection:
        connection.sendall(f"{head}Content-Length: {10**12}\r\n\r\n".encode())
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")
    with place.connect() as connection:
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"40000\r\n" + b" " * 0x40000 + b"\r\n"
        connection.sendall(chunk * (BODY_BYTES_MAX // 0x40000) + b"1\r\n \r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")


def test_long_bodies_of_many_share_a_bound() -> None:
    held = Held(100)
    with held.request() as one, held.request() as other:
        one.add(60)
        other.add(40)
        with pytest.raises(GatewayError, match="overloaded"):
            other.add(1)
    assert held.bytes == 0


@pytest.mark.parametrize("route", ROUTES)
def test_slow_bodies_time_out(place, route: str) -> None:
    began = time.monotonic()
    with place.connect() as connection:
        head = f"POST {route} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        answer = connection.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 408 ")
        while connection.recv(65_536):
            pass
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("said", [b"", b"POST /v1/messages HTTP/1.1\r\nHost: local"])
def test_slow_heads_time_out(place, monkeypatch, said: bytes) -> None:
    monkeypatch.setattr("dicast.gateway.connection.HEAD_S", 0.2)
    with place.connect() as connection:
        connection.sendall(said)
        assert whole(connection).startswith(b"HTTP/1.1 408 ")


def test_the_head_of_a_second_request_times_out_too(place, monkeypatch) -> None:
    monkeypatch.setattr("dicast.gateway.connection.HEAD_S", 0.2)
    with place.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /hea")
        answers = whole(connection)
        assert (answers.startswith(b"HTTP/1.1 200 "), b"HTTP/1.1 408 " in answers) == (True, True)
    with place.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"GET /hea")
        assert b"HTTP/1.1 408 " in whole(connection)


@pytest.mark.anyio
async def test_who_does_not_read_is_let_go(monkeypatch) -> None:
    monkeypatch.setattr("dicast.gateway.connection.STALLED_S", 0.2)
    left, stop = asyncio.Event(), asyncio.Event()

    async def endless(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await receive()  # its body, which is empty
        leaving = asyncio.ensure_future(receive())
        while not leaving.done():
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
        left.set()

    listener = bind(Address(port=0))
    serving = asyncio.create_task(serve(endless, listener, lambda _: None, stop))
    _, writer = await asyncio.open_connection(*listener.getsockname(), limit=1)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with asyncio.timeout(60):
        await left.wait()
        stop.set()
        await serving
    writer.close()
    listener.close()


def whole(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    return b"".join(iter(lambda: connection.recv(65_536), b""))


def request_bytes(route: str, prompt: str, stream: bool) -> bytes:
    body = {**GOOD[route], "stream": stream, "temperature": 0}
    if name := {"prompt", "input"} & set(body):
        body[name.pop()] = prompt
    else:
        body["messages"] = [{"role": "user", "content": prompt}]
    content = json.dumps(body).encode()
    head = f"POST {route} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("half", [False, True])
def test_a_client_that_vanishes_cancels_its_round(place, route: str, stream: bool, half: bool) -> None:
    """Half closed counts as gone: who will not hear cannot be told from who left."""
    import socket

    began = place.next_open()
    cancelled = place.next_cancelled()
    with place.connect() as connection:
        connection.sendall(request_bytes(route, "hold", stream))
        began()
        if half:
            connection.shutdown(socket.SHUT_WR)
            cancelled()
    if not half:
        cancelled()


def test_a_stream_keeps_alive_while_it_waits(place) -> None:
    for route, sign in (("/v1/chat/completions", b": waiting"), ("/v1/messages", b"event: ping")):
        cancelled = place.next_cancelled()
        with place.connect() as connection:
            connection.sendall(request_bytes(route, "hold", True))
            seen = b""
            while seen.count(sign) < 3:
                seen += connection.recv(65_536)
            assert b"200 OK" in seen
        cancelled()


def test_rubbish_is_no_request(place) -> None:
    for rubbish in (b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"A" * 100_000 + b"\r\n\r\n"):
        with place.connect() as connection:
            connection.sendall(rubbish)
            assert connection.recv(65_536).split(b" ")[1] in {b"400", b"421"}


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(ROUTES), st.binary(max_size=64))
def test_any_bytes_are_answered(place, route: str, content: bytes) -> None:
    assert code_of(post(place, route, content)) in {"invalid_json", "invalid_request"}


@pytest.mark.parametrize("path", ["/api/ask", "/api/plan"])
def test_native_bodies_are_bounded_in_size_and_time(place, path: str) -> None:
    huge = httpx.post(place.url + path, content=b" " * (BODY_BYTES_MAX + 1), headers=JSON, timeout=60)
    assert (huge.status_code, huge.json()["error"]["code"]) == (413, "body_too_large")
    plain = httpx.post(place.url + path, content=b"{}", headers={"content-type": "text/plain"})
    assert (plain.status_code, plain.json()["error"]["code"]) == (415, "not_json")
    with place.connect() as connection:
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        connection.sendall(head.encode() + b"content-length: 9\r\n\r\n{")
        assert b"body_too_slow" in connection.makefile("rb").read()


@pytest.mark.parametrize("stream", ["true", "false"])
def test_a_client_that_vanishes_or_hangs_up_half_cancels_its_native_round(place, stream: str) -> None:
    for leave in (lambda one: one.close(), lambda one: one.shutdown(socket.SHUT_WR)):
        opened, cancelled = place.next_open(), place.next_cancelled()
        with place.connect() as connection:
            body = f'{{"prompt": "hold on", "stream": {stream}}}'.encode()
            head = "POST /api/ask HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            connection.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
            opened()
            leave(connection)
            cancelled()


def test_a_listener_that_vanishes_is_forgotten(place) -> None:
    with place.connect() as connection:
        connection.sendall(b"GET /api/events HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert b"200" in connection.recv(100)
        assert httpx.get(f"{place.url}/api/status").json()["gateway"]["listeners"] == 1
        connection.shutdown(socket.SHUT_WR)
        connection.makefile("rb").read()
    assert httpx.get(f"{place.url}/api/status").json()["gateway"]["listeners"] == 0
