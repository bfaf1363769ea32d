"""What is released: a wheel with the dashboard's pages, or none."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_SPEC = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
assert _SPEC is not None
assert _SPEC.loader is not None
_HOOK = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_HOOK)
missing_pages = _HOOK.missing_pages


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
    assert "index.html is missing" in built.stderr
    assert "run `make web` first" in built.stderr


def test_whatever_part_of_the_pages_is_missing_there_is_no_wheel() -> None:
    pages = ROOT / "src/dicast/web"
    names = sorted(path.relative_to(pages).as_posix() for path in pages.rglob("*") if path.is_file())
    assert {Path(name).suffix for name in names} == {".html", ".js", ".css", ".svg", ".txt", ".json"}
    assert missing_pages(pages) == []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(pages, Path(folder) / "web"))
        for name in names:
            (copy / name).rename(copy / "away")
            assert missing_pages(copy) == [name]
            (copy / "away").rename(copy / name)
        (copy / names[0]).write_bytes(b"")
        assert missing_pages(copy) == [names[0]]


def test_a_wheel_without_a_script_is_refused(sources: Path) -> None:
    (script,) = (sources / "src/dicast/web/assets").glob("index-*.js")
    script.unlink()
    built = build(sources)
    assert built.returncode != 0
    assert f"assets/{script.name} is missing" in built.stderr
