"""The native interface over real sockets: rounds, nodes, frames, keys, usage and exports."""

from __future__ import annotations

import csv
import io
import json
import time
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from dicast.gateway.errors import GatewayError
from dicast.gateway.keys import KEYS_MAX, KeyFile, Limits, Scope
from dicast.gateway.native.exports import csv_cell
from dicast.gateway.spending import DAY_S, Ledger

SENTENCE = "The capital city of France is called Paris."


def ask(place: Any, prompt: str = "hello", **more: Any) -> dict[str, Any]:
    answer = httpx.post(
        f"{place.url}/api/ask", json={"prompt": prompt, "temperature": 0.0, **more}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def get(place: Any, path: str, **params: Any) -> Any:
    answer = httpx.get(f"{place.url}{path}", params=params, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_round_is_listed_found_and_shown_whole(place) -> None:
    asked = ask(place, "What is the capital of France?")
    assert (asked["answer"], asked["dicast"]["outcome"]) == (SENTENCE, "accepted")
    request_id = asked["request_id"]
    (listed,) = get(place, "/api/rounds", state="decided")["items"]
    assert (listed["request_id"], listed["prompt"], listed["answer"], listed["ball"], listed["need"]) == (
        request_id,
        "What is the capital of France?",
        SENTENCE,
        3,
        2,
    )
    shown = get(place, f"/api/rounds/{request_id}")
    assert shown["round"] == listed
    assert shown["messages"] == [{"role": "user", "content": "What is the capital of France?"}]
    assert [one["status"] for one in shown["panel"]["members"]] == ["core"] * 3
    assert all(one["sealed"] and one["committed_unix_ms"] for one in shown["panel"]["members"])
    assert [(one["x"], one["y"], one["distance"]) for one in shown["answers"]] == [(0.0, 0.0, 0)] * 3
    winners = [one["node_id"] for one in shown["answers"] if one["is_winner"]]
    tickets = {one["node_id"]: one["ticket"] for one in shown["answers"]}
    assert winners == [shown["winner"]["node_id"]] == [min(tickets, key=lambda one: tickets[one])]
    assert shown["ball"] == {
        "center": shown["ball"]["center"],
        "radius": 130,
        "size": 3,
        "runner_up": 0,
        "need": 2,
        "unique": True,
    }
    assert shown["steps"][0]["step"] == "request"
    assert {one["step"] for one in shown["steps"]} >= {"commit", "quorum", "reveal", "close", "signature"}
    found = get(place, "/api/search", q="CAPITAL of")
    assert [one["request_id"] for one in found["rounds"]] == [request_id]
    raw = httpx.get(f"{place.url}{shown['certificate_url']}").content
    checked = get(place, f"/api/certificates/{request_id}/summary")
    assert (checked["holds"], checked["fault"], checked["bytes"]) == (True, None, len(raw))
    assert [one["request_id"] for one in get(place, "/api/certificates")["items"]] == [request_id]


def test_answers_that_differ_lie_apart_and_nobody_wins(place) -> None:
    asked = ask(place, "disagree please")
    assert (asked["answer"], asked["dicast"]["outcome"]) == (None, "undetermined")
    shown = get(place, f"/api/rounds/{asked['request_id']}")
    assert shown["winner"] is None
    apart = [one["distance"] for one in shown["answers"]]
    assert sorted(apart)[0] == 0
    assert min(sorted(apart)[1:]) > 130
    assert all(one["x"] ** 2 + one["y"] ** 2 <= (one["distance"] + 1) ** 2 for one in shown["answers"])
    assert 0 < shown["layout"]["shown"] <= 1


def test_answers_that_are_compared_by_equality_have_no_place_among_distances(place) -> None:
    asked = ask(place, "echo 法国的首都是巴黎。")
    shown = get(place, f"/api/rounds/{asked['request_id']}")
    assert shown["round"]["outcome"] == "accepted"
    places = [(one["x"], one["y"], one["distance"], one["in_ball"]) for one in shown["answers"]]
    assert places == [(None, None, None, True)] * 3


def test_rounds_come_in_pages(place) -> None:
    asked = [ask(place, f"echo {number}")["request_id"] for number in range(3)]
    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        page = get(place, "/api/rounds", limit=1, cursor=cursor)
        seen += [one["request_id"] for one in page["items"]]
        cursor = page["next_cursor"]
    assert (sorted(seen), len(seen)) == (sorted(asked), 3)


def test_a_round_is_seen_while_it_runs_and_after_it_was_cancelled(place) -> None:
    opened, cancelled = place.next_open(), place.next_cancelled()
    body = {"prompt": "hold on", "stream": True}
    with httpx.stream("POST", f"{place.url}/api/ask", json=body, timeout=60) as stream:
        lines = stream.iter_lines()
        request_id = opened().request_id
        first = next(line for line in lines if line.startswith("data: "))
        assert json.loads(first[6:])["type"] == "round_opened"
        shown = get(place, f"/api/rounds/{request_id}")
        assert (shown["round"]["state"], shown["round"]["step"]) == ("open", "collecting")
        assert (shown["ball"], shown["answers"], len(shown["panel"]["members"])) == (None, [], 3)
    cancelled()
    (listed,) = get(place, "/api/rounds", state="ended")["items"]
    assert (listed["request_id"], listed["reason"]) == (request_id, "cancelled")


def test_a_stream_tells_the_round_and_then_the_answer(place) -> None:
    body = {"prompt": "hello", "stream": True, "temperature": 0.0}
    text = httpx.post(f"{place.url}/api/ask", json=body, timeout=60).text
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    names = [one["type"] for one in events]
    assert (names[0], names[-1]) == ("round_opened", "answer")
    assert {"member_progress", "round_progress", "round_decided"} <= set(names)
    assert events[-1]["data"]["answer"] == SENTENCE


def test_nodes_and_what_was_seen_of_them(place) -> None:
    ask(place)
    nodes = get(place, "/api/nodes")["items"]
    assert [one["node"]["is_self"] for one in nodes] == [True, False, False, False]
    assert [one["node"]["agreed"] for one in nodes[1:]] == [1, 1, 1]
    one = nodes[1]
    assert get(place, f"/api/nodes/{one['node']['node_id']}")["npub"] == one["npub"]
    assert httpx.get(f"{place.url}/api/nodes/{'0' * 64}").json()["error"]["code"] == "node_missing"
    peers = get(place, "/api/peers")["items"]
    assert [peer["id"] for peer in peers] == [node["node"]["node_id"] for node in nodes]
    status = get(place, "/api/status")
    assert status["npub"] == nodes[0]["npub"]
    assert status["gateway"]["needs_key"] is False
    (kinds,) = status["node"]["packets"].values()
    assert kinds["commit"] == [3, 0]
    assert kinds["request"][1] >= 1


def test_frames_are_explained(place) -> None:
    presets = get(place, "/api/presets")["items"]
    assert [(one["name"], one["is_default"]) for one in presets][:2] == [("story", True), ("default", False)]
    report = get(place, "/api/frame", preset="default", seats=9, quorum=7, sec_percentage=0.66)
    assert (report["need"], report["problem"]) == (6, None)
    chances = [one["false_accept"] for one in report["rates"]]
    assert chances == sorted(chances)
    problem = get(place, "/api/frame", seats=3, quorum=9)["problem"]
    assert problem["code"] == "frame_quorum"
    assert get(place, "/api/frame", sec_percentage=0)["problem"]["code"] == "frame_percentage"


def test_settings_logs_and_session(place) -> None:
    settings = {one["key"]: one["value"] for one in get(place, "/api/settings")["items"]}
    assert settings["gateway.ask.preset"] == "story"
    assert settings["network"] == "main"
    assert get(place, "/api/logs")["items"] == []
    assert get(place, "/api/session") == {"scopes": ["infer", "read"], "needs_key": False, "key": None}


def test_asking_for_the_head_of_a_stream_ends(loopback) -> None:
    assert httpx.head(f"{loopback.url}/api/events").headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/rounds?limit=0", 400, "invalid_request"),
        ("/api/rounds?limit=x", 400, "invalid_request"),
        ("/api/rounds?strange=1", 400, "invalid_request"),
        ("/api/rounds?limit=1&limit=2", 400, "invalid_request"),
        ("/api/rounds?cursor=%00", 400, "invalid_request"),
        ("/api/rounds?state=strange", 400, "invalid_request"),
        (f"/api/rounds/{'0' * 64}", 404, "round_missing"),
        ("/api/rounds/strange", 404, "round_missing"),
        (f"/api/certificates/{'0' * 64}/summary", 404, "certificate_missing"),
        ("/api/search", 400, "invalid_request"),
        ("/api/frame?preset=strange", 400, "invalid_request"),
        ("/api/export/rounds?format=xml", 400, "invalid_request"),
        ("/api/events?types=strange", 400, "invalid_request"),
        ("/api/keys", 403, "scope_missing"),
        ("/api/nothing", 404, "not_found"),
        ("/assets/nothing.js", 404, "not_found"),
        ("/assets/..%2f..%2fversion.py", 404, "not_found"),
    ],
)
def test_bad_input_is_refused_with_a_stable_code(loopback, path: str, status: int, code: str) -> None:
    answer = httpx.get(loopback.url + path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_json"),
        (b"[]", "invalid_request"),
        (b'{"prompt": 1}', "invalid_request"),
        (b'{"prompt": ""}', "invalid_request"),
        (b'{"prompt": "x", "strange": 1}', "invalid_request"),
        (b'{"prompt": "x", "frame": {"quorum": 0}}', "invalid_request"),
        (b'{"prompt": "x", "frame": {"quorum": 200}}', "impossible_frame"),
        (b'{"prompt": "x", "frame": {"models": ["nobody-has-it"]}}', "model_not_found"),
        (b'{"prompt": "x", "max_tokens": 0}', "invalid_request"),
    ],
)
def test_bad_questions_are_refused(loopback, body: bytes, code: str) -> None:
    for path in ("/api/ask", "/api/plan"):
        answer = httpx.post(loopback.url + path, content=body, headers={"content-type": "application/json"})
        assert answer.json()["error"]["code"] == code


