"""A dozen node processes on a relay and a hub. The crowd of a hundred is `benchmarks/crowd.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

CROWD = Path(__file__).parents[2] / "benchmarks/crowd.py"
NODES = 12


def test_twelve_processes_find_each_other_on_two_networks_and_each_asks() -> None:
    ran = subprocess.run(
        [sys.executable, str(CROWD), "--nodes", str(NODES), "--json"],
        check=False,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads(ran.stdout)
    assert (found["accepted"], found["other_outcomes"]) == (NODES, [])
    assert found["discovery_s"] <= 60
