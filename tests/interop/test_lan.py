"""Two machines on one cable with `dicast up` and nothing else, in network namespaces. Needs root."""

from __future__ import annotations

import os
import secrets
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

WAIT_S = 60.0


def run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


class Cable:
    """Two namespaces joined by a pair of virtual network devices, and the nodes in them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        mark = secrets.token_hex(3)
        self.names = [f"lan-{mark}-{side}" for side in "ab"]
        for name in self.names:
            run("ip", "netns", "add", name)
            stack.callback(run, "ip", "netns", "delete", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        one, other = self.names
        run("ip", "-n", one, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", other)
        for number, name in enumerate(self.names, 1):
            run("ip", "-n", name, "address", "add", f"192.168.77.{number}/24", "dev", "cable")
            run("ip", "-n", name, "link", "set", "cable", "up")

    def start(self, side: int, *words: str) -> subprocess.Popen[bytes]:
        home = self._folder / f"home-{side}-{len(words)}"
        home.mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DICAST_")}
        command = ["ip", "netns", "exec", self.names[side], sys.executable, "-m", "dicast.cli", "up", *words]
        process = subprocess.Popen(
            [*command, "--state-dir", str(home / "state")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**kept, "HOME": str(home), "XDG_CONFIG_HOME": str(home)},
        )
        self._stack.callback(_end, process)
        return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.communicate(timeout=60)


def wait_for(process: subprocess.Popen[bytes], text: str) -> str:
    """What it said until this was among it."""
    assert process.stdout is not None
    said, deadline = "", time.monotonic() + WAIT_S
    while text not in said:
        ready, _, _ = select.select([process.stdout], [], [], max(0, deadline - time.monotonic()))
        piece = os.read(process.stdout.fileno(), 65_536).decode() if ready else ""
        assert piece, f"never said {text!r}: {said}"
        said += piece
    return said


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[Cable]:
    with ExitStack() as stack:
        yield Cable(tmp_path, stack)


def test_two_machines_with_up_and_nothing_else_find_each_other(cable: Cable) -> None:
    one = cable.start(0)
    assert "on=192.168.77.1" in wait_for(one, "ready")
    began = time.monotonic()
    other = cable.start(1)
    said = wait_for(other, "peer_seen")
    assert "lan " in said
    assert "--no-lan" in said
    wait_for(one, "peer_seen")
    print(f"found after {time.monotonic() - began:.1f} s, starting included")


def test_without_a_lan_a_node_says_that_it_is_alone_and_listens_nowhere(cable: Cable) -> None:
    one = cable.start(0, "--no-lan")
    said = wait_for(one, "ready")
    assert "no_lan" in said
    assert "alone" in said
    listening = subprocess.run(
        ["ip", "netns", "exec", cable.names[0], "ss", "-Hltun"], check=True, capture_output=True, text=True
    )
    assert listening.stdout == ""
