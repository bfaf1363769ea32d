"""The main job, run twenty times: how often it is accepted, and how long it takes.

Run `python benchmarks/demo.py [--runs N]`. Wall-clock seconds; "× one" is the median round beside the same
question asked of one node alone, which nothing verifies, in the same run.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DICAST = (sys.executable, "-m", "dicast.cli")
ACCEPTED_SHARE_MIN = 19 / 20
"""What the README promises of the default question."""


def main() -> int:
    """Print the table; exit 1 when the demo was accepted less often than promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    rounds: list[float] = []
    wholes: list[float] = []
    accepted = 0
    with tempfile.TemporaryDirectory() as folder:
        alone = statistics.median(_alone(Path(folder) / f"state-{run}") for run in range(3))
        for run in range(runs):
            began = time.monotonic()
            outcome, round_s = _demo(Path(folder) / "certificate.json")
            wholes.append(time.monotonic() - began)
            rounds.append(round_s)
            accepted += outcome == "accepted"
            print(
                f"run {run + 1:2}: {outcome:12} round {round_s:5.1f} s, whole {wholes[-1]:5.1f} s", flush=True
            )
    print(f"\naccepted {accepted} of {runs}")
    print("           median (fastest … slowest)")
    for name, values in (("round", rounds), ("whole", wholes)):
        middle = statistics.median(values)
        print(f"{name:8} {middle:6.1f} s ({min(values):.1f} … {max(values):.1f})")
    print(f"one node {alone:6.1f} s; the round takes {statistics.median(rounds) / alone:.1f} × one")
    return 0 if accepted >= ACCEPTED_SHARE_MIN * runs else 1


def _demo(certificate: Path) -> tuple[str, float]:
    command = (*DICAST, "demo", "--json", "--certificate", str(certificate))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        sys.exit(f"the demo failed with exit {done.returncode}:\n{done.stderr}")
    took = re.search(r"^round ([\d.]+) s", done.stderr, re.MULTILINE)
    assert took is not None, done.stderr
    return json.loads(done.stdout)["outcome"], float(took[1])


def _alone(state: Path) -> float:
    began = time.monotonic()
    command = (*DICAST, "ask", "--quorum", "1", "--state-dir", str(state), "What is the capital of France?")
    subprocess.run(command, capture_output=True, check=True)
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
