"""What every fuzz target does with its reader and its seeds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import atheris

FOLDER = Path(__file__).resolve().parents[1] / "seeds"


def fuzz(one_input: Callable[[bytes], None], seeds: Sequence[bytes]) -> None:
    """Read every seed, then let libFuzzer loose; the program's arguments are its options."""
    folder = FOLDER / Path(sys.argv[0]).stem
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:02}" for number in range(len(seeds))]
    for path, seed in zip(paths, seeds, strict=True):
        one_input(seed)
        path.write_bytes(seed)
    options = [f"-seed_inputs={','.join(map(str, paths))}", "-max_len=4096", "-timeout=5"]
    atheris.Setup([sys.argv[0], *options, *sys.argv[1:]], one_input)
    atheris.Fuzz()
