"""The settings in force as lines to show, without the secrets among them."""

from __future__ import annotations

import re
from typing import Any, cast

import msgspec

from dicast.daemon.config_schema import Settings

SECRET_ENDINGS = ("key", "token", "secret", "password")
"""Settings of plugins may hold secrets: what is named like one is not shown."""
HIDDEN = "[secret]"
_USER_IN_URL = re.compile(r"(://)[^/@\s]*@")


class SettingRecord(msgspec.Struct, frozen=True):
    """One setting in force, and what it would be if nobody had said anything."""

    key: str
    value: Any
    default: Any


def settings_view(settings: Settings) -> tuple[SettingRecord, ...]:
    """Every setting by its dotted key."""
    given, defaults = _flat(msgspec.to_builtins(settings)), _flat(msgspec.to_builtins(Settings()))
    return tuple(SettingRecord(key, value, defaults.get(key)) for key, value in given.items())


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in table.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and value:
            flat.update(_flat(cast("dict[str, Any]", value), f"{key}."))
        else:
            flat[key] = HIDDEN if value and name.endswith(SECRET_ENDINGS) else _without_users(value)
    return flat


def _without_users(value: Any) -> Any:
    """Addresses may carry a user's name and password."""
    if isinstance(value, str):
        return _USER_IN_URL.sub(rf"\1{HIDDEN}@", value)
    if isinstance(value, list | tuple):
        return [_without_users(one) for one in cast("list[Any]", value)]
    return value
