"""Every fuzz target, for some thousands of inputs: nothing that comes from elsewhere is more than refused."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TARGETS = sorted(path.stem for path in (ROOT / "fuzz").glob("*.py"))
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


def test_there_is_a_target_for_everything_that_reads_bytes_from_elsewhere() -> None:
    assert {"adapters", "content", "decoder", "signaller", "transports", "webrtc"} <= set(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_a_fuzz_target_finds_nothing(target: str, tmp_path: Path) -> None:
    environment = dict(os.environ)
    if find_spec("atheris") is None:
        (tmp_path / "atheris.py").write_text(SEEDS_ONLY)
        environment["PYTHONPATH"] = str(tmp_path)
    bounds = (f"-runs={RUNS}", f"-max_total_time={SECONDS_MAX}", "-seed=1", f"-artifact_prefix={tmp_path}/")
    done = subprocess.run(
        [sys.executable, str(ROOT / "fuzz" / f"{target}.py"), *bounds],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done" in done.stdout + done.stderr
    assert "never retrieved" not in done.stderr
