"""The settings in force as lines to show: where each comes from, how to change it, and no secret."""

from __future__ import annotations

import json
import re
from typing import Any, cast

import msgspec

from dicast.daemon.config_schema import Settings

SECRET_ENDINGS = ("key", "token", "secret", "password")
"""Settings of plugins may hold secrets: what is named like one is not shown."""
HIDDEN = "[secret]"
FLAGS = {
    "network": "--network",
    "passphrase_file": "--passphrase-file",
    "relays": "--relay",
    "lan": "--no-lan",
    "dashboard": "--no-dashboard",
    "dashboard_port": "--dashboard-port",
    "password_file": "--password-file",
    "roles": "--role",
    "slots": "--slots",
    "log.level": "--log-level",
    "log.json": "--log-json",
}
"""Of `dicast up`."""
_USER_IN_URL = re.compile(r"(://)[^/@\s]*@")


class Origins(msgspec.Struct, frozen=True):
    """Where settings came from, by their dotted keys, and the file that is read or would be."""

    sources: dict[str, str] = {}
    file: str = ""


class SettingRecord(msgspec.Struct, frozen=True):
    """One setting in force, what it would be if nobody had said anything, and how to say something.

    `source` is `default`, `file`, a variable (`DICAST_SLOTS`), a flag (`--slots`), `ticket`, or `start` for
    what `dicast up` adds by itself; `lines` are what stands in `file` for the value in force.
    """

    key: str
    value: Any
    default: Any
    source: str = "default"
    file: str = ""
    lines: str = ""
    variable: str = ""
    flag: str = ""


def settings_view(settings: Settings, origins: Origins | None = None) -> tuple[SettingRecord, ...]:
    """Every setting by its dotted key."""
    known = origins or Origins()
    given, defaults = _flat(msgspec.to_builtins(settings)), _flat(msgspec.to_builtins(Settings()))
    return tuple(
        SettingRecord(
            key=key,
            value=value,
            default=defaults.get(key),
            source=_source(key, value == defaults.get(key), known.sources),
            file=known.file,
            lines=_lines(key, value),
            variable="DICAST_" + key.upper().replace(".", "__"),
            flag=FLAGS.get(key, ""),
        )
        for key, value in given.items()
    )


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted keys, without secrets."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and value:
            found.update(_flat(cast("dict[str, Any]", value), f"{key}."))
        else:
            found[key] = HIDDEN if value and name.endswith(SECRET_ENDINGS) else _without_users(value)
    return found


def _source(key: str, is_default: bool, sources: dict[str, str]) -> str:
    return sources.get(key) or ("default" if is_default else "start")


def _lines(key: str, value: Any) -> str:
    """As in a TOML file; a table that is empty is its head alone."""
    table, _, name = key.rpartition(".")
    if isinstance(value, dict):
        return f"[{key}]"
    line = f"{name} = {json.dumps(value, ensure_ascii=False)}"
    return f"[{table}]\n{line}" if table else line


def _without_users(value: Any) -> Any:
    """Addresses may carry a user's name and password."""
    if isinstance(value, str):
        return _USER_IN_URL.sub(rf"\1{HIDDEN}@", value)
    if isinstance(value, list | tuple):
        return [_without_users(one) for one in cast("list[Any]", value)]
    return value
