"""Running the command line inside the test, with a folder of its own and nothing from the environment."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from dicast.cli.__main__ import main


class Ran(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    """The node's folder; the user's own configuration is out of sight."""
    for name in [name for name in os.environ if name.startswith("DICAST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("DICAST_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr("dicast.daemon.key_files.LOG_N", 4)
    return tmp_path


@pytest.fixture
def dicast(folder: Path, capsys) -> Callable[..., Ran]:
    """Run one command line."""

    def run(*words: str) -> Ran:
        capsys.readouterr()
        code = main(list(words))
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run
