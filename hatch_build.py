"""A wheel without the dashboard's pages is not built."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PagesHook(BuildHookInterface[Any]):
    """Looks for the pages that `make web` builds."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fail before anything is built."""
        del version, build_data
        if not (Path(self.root) / "src/dicast/web/index.html").is_file():
            raise FileNotFoundError("src/dicast/web holds no pages: run `make web` first.")
