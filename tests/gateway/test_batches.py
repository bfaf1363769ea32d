"""Files and batches, through the official client: uploaded, answered, cancelled, gone on with."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import httpx
import openai
import pytest

SENTENCE = "The capital city of France is called Paris."
FRAME = {"quorum": 1}
MAGNET = f"magnet:?xt=urn:btmh:1220{'0' * 64}&dn={'0' * 64}&x.pe=169.254.169.254:80"
"""Names a blob, and a host to knock at."""


@pytest.fixture
def client(place):
    with openai.OpenAI(base_url=f"{place.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def line(custom_id: str, prompt: str, **more: Any) -> dict[str, Any]:
    body = {"model": "any", "messages": [{"role": "user", "content": prompt}], "dicast": FRAME, **more}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}


def jsonl(*lines: Any) -> bytes:
    return b"".join((one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n" for one in lines)


def begun(client: openai.OpenAI, content: bytes, endpoint: Any = "/v1/chat/completions") -> Any:
    file = client.files.create(file=("batch.jsonl", content), purpose="batch")
    return client.batches.create(
        input_file_id=file.id, endpoint=endpoint, completion_window="24h", metadata={"for": "test"}
    )


def ended(client: openai.OpenAI, batch_id: str) -> Any:
    """Asked again and again, as clients do: batches have no events."""
    until = time.monotonic() + 120
    done = 0
    while time.monotonic() < until:
        batch = client.batches.retrieve(batch_id)
        assert batch.request_counts.completed >= done
        done = batch.request_counts.completed
        if batch.status in {"completed", "failed", "cancelled", "expired"}:
            return batch
        threading.Event().wait(0.1)
    raise AssertionError(batch)


def read(client: openai.OpenAI, file_id: str) -> list[dict[str, Any]]:
    return [json.loads(one) for one in client.files.content(file_id).text.splitlines()]


def test_a_batch_is_answered_line_by_line(client):
    good = [line(f"q{number}", f"echo answer number {number}") for number in range(40)]
    batch = ended(client, begun(client, jsonl(*good)).id)
    assert (batch.status, batch.error_file_id, batch.metadata) == ("completed", None, {"for": "test"})
    assert batch.request_counts.model_dump() == {"total": 40, "completed": 40, "failed": 0}
    answers = read(client, batch.output_file_id)
    texts = [one["response"]["body"]["choices"][0]["message"]["content"] for one in answers]
    assert [one["custom_id"] for one in answers] == [f"q{number}" for number in range(40)]
    assert texts == [f"answer number {number}" for number in range(40)]
    assert {one["response"]["status_code"] for one in answers} == {200}
    assert len({one["dicast"]["nodes"][0]["node"] for one in answers}) == 3
    assert all(one["dicast"]["nodes"][0]["room"] > 0 for one in answers)


def test_bad_lines_are_told_one_by_one(client):
    bad = (
        b"no json",
        b'{"custom_id": "half"}',
        line("elsewhere", "hello") | {"url": "/v1/completions"},
        line("streamed", "hello", stream=True),
        line("misspelt", "hello", mesages=[]),
        line("long", "hello " * 200_000),
        line("torn", "disagree", dicast={"quorum": 3}),
    )
    batch = ended(client, begun(client, jsonl(line("good", "hello"), *bad)).id)
    assert batch.request_counts.model_dump() == {"total": 8, "completed": 1, "failed": 7}
    assert [one["custom_id"] for one in read(client, batch.output_file_id)] == ["good"]
    told = [(one["custom_id"], one["error"]["code"]) for one in read(client, batch.error_file_id)]
    assert told == [
        (None, "invalid_json"),
        ("half", "invalid_request"),
        ("elsewhere", "invalid_request"),
        ("streamed", "unsupported"),
        ("misspelt", "invalid_request"),
        ("long", "context_length_exceeded"),
        ("torn", "undetermined"),
    ]


def test_a_cancelled_batch_keeps_what_is_answered(client):
    lines = [line(f"h{number}", "hold it") for number in range(4)] + [line("a", "hello"), line("b", "hello")]
    batch = begun(client, jsonl(*lines))
    until = time.monotonic() + 120
    while client.batches.retrieve(batch.id).request_counts.completed < 2:
        assert time.monotonic() < until
        threading.Event().wait(0.1)
    assert client.batches.cancel(batch.id).status == "cancelling"
    batch = ended(client, batch.id)
    assert batch.status == "cancelled"
    assert [one["custom_id"] for one in read(client, batch.output_file_id)] == ["a", "b"]
    left = [(one["custom_id"], one["error"]["code"]) for one in read(client, batch.error_file_id)]
    assert left == [(f"h{number}", "batch_cancelled") for number in range(4)]
    with pytest.raises(openai.BadRequestError, match="cancelled already"):
        client.batches.cancel(batch.id)


def test_an_empty_file_fails_with_a_reason(client):
    batch = ended(client, begun(client, b"\n\n").id)
    assert (batch.status, [one.code for one in batch.errors.data]) == ("failed", ["batch_empty"])


def test_completions_and_larger_frames(client):
    body = {"model": "any", "prompt": "hello", "dicast": {"quorum": 3}}
    asked = {"custom_id": "c", "method": "POST", "url": "/v1/completions", "body": body}
    batch = ended(client, begun(client, jsonl(asked), "/v1/completions").id)
    [answer] = read(client, batch.output_file_id)
    assert answer["response"]["body"]["choices"][0]["text"] == SENTENCE
    assert answer["response"]["body"]["dicast"]["n"] == 3
    assert len(answer["dicast"]["nodes"]) == 3


def test_files_are_listed_read_and_deleted(client):
    content = jsonl(line("a", "hello"))
    first = client.files.create(file=("one.jsonl", content), purpose="batch")
    second = client.files.create(file=("two.jsonl", content), purpose="batch")
    assert (first.bytes, first.filename, first.purpose) == (len(content), "one.jsonl", "batch")
    assert [file.id for file in client.files.list()][:2] == [second.id, first.id]
    assert client.files.list(limit=1).has_more
    assert client.files.content(first.id).content == content
    assert client.files.retrieve(first.id) == first
    assert client.files.delete(first.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(first.id)


def test_what_makes_no_sense_is_refused(client, place, caplog):
    file = client.files.create(file=("one.jsonl", jsonl(line("a", "hello"))), purpose="batch")
    with pytest.raises(openai.BadRequestError):
        client.files.create(file=b"x", purpose="fine-tune")
    for wrong, code in (
        ({"endpoint": "/v1/embedding"}, "unsupported"),
        ({"completion_window": "1h"}, "invalid_request"),
        ({"metadata": {"a": 1}}, "invalid_request"),
        ({"input_file_id": "file-none"}, "file_missing"),
        ({"input_file_id": f"sha256:{MAGNET}"}, "invalid_request"),
        ({"more": 1}, "invalid_request"),
    ):
        body = {"input_file_id": file.id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        answer = httpx.post(f"{place.url}/v1/batches", json={**body, **wrong})
        assert (answer.json()["error"]["code"], answer.status_code < 500) == (code, True), wrong
    for body, kind in ((b"junk", "multipart/form-data; boundary=x"), (b"junk", "multipart/form-data")):
        answer = httpx.post(f"{place.url}/v1/files", content=body, headers={"content-type": kind})
        assert (answer.status_code, ".." in answer.text) == (400, False), answer.text
    assert [one.message for one in caplog.records if one.name.startswith("python_multipart")] == []
    with place.connect() as connection:
        head = (
            "POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        )
        connection.sendall(f"{head}Content-Length: {10**10}\r\n\r\n".encode())
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")
    for limit in ("0", "000000001" + "0" * 9, "1" * 5_000, "000000001" + "1" * 5_000):
        assert httpx.get(f"{place.url}/v1/batches", params={"limit": limit}).status_code == 400
    assert httpx.post(f"{place.url}/v1/files", content=b"{}").status_code == 415


def test_a_key_sees_its_own_files_and_batches_only(place):
    from dicast.gateway.keys import Scope

    mine = openai.OpenAI(base_url=f"{place.url}/v1", api_key=place.key(Scope.INFER, name="mine"))
    other = openai.OpenAI(base_url=f"{place.url}/v1", api_key=place.key(Scope.INFER, name="other"))
    with mine, other:
        batch = ended(mine, begun(mine, jsonl(line("a", "hello"))).id)
        assert batch.status == "completed"
        with pytest.raises(openai.NotFoundError):
            other.batches.retrieve(batch.id)
        with pytest.raises(openai.NotFoundError):
            other.files.content(batch.output_file_id)
        assert [one.id for one in mine.batches.list()] == [batch.id]
        assert list(other.batches.list()) == []
