"""The page's matcher and the node's hold the same vectors."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_matcher_of_the_page_holds_the_vectors() -> None:
    script = ROOT / "tests/interop/query_vectors.mjs"
    ran = subprocess.run(["node", str(script), str(ROOT)], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
    assert "37 refusals hold" in ran.stdout
