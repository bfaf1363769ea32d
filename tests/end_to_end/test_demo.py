"""The demonstration: it shows what happened, and leaves nothing behind however it ends."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import time
from pathlib import Path

GONE_S = 60.0
"""What dies with its parent dies a moment later; what was still starting, when it has started."""


def folders(machine) -> set[str]:
    """What demonstrations left behind, in the temporary folder of this test alone."""
    return {path.name for path in machine.temporary.iterdir()}


def processes(pids: list[int]) -> list[int]:
    """Those that still run (a zombie that nobody reaps yet does not)."""
    return [pid for pid in pids if _runs(pid)]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_demonstration_runs_shows_and_cleans_up(machine) -> None:
    before = folders(machine)
    ran = machine.run("demo")
    assert ran.code in (0, 3), ran.err
    pids = [int(pid) for pid in re.findall(r"process (\d+),", ran.out)]
    assert len(pids) == 7
    assert processes(pids) == []
    assert folders(machine) <= before
    for said in (
        "was killed at once",
        "committed",
        "sealed: 7 of 7",
        "revealed",
        "closed: 6 of 7",
        "$ dicast verify",
    ):
        assert said in ran.out
    assert "valid: these inputs give this output" in ran.out
    victim = re.search(r"node (\d) was killed at once", ran.out)
    assert victim is not None
    assert f"node {victim.group(1)} | killed: unrevealed" in ran.out
    assert f"node {victim.group(1)} revealed" not in ran.out
    assert (machine.folder / ".demo/certificate.json").exists()
    if ran.code == 0:
        assert re.search(r"rejected: node 7 \(lies\)", ran.out)


def test_the_demonstration_as_json_keeps_the_channel(machine) -> None:
    ran = machine.run("demo", "--json", "--prompt", "What colour is the sky?", "--certificate", "c.json")
    assert ran.code in (0, 3), ran.err
    value = json.loads(ran.out)
    assert (value["certificate"], value["outcome"] in ("accepted", "undetermined")) == ("c.json", True)
    assert "Question: What colour is the sky?" in ran.err


def test_nothing_is_left_when_it_is_interrupted_stopped_or_killed(machine) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        before = folders(machine)
        demo = machine.start("demo", said="node 7 (lies): process")
        children = [
            int(pid) for pid in Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split()
        ]
        assert len(children) == 8
        os.kill(demo.pid, number)
        code = demo.wait(60)
        assert code == (-signal.SIGKILL if number == signal.SIGKILL else 130)
        end = time.monotonic() + GONE_S
        while processes(children) and time.monotonic() < end:
            select.select([], [], [], 0.05)
        assert processes(children) == []
        if number != signal.SIGKILL:
            assert folders(machine) <= before
