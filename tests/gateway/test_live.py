"""Live events: server-sent and over the WebSocket, resumed, filtered, and dropped for the slow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from dicast.client import AsyncClient
from dicast.gateway.errors import GatewayError
from dicast.gateway.keys import Scope
from dicast.gateway.native.live import KEPT_MAX, LISTENERS_MAX, TICK_S, WAITING_MAX, Filter, Live
from dicast.gateway.native.streams import ORDERS_A_SECOND, ORDERS_AT_ONCE, Pace
from waiting import WAIT_SECONDS_MAX


@contextmanager
def events(place: Any, headers: dict[str, str] | None = None, **params: Any) -> Iterator[Iterator[Any]]:
    """Events as they come, after the stream began."""
    with httpx.stream("GET", f"{place.url}/api/events", params=params, headers=headers, timeout=60) as stream:
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        lines = stream.iter_lines()
        assert next(lines).startswith(":")
        yield (json.loads(line[6:]) for line in lines if line.startswith("data: "))


def ask(place: Any, prompt: str = "hello", headers: dict[str, str] | None = None) -> str:
    body = {"prompt": prompt, "temperature": 0.0}
    return httpx.post(f"{place.url}/api/ask", json=body, headers=headers, timeout=60).json()["request_id"]


def until(stream: Iterator[Any], name: str) -> list[Any]:
    """Events up to the first of this type."""
    seen: list[Any] = []
    for one in stream:
        seen.append(one)
        if one["type"] == name:
            return seen
    raise AssertionError(f"the stream ended without {name}")


def test_a_round_is_heard_from_its_opening_to_its_certificate(place) -> None:
    with events(place) as stream:
        until(stream, "node_up")
        request_id = ask(place)
        seen = until(stream, "certificate_ready")
    of_round = [one for one in seen if one["data"].get("request_id") == request_id]
    assert of_round[0]["type"] == "round_opened"
    steps = [one["data"]["step"] for one in of_round if one["type"] == "member_progress"]
    assert {step: steps.count(step) for step in steps} == {
        "accepted": 3,
        "committed": 3,
        "revealed": 3,
        "signed": steps.count("signed"),
    }
    (decided,) = [one["data"] for one in of_round if one["type"] == "round_decided"]
    assert decided["verdict"]["outcome"] == "accepted"
    assert set(of_round[-1]["data"]) == {"ask_id", "request_id", "signed_seats"}
    numbers = [int(one["id"].partition("-")[2]) for one in seen]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_the_log_is_heard_by_who_wants_it_and_breaks_no_stream(place) -> None:
    """Lines of the log are named as reports are; a stream that took one for the other said `node_down`."""
    with events(place, logs="true") as stream:
        until(stream, "node_up")
        place.loop.call_soon_threadsafe(lambda: place.driver.log.error("round_opened", members=3))
        seen = until(stream, "log_line")
        ask(place)
        seen += until(stream, "certificate_ready")
    assert not {"node_down", "gap"} & {one["type"] for one in seen}
    (line,) = [one["data"] for one in seen if one["type"] == "log_line"]
    assert (line["level"], line["event"], line["fields"]) == ("error", "round_opened", {"members": 3})


def test_gates_that_fired_are_told_and_shown(place) -> None:
    """The embedder of these tests sees no difference between near answers: numbers keep them apart."""
    body = {"prompt": "numbers", "frame": {"preset": "default", "seats": 3, "quorum": 3}, "temperature": 0.0}
    with events(place) as stream:
        until(stream, "node_up")
        asked = httpx.post(f"{place.url}/api/ask", json=body, timeout=60).json()
        told = until(stream, "gates_fired")[-1]["data"]
    assert told["request_id"] == asked["request_id"]
    (gate,) = told["gates"]
    assert (gate["gate"], gate["count"], len(gate["pairs"])) == ("numbers", 3, 3)
    assert httpx.get(f"{place.url}/api/rounds/{asked['request_id']}").json()["gates"] == [gate]


def test_a_stream_goes_on_where_it_broke(place) -> None:
    with events(place) as stream:
        until(stream, "node_up")
        first = ask(place)
        seen = until(stream, "round_opened")
    second = ask(place)
    with events(place, {"last-event-id": seen[-1]["id"]}) as stream:
        rest = until(stream, "certificate_ready")
        rest += until(stream, "certificate_ready")
    assert "gap" not in {one["type"] for one in rest}
    assert [one["data"]["request_id"] for one in rest if one["type"] == "round_decided"] == [first, second]
    with events(place, last_event_id="strange-7") as stream:
        assert next(stream)["data"] == {"missed": None}


def test_a_filter_lets_one_kind_and_one_round_through(place) -> None:
    with events(place) as every, events(place, types="round_decided,round_ended") as some:
        until(every, "node_up")
        ask(place)
        ask(place)
        assert [next(some)["type"], next(some)["type"]] == ["round_decided"] * 2
        opened = until(every, "round_opened")[-1]
        with events(place, {"last-event-id": opened["id"]}, round=opened["data"]["request_id"]) as one:
            seen = until(one, "certificate_ready")
            assert {each["data"]["request_id"] for each in seen} == {opened["data"]["request_id"]}


def socket(place: Any, **more: Any) -> ClientConnection:
    return connect(f"{place.url.replace('http', 'ws')}/api/ws", subprotocols=["dicast"], **more)


def messages(client: ClientConnection) -> Iterator[Any]:
    """What it says: a frame has a line a message."""
    return (json.loads(line) for text in client for line in text.splitlines())


def test_the_socket_tells_the_same_and_takes_orders(place) -> None:
    with socket(place) as client:
        assert client.subprotocol == "dicast"
        for order, answer in (
            ({"op": "ping"}, "pong"),
            ({"op": "filter", "types": ["round_decided"]}, "filtered"),
            ({"op": "filter", "types": ["strange"]}, "error"),
            ({"op": "strange"}, "error"),
            ("{", "error"),
        ):
            client.send(order if isinstance(order, str) else json.dumps(order))
            said = messages(client)
            assert next(one for one in said if one["type"] in {"pong", "filtered", "error"})["type"] == answer
        client.send(b"\xff\xfe")
        assert until(messages(client), "error")
        request_id = ask(place)
        said = until(messages(client), "round_decided")[-1]
        assert said["data"]["request_id"] == request_id


def test_orders_are_heard_at_a_pace() -> None:
    now = [100.0]
    pace = Pace(lambda: now[0])
    waits = [pace.wait_s() for _ in range(ORDERS_AT_ONCE + 3)]
    assert waits == [0] * ORDERS_AT_ONCE + [one / ORDERS_A_SECOND for one in (1, 2, 3)]
    now[0] += 3600
    assert [pace.wait_s() > 0 for _ in range(ORDERS_AT_ONCE + 1)] == [False] * ORDERS_AT_ONCE + [True]


def test_who_gives_orders_without_end_is_heard_slowly_and_slows_nobody(place) -> None:
    with socket(place) as greedy, socket(place) as modest:
        for _ in range(ORDERS_AT_ONCE + 5):
            greedy.send('{"op":"ping"}')
        modest.send('{"op":"ping"}')
        until(messages(modest), "pong")
        for _ in range(ORDERS_AT_ONCE + 5):
            until(messages(greedy), "pong")


def test_a_socket_that_says_too_much_is_closed(place) -> None:
    with socket(place) as client, pytest.raises(ConnectionClosed) as caught:
        client.send("x" * 100_000)
        for _ in client:
            pass
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1009


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"x-api-key": "dicast-nothing"}, 401),
    ],
)
def test_pages_of_others_and_wrong_keys_get_no_socket(loopback, headers: dict[str, str], status: int) -> None:
    with pytest.raises(InvalidStatus) as caught:
        socket(loopback, additional_headers=headers)
    assert caught.value.response.status_code == status
    assert json.loads(caught.value.response.body or b"{}")["error"]["code"]


def test_a_socket_by_another_name_is_refused(loopback) -> None:
    with pytest.raises(InvalidStatus) as caught:
        connect(f"ws://evil.example:{loopback.port}/api/ws", sock=loopback.connect())
    assert caught.value.response.status_code == 421


def test_a_socket_needs_a_key_where_everybody_does_and_ends_with_it(public_place) -> None:
    with pytest.raises(InvalidStatus) as caught:
        socket(public_place)
    assert caught.value.response.status_code == 401
    made = public_place.key(Scope.READ, name="viewer")
    url = f"{public_place.url.replace('http', 'ws')}/api/ws"
    with connect(url, subprotocols=["dicast", made]) as client, pytest.raises(ConnectionClosed) as closed:
        assert client.subprotocol == "dicast"
        public_place.keys.revoke("viewer")
        for _ in client:
            pass
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "key_invalid")


def test_a_stream_ends_when_its_key_is_revoked(public_place) -> None:
    key = public_place.key(Scope.READ, name="listener")
    with events(public_place, {"x-api-key": key}) as stream:
        public_place.keys.revoke("listener")
        last = until(stream, "error")[-1]
        assert last["data"]["code"] == "key_invalid"
        assert list(stream) == []


@pytest.fixture
def live(tmp_path) -> Live:
    return Live(AsyncClient(tmp_path), lambda: 0.0)


@pytest.mark.anyio
async def test_who_is_too_slow_finds_a_gap_and_goes_on(live) -> None:
    slow = live.listen(Filter())
    for number in range(WAITING_MAX + 5):
        live.tell("peer_seen", {"node_id": str(number)})
    missed, taken = await slow.take(0)
    assert (missed, len(taken)) == (WAITING_MAX, 5)
    assert json.loads(live.gap(missed))["data"] == {"missed": WAITING_MAX}
    live.close()
    missed, taken = await slow.take(0)
    assert (missed, [said.type for said in taken], slow.closed, live.listeners) == (0, ["bye"], True, 0)


@pytest.mark.anyio
async def test_who_reads_slowly_takes_little_at_a_time_and_misses_nothing(live) -> None:
    slow = live.listen(Filter())
    for number in range(40):
        live.tell("peer_seen", {"node_id": f"{number} " + "x" * 4_000})
    turns = [(await slow.take(0))[1] for _ in range(6)]
    assert [said.number for taken in turns for said in taken] == list(range(1, 41))
    assert max(sum(len(said.line) for said in taken) for taken in turns) < 40_000
    live.close()


@pytest.mark.anyio
async def test_what_is_kept_and_who_listens_is_bounded(live) -> None:
    for number in range(KEPT_MAX + 10):
        live.tell("peer_seen", {"node_id": str(number)})
    back = live.listen(Filter(), live.id_of(5))
    assert [said.type for said in (await back.take(0))[1]] == ["gap"]
    known = live.listen(Filter(), live.id_of(KEPT_MAX + 8))
    assert [said.number for said in (await known.take(0))[1]] == [KEPT_MAX + 9, KEPT_MAX + 10]
    for _ in range(LISTENERS_MAX - 2):
        live.listen(Filter())
    with pytest.raises(GatewayError, match="overloaded"):
        live.listen(Filter())
    live.close()


@pytest.mark.anyio
async def test_a_node_that_is_gone_is_told_once(live) -> None:
    listener = live.listen(Filter())
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        _, taken = await listener.take(5)
    assert [said.type for said in taken] == ["node_down"]
    assert await listener.take(10 * TICK_S) == (0, ())
    late = live.listen(Filter())
    missed, (told,) = await late.take(0)
    assert (missed, told.type, json.loads(told.text)["data"]) == (
        0,
        "node_down",
        json.loads(taken[0].text)["data"],
    )
    live.close()
