"""No process that runs a network keeps or sends anything for the maker of onnxruntime."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dicast.onnx_session import SILENCE

BOTH_NETWORKS = """
from dicast.embedders.minilm import MiniLmEmbedder
from dicast.engines.tiny_network import TinyNetwork, read_card

MiniLmEmbedder().embed(["the capital of france is paris"])
TinyNetwork(read_card())
"""
BY_COMMAND = """
from dicast.cli.__main__ import main

main(["--version"])
"""
TELLS_SWITCH = """
import os

print(os.environ["ORT_DISABLE_TELEMETRY"])
"""


def run_at_home(home: Path, program: str) -> str:
    """The last line a program prints that knows no other folder to keep things in than this one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", SILENCE[0]))}
    done = subprocess.run(
        [sys.executable, "-c", program + TELLS_SWITCH],
        env=kept | {"HOME": str(home)},
        cwd=home,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("program", [BOTH_NETWORKS, BY_COMMAND], ids=["networks", "command"])
def test_nothing_is_written_at_home_and_the_switch_is_set(tmp_path: Path, program: str) -> None:
    assert run_at_home(tmp_path, program) == SILENCE[1]
    assert sorted(tmp_path.rglob("*")) == []


def test_one_file_loads_onnxruntime() -> None:
    root = Path(__file__).parents[1]
    loads = "import onnx" + "runtime"
    files = (path for part in ("src", "tests", "tools", "benchmarks") for path in (root / part).rglob("*.py"))
    assert [path.name for path in files if loads in path.read_text()] == ["onnx_session.py"]
