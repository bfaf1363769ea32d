"""A question is streamed by processes; the one that streams is killed, and another goes on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dicast.client import AsyncClient
from dicast.daemon.provisional import Piece, Provisional

WORDS = ["The", "capital", "city", "of", "France", "is", "called", "Paris."]
EARLY = " ".join(WORDS[:4])
ANSWER = " ".join(WORDS)


class SlowModel:
    """An OpenAI-compatible server: it says four words of the answer, and the rest when it may."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        model = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *words: object) -> None:
                pass

            def do_GET(self) -> None:
                self._begin("application/json")
                self.wfile.write(json.dumps({"data": [{"id": "slow", "max_model_len": 4096}]}).encode())

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                self._begin("text/event-stream")
                for number, word in enumerate(WORDS):
                    if number == 4:
                        model.may_go_on.wait()
                    self._say(word if number == 0 else f" {word}", None)
                self._say("", "stop")
                self.wfile.write(b"data: [DONE]\n\n")

            def _begin(self, kind: str) -> None:
                self.send_response(200)
                self.send_header("content-type", kind)
                self.send_header("connection", "close")
                self.end_headers()

            def _say(self, text: str, ending: str | None) -> None:
                choice = {"index": 0, "delta": {"content": text}, "finish_reason": ending}
                chunk = json.dumps({"model": "slow", "choices": [choice]})
                self.wfile.write(f"data: {chunk}\n\n".encode())
                self.wfile.flush()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"


@pytest.fixture
def model() -> Iterator[SlowModel]:
    made = SlowModel()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.may_go_on.set()
    made.server.shutdown()
    thread.join()
    made.server.server_close()


class Reader:
    """What somebody who reads along has."""

    def __init__(self) -> None:
        self.provisional = Provisional()
        self.pieces: list[Piece] = []
        self._news = asyncio.Event()

    def hear(self, event) -> None:
        piece = self.provisional.hear(event)
        if piece is not None:
            self.pieces.append(piece)
        self._news.set()

    async def until(self, text: str) -> None:
        async with asyncio.timeout(60):
            while self.provisional.text != text:
                self._news.clear()
                await self._news.wait()


async def kill_the_one_that_streams(machine, model, nodes) -> tuple[Reader, float, str | None]:
    keys = {(await AsyncClient(machine.folder / name).status()).node_id: one for name, one in nodes.items()}
    reader = Reader()
    frame = {"seats": 3, "quorum": 2, "sec_percentage": 0.6, "models": ("slow",), "temperature": 0.0}
    client = AsyncClient(machine.folder / "asker")
    asking = asyncio.create_task(
        client.ask(
            "What is the capital of France?", on_event=reader.hear, stream=True, timeout_s=20.0, **frame
        )
    )
    await reader.until(EARLY)
    os.killpg(keys[reader.provisional.member].pid, signal.SIGKILL)
    killed = time.monotonic()
    model.may_go_on.set()
    await reader.until(ANSWER)
    took = time.monotonic() - killed
    return reader, took, (await asking).answer


def test_when_its_process_is_killed_another_goes_on(machine, model) -> None:
    machine.start_relay()
    config = machine.folder / "slow.toml"
    config.write_text(f'[engines.openai]\nbase_url = "{model.url}"\n')
    nodes = {name: machine.start_node(name, "--config", str(config)) for name in ("n1", "n2", "n3")}
    machine.start_node("asker")
    reader, took, answer = asyncio.run(kill_the_one_that_streams(machine, model, nodes))
    assert "".join(piece.text for piece in reader.pieces) == ANSWER
    assert [piece for piece in reader.pieces if piece.restarted] == []
    assert (took < 15, answer) == (True, ANSWER), took
