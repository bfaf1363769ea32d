"""The door for adapters: entry points by group and name. What ships with Dicast comes in the same way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from dicast.base.crypto import KeyPair
from dicast.base.errors import ConfigurationError

T = TypeVar("T")
ENGINES, TRANSPORTS = "dicast.engines", "dicast.transports"
EMBEDDERS, STORES = "dicast.embedders", "dicast.stores"
GROUPS = (ENGINES, TRANSPORTS, EMBEDDERS, STORES)
PLUGIN_KEY = "plugin"
"""In a table of settings: which plugin it is for, where that is not the table's own name."""


Pages = Callable[[str, str], Awaitable[tuple[int, dict[str, str], bytes] | None]]
"""(path, Range) -> status, headers and body: what a transport that listens for HTTP may answer besides."""


class Surroundings(msgspec.Struct, frozen=True):
    """What a plugin may know: the name of its own table of settings, and the node it serves."""

    name: str
    state_dir: Path
    relays: tuple[str, ...]
    key: KeyPair
    pages: Pages | None = None
    seeded: Path | None = None
    """The folder of blobs that BitTorrent gives to others, None where that is not wanted."""
    content_of: Callable[[bytes], str] | None = None
    """Opens what a packet of our own says, on a private network."""


Factory = Callable[[Mapping[str, object], Surroundings], Any]
"""What an entry point names: (its table of settings, surroundings) -> adapter. Raises DicastError."""


def plugin_of(name: str, table: Mapping[str, object]) -> str:
    """Which plugin the table of settings called `name` is for."""
    return str(table.get(PLUGIN_KEY, name))


def is_on(table: Mapping[str, object]) -> bool:
    """Whether a table of settings does not say `enabled = false`."""
    return table.get("enabled", True) not in (False, "false")


def build(group: str, name: str, table: Mapping[str, object], surroundings: Surroundings) -> Any:
    """The adapter that the table of settings called `name` asks for."""
    wanted = plugin_of(name, table)
    settings = {key: value for key, value in table.items() if key != PLUGIN_KEY}
    factory: Factory = _entry(group, wanted).load()
    return factory(settings, msgspec.structs.replace(surroundings, name=name))


def names(group: str) -> tuple[str, ...]:
    """The plugins of a group that are installed."""
    return tuple(sorted(entry.name for entry in entry_points(group=group)))


def plugin_settings(table: Mapping[str, object], kind: type[T], key: str) -> T:
    """A plugin's settings as a record of its own; errors name the key under `key`."""
    try:
        return msgspec.convert(dict(table), kind, strict=False)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        path = f"{key}{place.rstrip('`')}"
        fields = ", ".join(field.encode_name for field in msgspec.structs.fields(kind))  # type: ignore[arg-type]
        raise ConfigurationError(
            "config_value", f"{path}: {reason.replace('`', '')}.", f"[{key}] takes: {fields or 'nothing'}."
        ) from error


def _entry(group: str, name: str) -> EntryPoint:
    for entry in entry_points(group=group):
        if entry.name == name:
            return entry
    kind = group.removeprefix("dicast.")
    raise ConfigurationError(
        "plugin_missing",
        f"{kind}.{name}: no such plugin is installed.",
        f"Installed: {', '.join(names(group))}.",
    )
