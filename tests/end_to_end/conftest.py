"""Real processes on loopback: a relay, nodes, and commands that talk to them."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

WAIT_S = 120.0


class Ran(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Machine:
    """Starts `dicast` processes, waits for what they say, and ends them all."""

    def __init__(self, folder: Path, temporary: Path) -> None:
        self.folder = folder
        self.temporary = temporary
        self.relay = ""
        self.said: dict[int, str] = {}
        self.processes: list[subprocess.Popen[bytes]] = []

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DICAST_")}
        own = {"XDG_CONFIG_HOME": str(self.folder / "config"), "HOME": str(self.folder)}
        return {
            **kept,
            **own,
            "TMPDIR": str(self.temporary),
            "DICAST_LAN": "false",
            "DICAST_DASHBOARD": "false",
        }

    def start(self, *words: str, said: str) -> subprocess.Popen[bytes]:
        """A `dicast` process, once it said this on standard output or standard error."""
        command = [sys.executable, "-m", "dicast.cli", *words]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.environment(),
            start_new_session=True,
            cwd=self.folder,
        )
        self.processes.append(process)
        self.said[process.pid] = ""
        self.wait_for(process, said)
        return process

    def wait_for(self, process: subprocess.Popen[bytes], said: str) -> None:
        """Until it has said this at any time since it started."""
        assert process.stdout is not None
        pipe = process.stdout.fileno()
        end = time.monotonic() + WAIT_S
        while said not in self.said[process.pid]:
            ready, _, _ = select.select([pipe], [], [], max(0.0, end - time.monotonic()))
            piece = os.read(pipe, 65_536) if ready else b""
            assert piece, f"ended or silent before {said!r}: {self.said[process.pid]}"
            self.said[process.pid] += piece.decode()

    def start_relay(self) -> None:
        ready = self.folder / "relay-address"
        self.start("relay", "--port", "0", "--ready-file", str(ready), said="listening on")
        self.relay = ready.read_text().strip()

    def start_node(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        folder = self.folder / name
        return self.start("up", "--state-dir", str(folder), "--relay", self.relay, *words, said=" ready ")

    def run(self, *words: str, stdin: str = "") -> Ran:
        """A command, to its end."""
        ran = subprocess.run(
            [sys.executable, "-m", "dicast.cli", *words],
            input=stdin,
            capture_output=True,
            text=True,
            env=self.environment(),
            timeout=WAIT_S,
            check=False,
            cwd=self.folder,
        )
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    def ask(self, *words: str) -> Ran:
        """Ask as a follower of its own."""
        return self.run("ask", *words, "--relay", self.relay, "--state-dir", str(self.folder / "asker"))

    def json(self, *words: str) -> object:
        ran = self.run(*words, "--json")
        assert ran.code == 0, ran
        return json.loads(ran.out)

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Tests in the background of a shell ignore Ctrl-C; what they start must not."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A folder, and nothing running in it afterwards."""
    with tempfile.TemporaryDirectory(prefix="d-") as temporary:  # short: sockets lie in it
        made = Machine(tmp_path, Path(temporary))
        try:
            yield made
        finally:
            made.stop()
