"""Writes `spec/vectors/` from every `tools/vectors_*.py`; with `--check` names what is stale and exits 1.

A vector module has `generate()`: file name below `spec/vectors/` -> its content as JSON.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from dicast.base.types import Json

TOOLS = Path(__file__).resolve().parent
VECTORS = TOOLS.parent / "spec" / "vectors"


def main(arguments: Sequence[str], directory: Path = VECTORS) -> int:
    """Write the vectors, or with `--check` compare them; the exit status."""
    wanted = contents()
    stale = sorted(name for name, data in wanted.items() if not is_current(directory / name, data))
    if "--check" in arguments:
        for name in stale:
            print(f"stale: {directory / name} (run tools/make_vectors.py)")
        return 1 if stale else 0
    for name in stale:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wanted[name])
        print(f"written: {path}")
    return 0


def is_current(path: Path, data: bytes) -> bool:
    """Whether the file holds these bytes."""
    return path.is_file() and path.read_bytes() == data


def contents() -> dict[str, bytes]:
    """Every vector file: name -> bytes."""
    found: dict[str, bytes] = {}
    for path in sorted(TOOLS.glob("vectors_*.py")):
        for name, value in generator(path)().items():
            assert name not in found, f"two modules write {name}"
            found[name] = readable(value)
    return found


def generator(path: Path) -> Callable[[], dict[str, Json]]:
    """The `generate` function of a vector module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast("Callable[[], dict[str, Json]]", module.generate)


def readable(value: Json) -> bytes:
    """Indented ASCII JSON with sorted keys: easy to read in any language, and to compare line by line."""
    return json.dumps(value, sort_keys=True, indent=1).encode() + b"\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
