"""The vectors hold here, under every hash seed, and on every Python that is installed with what we need."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dicast.base.types import Digest, NodeId, RequestId
from dicast.consensus import panel
from dicast.consensus.case import CaseError, parse_case
from dicast.consensus.judge import judge

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "spec/vectors/judge"
FILES = ["prose", "gates", "statuses", "labels", "json", "seats", "attacks"]
DIGEST_OF_ALL = """
import hashlib, json, pathlib, sys
from dicast.consensus.judge import judge, parse_case
found = hashlib.sha256()
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.json")):
    for row in json.loads(path.read_text(encoding="utf-8")):
        if "case" in row:
            found.update(judge(parse_case(json.dumps(row["case"]).encode())).encode())
print(found.hexdigest())
"""


def rows(name: str) -> list[dict[str, Any]]:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


@pytest.mark.parametrize("name", FILES)
def test_every_verdict_is_the_one_written_down(name: str) -> None:
    for row in rows(name):
        verdict = judge(parse_case(json.dumps(row["case"], indent=2).encode()))
        assert verdict.encode() == canonical(row["verdict"]), row["name"]


def test_there_are_cases_for_every_word() -> None:
    verdicts = [row["verdict"] for name in FILES for row in rows(name)]
    assert len(verdicts) >= 40
    assert {verdict["reason"] for verdict in verdicts} == {
        "agreed",
        "quorum_not_reached",
        "too_few_reveals",
        "no_agreement",
    }
    assert {status for verdict in verdicts for status in verdict["statuses"].values()} == {
        *("silent", "unrevealed", "digest_mismatch", "model_refused", "malformed", "embedding_mismatch"),
        *("core", "accepted", "conflict", "outside", "undecided"),
    }


def test_every_refusal_names_the_field_written_down() -> None:
    for row in rows("invalid"):
        data = bytes.fromhex(row["hex"]) if "hex" in row else row["text"].encode()
        with pytest.raises(CaseError) as caught:
            parse_case(data)
        assert (caught.value.field, caught.value.reason) == (row["field"], row["reason"])


def test_every_draw_is_the_one_written_down() -> None:
    vectors = json.loads((ROOT / "spec/vectors/draw.json").read_text(encoding="utf-8"))
    request = RequestId(vectors["request_id"])
    for row in vectors["randomness"]:
        assert panel.randomness(request, row["beacon"]) == row["randomness"]
    random = Digest(vectors["randomness"][1]["randomness"])
    for row in vectors["tickets"]:
        assert panel.unit_ticket(random, NodeId(row["pubkey"]), row["k"]).hex() == row["ticket"]
    for row in vectors["drawn"]:
        found = panel.draw(row["candidates"], row["seats"], Digest(row["randomness"]))
        assert (found, panel.candidates_root(row["candidates"])) == (row["panel"], row["root"])
    for row in vectors["open"]:
        assert panel.open_seats(request, row["keys"], row["panel_max"]) == row["panel"]


def here() -> str:
    found = hashlib.sha256()
    for path in sorted(FOLDER.glob("*.json")):
        for row in json.loads(path.read_text(encoding="utf-8")):
            if "case" in row:
                found.update(judge(parse_case(json.dumps(row["case"]).encode())).encode())
    return found.hexdigest()


def elsewhere(python: str, hash_seed: str) -> str:
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT / "src")}
    command = [python, "-c", DIGEST_OF_ALL, str(FOLDER)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def other_pythons() -> list[str]:
    """Other Pythons on the path that can import what the judge imports."""
    names = ["python3.11", "python3.12", "python3.13", "python3.14"]
    paths = [path for path in map(shutil.which, names) if path is not None]
    return [path for path in paths if is_able(path)]


def is_able(python: str) -> bool:
    probe = [python, "-c", "import msgspec, numpy, coincurve"]
    return subprocess.run(probe, capture_output=True, check=False, timeout=60).returncode == 0


def test_hash_seeds_and_pythons_give_the_same_bytes() -> None:
    pythons = [sys.executable, *other_pythons()]
    assert {elsewhere(python, seed) for python in pythons for seed in ("0", "4242")} == {here()}
