"""`dicast judge`: the verdicts of the vectors, exit statuses, and one line for what is no case."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dicast.cli.judge import judge_command

FOLDER = Path(__file__).resolve().parents[2] / "spec/vectors/judge"


def rows(name: str) -> list[dict[str, Any]]:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def command(path: Path, capture: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    status = judge_command(str(path))
    out, err = capture.readouterr()
    return status, out, err


@pytest.fixture
def written(tmp_path: Path) -> Callable[[object], Path]:
    def write(value: object) -> Path:
        path = tmp_path / "case.json"
        path.write_bytes(value if isinstance(value, bytes) else json.dumps(value, indent=1).encode())
        return path

    return write


def test_the_command_prints_the_verdict_and_one_line_feed(
    written: Callable[[object], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("prose", "statuses"):
        for row in rows(name):
            status = 0 if row["verdict"]["outcome"] == "accepted" else 3
            expected = (status, canonical(row["verdict"]).decode() + "\n", "")
            assert command(written(row["case"]), capsys) == expected


def test_the_command_names_field_and_reason_on_one_line(
    written: Callable[[object], Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for row in rows("invalid"):
        data = bytes.fromhex(row["hex"]) if "hex" in row else row["text"].encode()
        assert command(written(data), capsys) == (2, "", f"{row['field']}: {row['reason']}\n")
    status, out, err = command(tmp_path / "missing.json", capsys)
    assert (status, out, err) == (2, "", f"{tmp_path}/missing.json: No such file or directory\n")


@pytest.mark.parametrize(("data", "status"), [(json.dumps(rows("labels")[0]["case"]), 0), ("{", 2)])
def test_the_command_reads_standard_input(data: str, status: int) -> None:
    command = [sys.executable, "-m", "dicast.cli.judge", "-"]
    ended = subprocess.run(
        command, input=data, capture_output=True, text=True, check=False, timeout=60, encoding="utf-8"
    )
    assert (ended.returncode, ended.stderr.count("\n")) == (status, int(status != 0))