def test_keys_are_made_and_revoked_by_an_admin(public_place) -> None:
    url = public_place.url
    admin = {"authorization": f"Bearer {public_place.key(Scope.ADMIN, Scope.READ)}"}
    wanted = {"name": "robot", "scopes": ["read"], "rounds_per_day": 3}
    made = httpx.post(f"{url}/api/keys", json=wanted, headers=admin)
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    key, secret = made.json()["key"], made.json()["secret"]
    assert (key["scopes"], key["rounds_per_day"], key["tokens_per_day"]) == (["read"], 3, None)
    robot = {"x-api-key": secret}
    assert httpx.get(f"{url}/api/session", headers=robot).json()["key"] == key
    assert httpx.get(f"{url}/api/keys", headers=robot).json()["error"]["code"] == "scope_missing"
    assert key in httpx.get(f"{url}/api/keys", headers=admin).json()["items"]
    assert secret not in httpx.get(f"{url}/api/keys", headers=admin).text
    assert httpx.delete(f"{url}/api/keys/{key['id']}", headers=admin).json()["items"] == [key]
    assert httpx.get(f"{url}/api/session", headers=robot).status_code == 401
    gone = httpx.delete(f"{url}/api/keys/{key['id']}", headers=admin)
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "key_missing")


def test_ten_thousand_keys_are_listed_and_none_slows_the_others(tmp_path) -> None:
    keys, ledger = KeyFile(tmp_path), Ledger(tmp_path)
    assert {file.name: file.stat().st_mode & 0o077 for file in tmp_path.glob("gateway-usage*")} == {
        "gateway-usage.sqlite": 0,
        "gateway-usage.sqlite-wal": 0,
        "gateway-usage.sqlite-shm": 0,
    }
    made = keys.create("first", (), Limits(600, 10, None), 0)
    others = [replace(made.record, id=f"{n:08x}", digest=f"{n:064x}") for n in range(KEYS_MAX - 1)]
    keys._write((made.record, *others))
    assert keys.find(made.secret) == made.record
    began = time.thread_time()
    for _ in range(200):
        assert keys.find(made.secret) == made.record
        ledger.check(made.record)
    assert time.thread_time() - began < 1
    for record in others[:100]:
        with ledger.spending(record, 5) as bill:
            bill.pay(2, 9)
    with ledger.spending(made.record, 5) as bill:
        bill.pay(1, 11)
    assert ledger.today_of_all() == {made.record.id: (1, 11), **{one.id: (2, 9) for one in others[:100]}}
    with pytest.raises(GatewayError, match="spend_limit"):
        ledger.check(made.record)
    ledger.close()
    again = Ledger(tmp_path)
    assert again.today(made.record.id) == (1, 11)
    again.close()


