"""The dashboard in Debian's Chromium, driven over a real network of five nodes as a person would."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
NODES = 5
DRIVE_S = 240


class Network:
    """Processes of `dicast`, each waited for until it says that it is ready."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("DICAST_")},
            "XDG_CONFIG_HOME": str(folder / "config"),
            "HOME": str(folder),
            "DICAST_LAN": "false",
            "DICAST_DASHBOARD": "false",
        }

    def start(self, said: str, *words: str) -> str:
        """The line in which a process said this."""
        process = subprocess.Popen(
            [sys.executable, "-m", "dicast.cli", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.environment,
            start_new_session=True,
            text=True,
        )
        self.processes.append(process)
        assert process.stdout is not None
        return line_with(process.stdout, said)

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def line_with(stream: IO[str], said: str) -> str:
    heard: list[str] = []
    for line in stream:
        heard.append(line)
        if said in line:
            return line
    raise AssertionError(f"ended without {said!r}: {''.join(heard)}")


@pytest.fixture
def gateway() -> Iterator[str]:
    """The address of a gateway on a network of five nodes that know each other."""
    folder = Path(tempfile.mkdtemp(prefix="dash"))
    network = Network(folder)
    try:
        relay = network.start("listening on", "relay", "--port", "0").split()[-1]
        for number in range(NODES):
            network.start(" ready ", "up", "--state-dir", str(folder / f"n{number}"), "--relay", relay)
        words = ("gateway", "--state-dir", str(folder / "n0"), "--preset", "story", "--port", "0")
        yield network.start("listening on", *words).split()[-1]
    finally:
        network.stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_every_view_works_looks_right_and_is_accessible(gateway: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        ["node", "e2e/dashboard.mjs", gateway, str(tmp_path)],
        cwd=WEB,
        capture_output=True,
        text=True,
        timeout=DRIVE_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr + ran.stdout
    assert "no problem found" in ran.stdout
    assert len(list(tmp_path.glob("*.png"))) == 33


def test_the_pages_keep_their_sizes() -> None:
    """At most 1 MB in all, and at most 120 kB gzipped before the first view is there."""
    built = ROOT / "src/dicast/web"
    files = [path for path in built.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 1_000_000
    first = [path for path in files if path.name.startswith("index-") and path.suffix == ".js"]
    zipped = subprocess.run(["gzip", "-9c", *map(str, first)], capture_output=True, check=True).stdout
    assert 0 < len(zipped) <= 120_000
