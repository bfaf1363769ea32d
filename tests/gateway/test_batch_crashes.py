"""Whatever is killed in the middle of a batch, and goes on: every line is answered once."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai

DICAST = (sys.executable, "-m", "dicast.cli")
LINES = 120


def until(done: Callable[[], Any], what: str) -> Any:
    """The first true value; processes that are killed tell nothing by themselves."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        value = done()
        if value:
            return value
        threading.Event().wait(0.02)
    raise AssertionError(what)


@contextmanager
def started(*words: str) -> Iterator[subprocess.Popen[str]]:
    """A process, killed by its id at the end if it still lives."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DICAST_")}
    process = subprocess.Popen(
        [*DICAST, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True) if path.exists() else []


def prompts(folder: Path) -> Path:
    path = folder / "prompts.jsonl"
    path.write_text("".join(json.dumps({"id": n, "prompt": f"echo answer {n}"}) + "\n" for n in range(LINES)))
    return path


def check(output: Path) -> None:
    answers = [json.loads(line) for line in lines_of(output)]
    assert sorted(answer["id"] for answer in answers) == list(range(LINES))
    assert {answer["answer"] == f"answer {answer['id']}" for answer in answers} == {True}
    assert all(answer["nodes"][0]["slots"] for answer in answers)


def test_the_command_is_killed_and_goes_on(gateless, tmp_path):
    path, output = prompts(tmp_path), tmp_path / "answers.jsonl"
    words = ("batch", str(path), "--output", str(output), "--quorum", "1", "--json")
    words = (*words, "--state-dir", str(gateless.state_dir))
    seen = 0
    for more in (15, 40):
        with started(*words) as process:
            until(lambda most=more: len(lines_of(output)) > most, "nothing is answered")
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert len(lines_of(output)) >= seen
        seen = len(lines_of(output))
        assert seen < LINES
    with output.open("ab") as file:
        file.write(b'{"id": 7, "ans')  # as a crash in the middle of a line leaves it
    with started(*words) as process:
        said, told = process.communicate(timeout=120)
    assert process.returncode == 0, told
    assert json.loads(said) == {"output": str(output), "lines": LINES, "answered": LINES, "failed": 0}
    assert "Going on: " in told
    check(output)
    with started(*words) as process:  # a batch that is over is not asked again
        assert json.loads(process.communicate(timeout=120)[0])["answered"] == LINES
    check(output)


def test_ctrl_c_keeps_what_is_answered(gateless, tmp_path):
    path, output = prompts(tmp_path), tmp_path / "answers.jsonl"
    words = ("batch", str(path), "--output", str(output), "--quorum", "1")
    words = (*words, "--state-dir", str(gateless.state_dir))
    with started(*words) as process:
        until(lambda: len(lines_of(output)) > 20, "nothing is answered")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert "the same command goes on" in process.stderr.read()
    with started(*words) as process:
        process.communicate(timeout=120)
        assert process.returncode == 0
    check(output)


def test_the_gateway_is_killed_and_goes_on(gateless):
    words = ("gateway", "--port", "0", "--state-dir", str(gateless.state_dir))
    body = {"model": "any", "dicast": {"quorum": 1}}
    content = "".join(
        json.dumps(
            {
                "custom_id": str(n),
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": {**body, "messages": [{"role": "user", "content": f"echo answer {n}"}]},
            }
        )
        + "\n"
        for n in range(LINES)
    )
    with started(*words) as process, client_of(process) as client:
        file = client.files.create(file=("b.jsonl", content.encode()), purpose="batch")
        batch = client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        until(lambda: client.batches.retrieve(batch.id).request_counts.completed > 15, "no progress")
        process.send_signal(signal.SIGKILL)
        process.wait()
    with started(*words) as process, client_of(process) as client:
        done = until(lambda: over(client, batch.id), "the batch does not end")
        assert done.request_counts.model_dump() == {"total": LINES, "completed": LINES, "failed": 0}
        answers = [json.loads(line) for line in client.files.content(done.output_file_id).text.splitlines()]
    texts = [answer["response"]["body"]["choices"][0]["message"]["content"] for answer in answers]
    assert texts == [f"answer {n}" for n in range(LINES)]


def test_a_round_whose_answer_nobody_wrote_down_is_not_asked_again(gateless, tmp_path):
    """As if the command had died between the verdict and the book."""
    path, output = prompts(tmp_path), tmp_path / "answers.jsonl"
    words = ("batch", str(path), "--output", str(output), "--quorum", "1", "--json")
    words = (*words, "--state-dir", str(gateless.state_dir))
    with started(*words) as process:
        process.communicate(timeout=120)
    before = {answer["id"]: answer for answer in map(json.loads, lines_of(output))}
    book = sqlite3.connect(gateless.state_dir / "batches" / "book.sqlite")
    with book:
        book.execute("UPDATE line SET ok = NULL, result = NULL WHERE number < 10")
        book.execute("UPDATE lease SET ended = '' WHERE number < 10")
        book.execute("UPDATE job SET done = done - 10")
    book.close()
    with started(*words) as process:
        process.communicate(timeout=120)
    after = {answer["id"]: answer for answer in map(json.loads, lines_of(output))}
    check_ids = [(after[n]["request_id"], after[n]["answer"], after[n]["model"]) for n in range(10)]
    assert check_ids == [
        (before[n]["request_id"], before[n]["answer"], before[n]["model"]) for n in range(10)
    ]


def test_the_asking_node_is_killed_and_comes_back(tmp_path):
    """A node of its own process, with the embedded model, that is asked alone."""
    path = tmp_path / "prompts.txt"
    path.write_text("".join(f"Say the number {n}\n" for n in range(40)))
    output, state = tmp_path / "answers.jsonl", tmp_path / "n"
    (tmp_path / "c.toml").write_text("[engines.tiny]\n")
    place = ("--state-dir", str(state), "--config", str(tmp_path / "c.toml"))
    node = ("up", *place, "--no-dashboard", "--no-lan")
    words = ("batch", str(path), "--output", str(output), "--quorum", "1", "--max-tokens", "8", *place)
    with started(*node) as first:
        ready(first)
        with started(*words) as process:
            until(lambda: len(lines_of(output)) > 3, "nothing is answered")
            first.send_signal(signal.SIGKILL)
            first.wait()
            with started(*node) as second:
                ready(second)
                _, told = process.communicate(timeout=120)
                assert process.returncode == 0, told
    answers = [json.loads(line) for line in lines_of(output)]
    assert sorted(answer["id"] for answer in answers) == list(range(1, 41))


def ready(process: subprocess.Popen[str]) -> None:
    for line in process.stderr:
        if " ready " in line:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return
    raise AssertionError("the node did not start")


@contextmanager
def client_of(process: subprocess.Popen[str]) -> Iterator[openai.OpenAI]:
    url = process.stdout.readline().removeprefix("listening on ").strip()
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


def over(client: openai.OpenAI, batch_id: str) -> Any:
    batch = client.batches.retrieve(batch_id)
    return batch if batch.status == "completed" else None
