"""The repository keeps its habits, and every rule that says so can say no."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


def load_rules() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tidy_rules", ROOT / "tools/tidy_rules.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


rules = load_rules()
SOURCES = rules.read_sources(ROOT)
RULES = {rule.__name__: rule for rule in rules.RULES}


@pytest.mark.parametrize("name", RULES)
def test_every_file_keeps_the_rule(name: str) -> None:
    complaints = [complaint for source in SOURCES for complaint in RULES[name](source)]
    assert "\n".join(complaints) == ""


def test_the_median_function_is_short() -> None:
    assert rules.median_function_lines(SOURCES) <= rules.MEDIAN_FUNCTION_LINES_MAX


def test_test_folders_are_not_packages() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_every_theorem_has_a_property_test_of_its_name() -> None:
    pages = [page.read_text() for page in sorted((ROOT / "spec").glob("*.md"))]
    stated = [number for page in pages for number in re.findall(r"\*\*Theorem (\d+\.\d+)", page)]
    tests = "\n".join(source.text for source in SOURCES if source.path.startswith("tests/"))
    missing = [number for number in stated if f"def test_theorem_{number.replace('.', '_')}_" not in tests]
    assert (missing, len(stated)) == ([], len(set(stated)))
    assert len(stated) >= 19


def test_every_page_of_the_specification_has_a_status_and_no_em_dash() -> None:
    for page in sorted((ROOT / "spec").glob("*.md")):
        text = page.read_text()
        assert re.search(r"^Status: ", text, re.MULTILINE), page.name
        assert rules.EM_DASH.search(text) is None, page.name


def deep(depth: int) -> str:
    lines = [f"{'    ' * (level + 1)}if {level}:" for level in range(depth)]
    return "\n".join(["def f():", *lines, "    " * (depth + 1) + "pass", ""])


PURE = "src/dicast/consensus/x.py"
DOC = '"""Says."""\n'
BAD = [
    ("file_length", "tests/x.py", "a = 1\n" * 401),
    ("function_length", "tools/x.py", "def f():\n" + "    a = 1\n" * 50),
    ("parameter_count", PURE, "def f(self, a, b, c, *d, e, **g): ...\n"),
    ("nesting", "tests/x.py", deep(4)),
    (
        "nesting",
        PURE,
        "def f():\n    with a:\n        for b in c:\n            try:\n                pass\n"
        "            except E:\n                while d:\n                    pass\n",
    ),
    ("layering", "src/dicast/base/x.py", "from dicast.consensus.judge import judge\n"),
    ("layering", "src/dicast/protocol/x.py", "import dicast.ports\n"),
    ("layering", "src/dicast/stores/x.py", "from dicast import engines\n"),
    ("layering", "src/dicast/stores/x.py", "from ..engines import tiny\n"),
    ("layering", "src/dicast/simulator/x.py", "from dicast.daemon.driver import Driver\n"),
    ("layering", "src/dicast/daemon/x.py", "def f():\n    from dicast.cli import ask\n"),
    ("purity", PURE, "import time\n"),
    ("purity", PURE, "from os import path\n"),
    ("purity", "src/dicast/base/x.py", "from datetime import datetime\n"),
    ("purity", "src/dicast/base/x.py", "import importlib.resources\n"),
    ("purity", "src/dicast/protocol/x.py", "async def f(): ...\n"),
    ("purity", "src/dicast/protocol/x.py", "def f():\n    global a\n    a = open('x')\n"),
    ("purity", "src/dicast/protocol/x.py", "def f(a): return hash(a)\n"),
    ("set_order", PURE, "a = [b for b in {1, 2}]\n"),
    ("set_order", PURE, "for a in set(b): ...\n"),
    ("moving_text", PURE, "a = b.isupper()\n"),
    ("moving_text", PURE, "import re\na = re.compile(r'\\w+')\n"),
    ("moving_text", PURE, "import re\na = re.sub('[a-z]', '', b, flags=re.IGNORECASE)\n"),
    ("caught_bugs", "src/dicast/daemon/x.py", "try: a\nexcept: b\n"),
    ("caught_bugs", "src/dicast/daemon/x.py", "try: a\nexcept (ValueError, AssertionError): b\n"),
    ("caught_bugs", PURE, "try: a\nexcept Exception: b\n"),
    ("frozen_records", PURE, "class A(msgspec.Struct, omit_defaults=True): ...\n"),
    ("docstrings", PURE, "a = 1\n"),
    ("docstrings", PURE, DOC + "def f(): return 1\n"),
    ("docstrings", PURE, DOC + "class A:\n    'Says.'\n    def f(self): return 1\n"),
    ("vague_names", "src/dicast/stores/utils.py", ""),
    ("vague_names", "src/dicast/stores/x.py", "class RelayManager: ...\n"),
    ("vague_names", "src/dicast/stores/x.py", "def load_data(): ...\n"),
    ("patient_tests", "tests/x.py", "time.sleep(0.1)\n"),
    ("patient_tests", "tests/x.py", "async def f(): await asyncio.sleep(1)\n"),
    ("patient_tests", "tests/x.py", "from unittest import mock\n"),
    ("patient_tests", "tests/x.py", "from unittest.mock import patch\n"),
    ("plain_text", "tests/x.py", "a = 1  # yes \u2014 no\n"),
    ("plain_text", "tests/x.py", "a = 1 \n"),
    ("plain_text", "tests/x.py", "a = 1  # TO" + "DO\n"),
    ("plain_text", "tests/x.py", "a = 1"),
]
GOOD = [
    ("nesting", "tests/x.py", deep(3)),
    ("nesting", PURE, "def f():\n    if a:\n        b\n" + "    elif c:\n        d\n" * 9),
    ("parameter_count", PURE, "def f(self, a, b, c, *, d, e): ...\n"),
    ("layering", "src/dicast/cli/x.py", "import dicast.daemon.driver\nfrom dicast.base import codec\n"),
    ("layering", "src/dicast/stores/x.py", "from .memory import A\nfrom dicast.ports import Store\n"),
    ("layering", "src/dicast/client.py", "from dicast.client_channel import A\nimport dicast.daemon.api\n"),
    ("caught_bugs", "src/dicast/stores/x.py", "try: a\nexcept BaseException:\n    b\n    raise\n"),
    ("purity", "src/dicast/daemon/x.py", "import asyncio\nasync def f(): print(1)\n"),
    ("purity", "src/dicast/base/frozen.py", "from importlib.resources import files\n"),
    ("set_order", PURE, "for a in sorted(set(b)): ...\n"),
    ("moving_text", PURE, "import re\na = re.compile(r'\\w+\\\\d', re.ASCII)\nb = re.compile('[0-9]')\n"),
    ("frozen_records", PURE, "class A(msgspec.Struct, frozen=True): ...\n"),
    ("patient_tests", "tests/x.py", "async def f(): await asyncio.sleep(0)\n"),
    ("docstrings", PURE, DOC + "def _f(): return 1\n"),
    ("moving_text", PURE, "a = b.isascii() and b.isdigit()\n"),
    ("plain_text", "tests/x.py", "a = '-\u2014-'\n"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "path", "text"), BAD)
def test_a_rule_can_fail(name: str, path: str, text: str) -> None:
    complaints = list(RULES[name](rules.Source(path, text)))
    assert complaints
    assert all(re.match(rf"{path}:\d+: ", complaint) for complaint in complaints)


@pytest.mark.parametrize(("name", "path", "text"), GOOD)
def test_a_rule_can_pass(name: str, path: str, text: str) -> None:
    assert list(RULES[name](rules.Source(path, text))) == []


def test_every_rule_is_proven_able_to_fail() -> None:
    assert {name for name, _, _ in BAD} == set(RULES)
