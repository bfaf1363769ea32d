"""A wheel without the dashboard's pages, or without a part of them, is not built."""

import re
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGES = "src/dicast/web"
_NAMED = re.compile(r"assets/[\w.-]+\.\w+")
"""How pages, scripts and styles name one another; the names of files change with what is in them."""
_BESIDE = re.compile(r"""["'(`]\./([\w.-]+\.(?:js|css))["')`]""")
"""How scripts name those in their own folder."""
TEXTS = frozenset({".html", ".js", ".css"})
"""Files that name others."""


class PagesHook(BuildHookInterface[Any]):
    """Looks for the pages that `make web` builds."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fail before anything is built."""
        del version, build_data
        missing = missing_pages(Path(self.root) / PAGES)
        if missing:
            told = ", ".join(missing)
            raise FileNotFoundError(f"Of the dashboard {told} is missing in {PAGES}: run `make web` first.")


def missing_pages(folder: Path) -> list[str]:
    """Names below the folder that index.html needs, or what it names needs, and that are not there."""
    wanted, known, missing = ["index.html"], {"index.html"}, list[str]()
    while wanted:
        name = wanted.pop()
        path = folder / name
        if not path.is_file() or path.stat().st_size == 0:
            missing.append(name)
        elif path.suffix in TEXTS:
            text = path.read_text(encoding="utf-8")
            named = {*_NAMED.findall(text), *(f"assets/{beside}" for beside in _BESIDE.findall(text))} - known
            known |= named
            wanted += sorted(named)
    return sorted(missing)
