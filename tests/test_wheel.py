"""What is released: a wheel with the dashboard's pages, or none."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_wheel_holds_the_pages_and_the_tables(sources: Path) -> None:
    built = build(sources)
    assert built.returncode == 0, built.stderr
    (wheel,) = (sources / "dist").glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    pages = {
        f"dicast/web/{path.relative_to(sources / 'src/dicast/web')}"
        for path in (sources / "src/dicast/web").rglob("*")
        if path.is_file()
    }
    assert pages <= names
    assert {"dicast/base/data/unicode13.json", "dicast/signalling/page/index.html"} <= names


def test_without_the_pages_there_is_no_wheel(sources: Path) -> None:
    shutil.rmtree(sources / "src/dicast/web")
    built = build(sources)
    assert built.returncode != 0
    assert "run `make web` first" in built.stderr
