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
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from waiting import WAIT_SECONDS_MAX

COMMAND_SECONDS_MAX = 2 * WAIT_SECONDS_MAX


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
        end = time.monotonic() + COMMAND_SECONDS_MAX
        while said not in self.said[process.pid]:
            self._hear(process, said, end)

    def word_after(self, process: subprocess.Popen[bytes], said: str) -> str:
        """The word that follows, once its line is whole."""
        end = time.monotonic() + COMMAND_SECONDS_MAX
        while "\n" not in self.said[process.pid].partition(said)[2]:
            self._hear(process, said, end)
        return self.said[process.pid].partition(said)[2].split()[0]

    def _hear(self, process: subprocess.Popen[bytes], said: str, end: float) -> None:
        assert process.stdout is not None
        pipe = process.stdout.fileno()
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
            timeout=COMMAND_SECONDS_MAX,
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


@contextmanager
def machine_in(folder: Path) -> Iterator[Machine]:
    """A folder, and nothing running in it afterwards."""
    with tempfile.TemporaryDirectory(prefix="d-") as temporary:  # short: sockets lie in it
        made = Machine(folder, Path(temporary))
        try:
            yield made
        finally:
            made.stop()
