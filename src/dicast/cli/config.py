"""`dicast config`: the settings in force, and where they come from."""

from __future__ import annotations

import json
import os
from typing import cast

from cyclopts import App

from dicast.cli.common import DEFAULTS, Common
from dicast.cli.output import fields_of, note, print_result
from dicast.daemon.paths import config_candidates

SECRET_ENDINGS = ("key", "token", "secret", "password")

app = App(name="config", help="The settings in force, and where they come from.", help_format="plaintext")


@app.command
def show(*, common: Common = DEFAULTS) -> None:
    """Print every setting in force as TOML."""
    loaded = common.load()
    values = _hidden(fields_of(loaded.settings))
    note(f"# file: {loaded.file or 'none'}; environment: {', '.join(loaded.variables) or 'nothing'}")
    print_result(values, "\n".join(_toml(values)), common.json)


@app.command
def path(*, common: Common = DEFAULTS) -> None:
    """Print where the configuration file and the node's folder are."""
    candidates = config_candidates(common.config, os.environ)
    found = next((place for place in candidates if place.exists()), candidates[0])
    folder = common.paths().state_dir
    value = {"config": str(found), "exists": found.exists(), "state_dir": str(folder)}
    absent = "" if found.exists() else "  (not there; defaults are in force)"
    print_result(value, f"config     {found}{absent}\nstate_dir  {folder}", common.json)


def _hidden(values: dict[str, object]) -> dict[str, object]:
    """The settings of plugins may hold secrets: what is named like one is not shown."""
    shown: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            shown[name] = _hidden(cast("dict[str, object]", value))
        else:
            shown[name] = "[secret]" if value and name.endswith(SECRET_ENDINGS) else value
    return shown


def _toml(values: dict[str, object], prefix: str = "") -> list[str]:
    plain = {name: value for name, value in values.items() if not isinstance(value, dict)}
    tables = {
        name: cast("dict[str, object]", value) for name, value in values.items() if isinstance(value, dict)
    }
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in plain.items()]
    for name, below in tables.items():
        inner = _toml(below, f"{prefix}{name}.")
        nested_only = bool(below) and all(isinstance(value, dict) for value in below.values())
        lines += inner if nested_only else ["", f"[{prefix}{name}]", *inner]
    return lines
