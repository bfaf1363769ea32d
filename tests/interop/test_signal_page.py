"""The page in Chromium: three pages, two signallers, one killed; relays, a late joiner, a free-rider."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from free_ports import free_port

ROOT = Path(__file__).parents[2]
PAGE_SECONDS_MAX = 400
CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., tuple[str, int]]]:
    """Signaller processes: address and process id."""
    running: list[subprocess.Popen[str]] = []

    def begin(*joins: str) -> tuple[str, int]:
        words = ["signal", "--listen", f"127.0.0.1:{free_port()}"]
        words += [word for url in joins for word in ("--join", url)]
        process = subprocess.Popen(
            [sys.executable, "-m", "dicast.cli", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "DICAST_STATE_DIR": str(tmp_path)},
        )
        running.append(process)
        assert process.stdout is not None
        return process.stdout.readline().split()[-1].replace("ws", "http", 1), process.pid

    yield begin
    for process in running:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_pages_at_two_signallers_outlive_one_of_them(start: Callable[..., tuple[str, int]]) -> None:
    assert CHROMIUM.exists(), "chromium is not installed: make interop"
    first, pid = start()
    second, _ = start(first)
    script = ROOT / "tests/interop/signal_page.mjs"
    ran = subprocess.run(
        ["node", str(script), str(ROOT), first, second, str(pid), ""],
        capture_output=True,
        text=True,
        check=False,
        timeout=PAGE_SECONDS_MAX,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    seen = json.loads(ran.stdout)
    assert seen["titles"] == [["one", "three", "two"]] * 4
    assert "no operator" in seen["note"].lower()
    assert max(seen["relayed"]) > 0
    assert 0 in seen["relayed"], "somebody is nobody's: it hears the signaller"
    assert (seen["dropped"], seen["foreign"], seen["complaints"]) == (True, [], [])