def test_what_is_open_counts_as_spent_and_a_new_day_begins_at_midnight(tmp_path) -> None:
    now = [DAY_S * 100 + 7.0]
    ledger = Ledger(tmp_path, lambda: now[0])
    record = KeyFile(tmp_path).create("thrifty", (), Limits(600, 100, None), 0).record
    with ledger.spending(record, 100) as bill:
        with pytest.raises(GatewayError) as caught:
            ledger.check(record)
        assert (caught.value.code, caught.value.retry_after_s) == ("spend_limit", DAY_S - 7)
        bill.pay(1, 99)
    ledger.check(record)
    with ledger.spending(record, 1) as bill:
        bill.pay(1, 1)
    with pytest.raises(GatewayError):
        ledger.check(record)
    now[0] += DAY_S - 7
    ledger.check(record)
    assert [(one.rounds, one.tokens) for one in ledger.spent(2)] == [(2, 100)]
    ledger.close()


def test_what_opens_no_round_is_not_counted_as_one(tmp_path) -> None:
    ledger = Ledger(tmp_path)
    record = KeyFile(tmp_path).create("embedder", (), Limits(600, 20, 1), 0).record
    with ledger.spending(record, 5) as bill:
        bill.pay(1, 5)
    with ledger.spending(record, 0, rounds=0) as bill:
        bill.pay(0, 7)
    with pytest.raises(ValueError, match="the embedder gave up"), ledger.spending(record, 0, rounds=0):
        raise ValueError("the embedder gave up")
    assert ledger.today(record.id) == (1, 12)
    with pytest.raises(GatewayError, match="1 rounds a day"), ledger.spending(record, 5):
        pass
    with ledger.spending(record, 0, rounds=0) as bill:
        bill.pay(0, 8)
    with pytest.raises(GatewayError, match="20 tokens a day"), ledger.spending(record, 0, rounds=0):
        pass
    ledger.close()


