"""Prompts that are too long for a packet, between real processes: asked, fetched by hash, verified."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import openai
import pytest

LONG = "Which words are these? " + "Zürich liegt am See. " * 10_000
SURE = ("--quorum", "3", "--temperature", "0", "--attempts", "1")
SERVING = '\n[transports.websocket]\nlisten = "127.0.0.1:0"\n'
CONFIG = '[engines.tiny]\nenabled = false\n\n[engines.openai]\nbase_url = "{url}/v1"\n'


class Reader(BaseHTTPRequestHandler):
    """A model that says how many letters it was given, and which."""

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        self._send("application/json", json.dumps({"data": [{"id": "reader-1"}]}).encode())

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = asked["messages"][-1]["content"]
        said = f"{len(text)} letters came, named {hashlib.sha256(text.encode()).hexdigest()[:8]}."
        chunks = (
            {"model": "reader-1", "choices": [{"index": 0, "delta": {"content": said}}]},
            {"model": "reader-1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        )
        body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
        self._send("text/event-stream", body.encode())

    def _send(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def model() -> Iterator[str]:
    """The address of such a model."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Reader)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def network(machine, model):
    """A relay and three nodes; the first of them gives blobs to others."""
    machine.start_relay()
    for name, more in (("n1", SERVING), ("n2", ""), ("n3", "")):
        config = machine.folder / f"{name}.toml"
        config.write_text(CONFIG.format(url=model) + more)
        machine.start_node(name, "--config", str(config))
    return machine


def expected(prompt: str) -> str:
    return f"{len(prompt)} letters came, named {hashlib.sha256(prompt.encode()).hexdigest()[:8]}."


def kept(folder: Path) -> list[Path]:
    """Attached questions that lie in a node's store."""
    return [one for one in (folder / "blobs").glob("*") if len(one.name) == 64]


@pytest.mark.parametrize("flag", ["--encrypted", "--plain"])
def test_a_long_prompt_is_asked_and_its_certificate_holds(network, flag) -> None:
    """By a command that is a node for as long as it asks, and gives its prompt to the three that answer."""
    asker = network.folder / "asker.toml"
    asker.write_text(SERVING)
    certificate = network.folder / "certificate.json"
    words = ("--relay", network.relay, "--state-dir", str(network.folder / "asker"), "--config", str(asker))
    ran = network.run("ask", "-", *SURE, flag, "--certificate", str(certificate), *words, stdin=LONG)
    assert ran.code == 0, ran.err
    assert ran.out.strip() == expected(LONG.strip("\n"))
    verified = network.run("verify", str(certificate))
    assert verified.code == 0, verified.err
    assert "valid: these inputs give this output" in verified.out
    sheet = json.loads(certificate.read_text())
    assert ("Zürich" in sheet["attached"]) is (flag == "--plain")
    for name in ("n1", "n2", "n3"):
        [blob] = kept(network.folder / name)
        assert blob.read_bytes() == sheet["attached"].encode()
    sheet["attached"] = sheet["attached"][:-1]
    certificate.write_text(json.dumps(sheet, sort_keys=True, ensure_ascii=False, separators=(",", ":")))
    refused = network.run("verify", str(certificate))
    assert (refused.code, "attachment_wrong" in refused.err) == (5, True)


def test_the_openai_client_and_a_batch_named_by_its_hash_take_long_prompts(network) -> None:
    folder = ("--state-dir", str(network.folder / "n1"))
    gateway = network.start("gateway", *folder, "--port", "0", "--preset", "story", said="listening on")
    network.wait_for(gateway, "\n")
    url = network.said[gateway.pid].partition("listening on ")[2].split()[0]
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        asked = [{"role": "system", "content": "Count."}, {"role": "user", "content": LONG}]
        answer = client.chat.completions.create(model="reader-1", messages=asked, temperature=0)
        assert answer.choices[0].message.content == expected(LONG)
        with pytest.raises(openai.BadRequestError) as refused:
            client.responses.create(model="reader-1", input="x" * (1024 * 1024 + 1))
        assert refused.value.code == "context_length_exceeded"
        assert str(1024 * 1024) in refused.value.message
        sha256 = added(network, "long.jsonl", LONG)
        batch = client.batches.create(
            input_file_id=f"sha256:{sha256}", endpoint="/v1/chat/completions", completion_window="24h"
        )
        size = (network.folder / "long.jsonl").stat().st_size
        assert client.files.retrieve(batch.input_file_id).bytes == size
        with pytest.raises(openai.NotFoundError, match="could not be fetched"):
            client.batches.create(
                input_file_id=f"sha256:{'0' * 64}", endpoint="/v1/chat/completions", completion_window="24h"
            )
    ran = network.run("batch", f"sha256:{sha256}", "--preset", "story", *folder)
    assert ran.code == 0, ran.err
    assert expected(LONG) in (network.folder / f"{sha256[:16]}.results.jsonl").read_text()


def test_a_batch_is_fetched_by_its_hash(network) -> None:
    sha256 = added(network, "short.jsonl", "How many?")
    [address] = network.json("status", "--state-dir", str(network.folder / "n1"))["addresses"]["websocket"]
    elsewhere = network.folder / "elsewhere.toml"
    elsewhere.write_text(f'[transports.websocket]\npeers = ["{address}"]\n')
    named = ("--state-dir", str(network.folder / "n2"), "--config", str(elsewhere))
    ran = network.run("batch", f"sha256:{sha256}", "--output", "o.jsonl", "--preset", "story", *named)
    assert ran.code == 0, ran.err
    assert expected("How many?") in (network.folder / "o.jsonl").read_text()
    missing = network.run("batch", f"sha256:{'0' * 64}", *named)
    assert (missing.code, "blob_failed" in missing.err) == (1, True)


def test_a_blob_comes_from_a_node_that_the_one_here_has_met(network) -> None:
    sha256 = added(network, "short.jsonl", "How many?")
    here = ("--state-dir", str(network.folder / "n3"))
    end_s = time.monotonic() + 120
    while not any(peer["addresses"] for peer in network.json("peers", *here)):
        assert time.monotonic() < end_s, "the node that serves never announced where"
    got = network.run("blob", "get", sha256, "--output", "got.jsonl", *here)
    assert got.code == 0, got.err
    assert (network.folder / "got.jsonl").read_bytes() == (network.folder / "short.jsonl").read_bytes()


def added(network, name: str, prompt: str) -> str:
    """A batch of one line as a blob of the first node: its SHA-256."""
    body = {"model": "reader-1", "messages": [{"role": "user", "content": prompt}], "temperature": 0}
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    (network.folder / name).write_text(json.dumps(line) + "\n")
    return network.run("blob", "add", name, "--state-dir", str(network.folder / "n1")).out.strip()


def test_without_a_place_to_give_it_from_the_asker_is_told_why_and_what_to_do(network) -> None:
    ran = network.run(
        "ask", "-", *SURE, "--timeout", "3", "--relay", network.relay,
        "--state-dir", str(network.folder / "asker"), stdin=LONG,
    )  # fmt: skip
    assert ran.code == 3, ran.err
    assert "transports.websocket.listen" in ran.err
    assert "question_missing" in ran.err
