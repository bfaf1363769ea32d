"""A fuzz target, run for some thousands of inputs."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "fuzz"
RUNS = 2_000
SECONDS_MAX = 5
"""Of fuzzing; a busy machine stops earlier, and starting comes on top."""
SEEDS_ONLY = """
from contextlib import nullcontext

def instrument_imports(**_): return nullcontext()
def Setup(*_): print("Done 0 runs")
def Fuzz(): pass
"""
"""In place of atheris where it cannot be had (Python 3.14): the targets still read all their seeds."""


def finds_nothing(target: str, folder: Path) -> None:
    """What comes from elsewhere is no more than refused; crashes are left in `folder`."""
    environment = dict(os.environ)
    if find_spec("atheris") is None:
        (folder / "atheris.py").write_text(SEEDS_ONLY)
        environment["PYTHONPATH"] = str(folder)
    bounds = (f"-runs={RUNS}", f"-max_total_time={SECONDS_MAX}", "-seed=1", f"-artifact_prefix={folder}/")
    done = subprocess.run(
        [sys.executable, str(FOLDER / f"{target}.py"), *bounds],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done" in done.stdout + done.stderr
    assert "never retrieved" not in done.stderr
