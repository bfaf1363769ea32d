"""The dashboard in Debian's Chromium, driven over a real network of five nodes as a person would."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from machine import machine_in

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
NODES = 5
DRIVE_S = 400


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[str]:
    """The address of a gateway on a network of five nodes that know each other."""
    with machine_in(tmp_path) as machine:
        machine.start_relay()
        for number in range(NODES):
            machine.start_node(f"n{number}")
        state = ("--state-dir", str(tmp_path / "n0"))
        gateway = machine.start("gateway", *state, "--preset", "story", "--port", "0", said="listening on ")
        yield machine.word_after(gateway, "listening on ")


def made_key(state_dir: Path) -> str:
    """A key of the gateway, made at the command line."""
    words = ("keys", "create", "page", "--scope", "read", "--json", "--state-dir", str(state_dir))
    made = subprocess.run([sys.executable, "-m", "dicast.cli", *words], capture_output=True, check=True)
    return json.loads(made.stdout)["key"]


def test_every_view_works_looks_right_and_is_accessible(gateway: str, tmp_path: Path) -> None:
    key = made_key(tmp_path / "n0")
    ran = subprocess.run(
        ["node", "e2e/dashboard.mjs", gateway, str(tmp_path), key],
        cwd=WEB,
        capture_output=True,
        text=True,
        timeout=DRIVE_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr + ran.stdout
    assert "no problem found" in ran.stdout
    assert len(list(tmp_path.glob("*.png"))) == 33


def hear(page: subprocess.Popen[str], wanted: str) -> None:
    assert page.stdout is not None
    said = page.stdout.readline()
    assert said == f"{wanted}\n", said + page.stdout.read()


def say(page: subprocess.Popen[str], word: str) -> None:
    assert page.stdin is not None
    page.stdin.write(f"{word}\n")
    page.stdin.flush()


def test_the_page_says_that_the_node_is_gone_and_goes_on_by_itself(tmp_path: Path) -> None:
    with machine_in(tmp_path) as machine:
        machine.start_relay()
        node, _ = machine.start_node("n0"), machine.start_node("n1")
        gateway = machine.start(
            "gateway", "--state-dir", str(tmp_path / "n0"), "--port", "0", said="listening on "
        )
        page = subprocess.Popen(
            ["node", "e2e/outage.mjs", machine.word_after(gateway, "listening on ")],
            cwd=WEB,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with page:
            hear(page, "stop")
            node.terminate()
            node.wait()
            say(page, "stopped")
            hear(page, "start")
            machine.start_node("n0")
            say(page, "started")
            hear(page, "it goes on by itself")


def test_the_pages_keep_their_sizes() -> None:
    """At most 1 MB in all, and at most 120 kB gzipped before the first view is there."""
    built = ROOT / "src/dicast/web"
    files = [path for path in built.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 1_000_000
    names = re.findall(r"assets/[\w.-]+\.js", (built / "index.html").read_text())
    assert any(name.startswith("assets/index-") for name in names)
    zipped = subprocess.run(["gzip", "-9c", *names], cwd=built, capture_output=True, check=True).stdout
    assert 0 < len(zipped) <= 120_000