def test_what_a_key_may_spend_is_counted_over_all_dialects(public_place) -> None:
    url = public_place.url
    made = public_place.keys.create("thrifty", (Scope.INFER, Scope.READ), Limits(600, None, 2), 0)
    headers = {"x-api-key": made.secret}
    chat = {"model": "any", "messages": [{"role": "user", "content": "hello"}], "temperature": 0}
    assert httpx.post(f"{url}/v1/chat/completions", json=chat, headers=headers, timeout=60).status_code == 200
    assert (
        httpx.post(f"{url}/api/ask", json={"prompt": "hello"}, headers=headers, timeout=60).status_code == 200
    )
    for path, body in (("/v1/messages", {**chat, "max_tokens": 9}), ("/api/ask", {"prompt": "hello"})):
        refused = httpx.post(url + path, json=body, headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "spend_limit")
        assert 0 < int(refused.headers["retry-after"]) <= 86_400
    (spent,) = httpx.get(f"{url}/api/usage", headers=headers).json()["items"]
    assert (spent["key"], spent["name"], spent["rounds"]) == (made.record.id, "thrifty", 2)
    lines = httpx.get(f"{url}/api/export/usage", headers=headers).text.splitlines()
    assert [json.loads(line) for line in lines] == [spent]


def test_exports_are_lines_or_cells(place) -> None:
    asked = ask(place, 'echo =cmd|"/c calc"!A1')
    answer = httpx.get(f"{place.url}/api/export/rounds")
    assert answer.headers["content-disposition"] == 'attachment; filename="dicast-rounds.jsonl"'
    (line,) = answer.text.splitlines()
    assert json.loads(line)["request_id"] == asked["request_id"]
    rows = list(csv.DictReader(io.StringIO(httpx.get(f"{place.url}/api/export/rounds?format=csv").text)))
    assert [row["answer"] for row in rows] == ['\'=cmd|"/c calc"!A1']
    assert httpx.get(f"{place.url}/api/export/logs?format=csv").text == ""


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        (True, "true"),
        (-1, "-1"),
        ("-1+1", "'-1+1"),
        ("@x", "'@x"),
        ("a=b", "a=b"),
        (["="], '["="]'),
    ],
)
def test_no_cell_is_run_by_a_spreadsheet(value: Any, cell: str) -> None:
    assert csv_cell(value) == cell


def test_who_reads_along_and_leaves_before_the_verdict_pays_for_what_was_read(public_place) -> None:
    made = public_place.keys.create("hasty", (Scope.INFER, Scope.READ), Limits(600, 5, None), 0)
    headers = {"x-api-key": made.secret}
    chat = {"model": "any", "messages": [{"role": "user", "content": "talk"}], "stream": True}
    url = f"{public_place.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=chat, headers=headers, timeout=60) as response:
        told = ""
        for line in response.iter_lines():
            if line.startswith("data: "):
                told += json.loads(line[6:])["choices"][0]["delta"].get("content", "")
            if told == SENTENCE:
                break
        assert told == SENTENCE
    give_up_s = time.monotonic() + 60
    while not (spent := httpx.get(f"{public_place.url}/api/usage", headers=headers).json()["items"])[0][
        "tokens"
    ]:
        assert time.monotonic() < give_up_s, "nothing was counted"
    assert (spent[0]["rounds"], spent[0]["tokens"]) == (1, 12)  # 47 bytes: the question and the sentence
    refused = httpx.post(url, json=chat, headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "spend_limit")
