"""Modules that are on no path of Python's, by their place in the repository."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]


def load(path: str) -> ModuleType:
    """A tool, or the tests of another folder, run once."""
    name = "loaded_" + path.removesuffix(".py").replace("/", "_")
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, ROOT / path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def suite_of_transports() -> dict[str, object]:
    """The tests that every transport passes, and the fixture that they share, by name.

    Whoever takes them up says over which transport, in a fixture `make_transport`.
    """
    everything = vars(load("tests/conformance/test_transports.py"))
    names = [name for name in everything if name.startswith("test_") and "relay" not in name]
    return {name: everything[name] for name in ("topic", *names)}
