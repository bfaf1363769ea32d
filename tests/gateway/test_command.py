"""`dicast gateway` and `dicast keys` as a person uses them, and the pages that describe them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from dicast.gateway.app import RULES
from dicast.gateway.errors import CODES
from dicast.gateway.frames import HEADERS, FrameFields

ROOT = Path(__file__).resolve().parents[2]
DICAST = (sys.executable, "-m", "dicast.cli")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DICAST, *words], capture_output=True, text=True, check=False, timeout=60)


def test_the_gateway_serves_the_node_that_runs_and_stops_when_told(place) -> None:
    command = [*DICAST, "gateway", "--state-dir", str(place.state_dir), "--port", "0", "--preset", "story"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("listening on ").strip()
        body = {"model": "any", "messages": [{"role": "user", "content": "hello"}], "temperature": 0}
        answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60).json()
        assert answer["dicast"]["n"] == 3
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_without_a_node_the_next_step_is_named(tmp_path) -> None:
    ran = run("gateway", "--state-dir", str(tmp_path), "--port", "0")
    assert (ran.returncode, "[node_not_running]" in ran.stderr, "dicast up" in ran.stderr) == (4, True, True)
    ran = run("gateway", "--state-dir", str(tmp_path), "--host", "0.0.0.0")
    assert (ran.returncode, "[gateway_public]" in ran.stderr) == (2, True)
    ran = run("gateway", "--state-dir", str(tmp_path), "--host", "0.0.0.0", "--public")
    assert (ran.returncode, "dicast keys create" in ran.stderr) == (2, True)
    ran = run("gateway", "--state-dir", str(tmp_path), "--preset", "strange")
    assert (ran.returncode, "[preset_unknown]" in ran.stderr) == (2, True)


def test_keys_come_and_go(tmp_path) -> None:
    folder = ("--state-dir", str(tmp_path))
    made = run("keys", "create", "laptop", "--scope", "infer", "--rate", "60", *folder)
    assert (made.returncode, made.stdout.startswith("dicast-"), made.stdout.count("\n")) == (0, True, 1)
    (listed,) = json.loads(run("keys", "list", "--json", *folder).stdout)
    assert (listed["name"], listed["scopes"], listed["rate_per_minute"]) == ("laptop", ["infer"], 60)
    assert made.stdout.strip() not in (tmp_path / "gateway-keys.json").read_text()
    assert run("keys", "revoke", listed["id"], *folder).returncode == 0
    gone = run("keys", "revoke", "laptop", *folder)
    assert (gone.returncode, "[key_missing]" in gone.stderr) == (2, True)


def test_the_page_names_every_code_with_its_status_and_every_route_header_and_field() -> None:
    page = (ROOT / "docs/gateway.md").read_text()
    native = (ROOT / "docs/api.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| (\d{3}) \|", page, re.MULTILINE))
    assert rows == {code: str(kind.status) for code, kind in CODES.items()}
    missing = [
        rule
        for rule in (*RULES.scopes, *RULES.public)
        if f"`{rule.replace(':path', '')}`" not in page + native
    ]
    assert missing == []
    assert [name for name in FrameFields.__struct_fields__ if f"`{name}`" not in page] == []
    assert [name for name in HEADERS if name.replace("_", "-") != name] == []
    assert "X-Dicast-" in page


def test_every_code_that_is_raised_is_one_of_those_that_are_listed() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "src/dicast/gateway").rglob("*.py"))
    raised = set(re.findall(r'GatewayError\(\s*"([a-z_]+)"', sources))
    assert raised - set(CODES) == set()
    unused = [code for code in CODES if sources.count(f'"{code}"') < 2]
    assert unused == []
