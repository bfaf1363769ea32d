"""The documents say what is true: commands run, links resolve, dependencies have their reasons."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from free_ports import free_port

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    page for folder in (".", "docs", "spec", "requirements") for page in (ROOT / folder).glob("*.md")
)
README = (ROOT / "README.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_readme_has_its_parts_in_order() -> None:
    headings = re.findall(r"^## (.+)$", README, re.MULTILINE)
    assert headings == [
        "Two commands",
        "Use",
        "What leaves your machine",
        "What agreement proves, and what it does not",
        "What there is",
        "Links",
    ]
    first = README.split("\n\n")[1]
    assert first.count(".") == 1
    assert first.endswith(".")


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder whose path is short, as homes are: the path of a socket in it has at most 100 bytes."""
    with tempfile.TemporaryDirectory(prefix="home") as folder:
        yield Path(folder)


def test_the_lines_of_use_run_as_they_stand(home: Path) -> None:
    """In a shell of its own, with a home of its own, and a free port instead of the one that is written."""
    [use] = blocks(README, "sh")[1:]
    lines = [line for line in use.splitlines() if line.strip()]
    assert len(lines) == 6
    script = "set -eu\n" + "\n".join(_awaited(line) for line in lines).replace("7447", str(free_port()))
    (home / ".venv").symlink_to(ROOT / ".venv")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DICAST_", "XDG_"))}
    shell = subprocess.Popen(
        [shutil.which("sh") or "sh", "-c", script],
        cwd=home,
        env={**kept, "HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = shell.communicate(timeout=120)
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
    assert "valid: these inputs give this output" in said, said


def _awaited(line: str) -> str:
    """A line that starts something in the background is followed by waiting for what it starts."""
    command = line.partition("#")[0].strip()
    if not command.endswith("&"):
        return command
    name, said = ("up", " ready ") if " up " in command else ("relay", "listening")
    redirected = command.removesuffix("&") + f">{name}.out 2>&1 &"
    died = f"{{ cat {name}.out; exit 1; }}"
    return f"{redirected}\nuntil grep -q '{said}' {name}.out; do kill -0 $! || {died}; sleep 0.1; done"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_the_pages_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_are_there(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for name in re.findall(r"`((?:src|spec|tests|tools|benchmarks|docs|requirements|fuzz)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), f"{page.name}: {name}"


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    names = list(project["project"]["dependencies"])
    names += [name for extra in project["project"]["optional-dependencies"].values() for name in extra]
    names += project["dependency-groups"]["dev"]
    architecture = (ROOT / "ARCHITECTURE.md").read_text().lower()
    plain = {re.split(r"[\[<>=;~ ]", name)[0].lower() for name in names}
    missing = {
        name for name in plain if name not in architecture and name.partition("-")[0] not in architecture
    }
    assert missing == set()


def test_a_bare_make_lists_every_target_the_readme_names() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in re.findall(r"`make ([a-z]+)`", README):
        assert f"make {target} " in listed
