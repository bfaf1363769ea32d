"""Settings from a file, then the environment, then flags; every error names the key."""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from dicast.base.errors import ConfigurationError
from dicast.base.limits import RELAYS_MAX
from dicast.daemon.config_schema import EXAMPLES, Settings
from dicast.daemon.paths import CONFIG_VARIABLE, STATE_DIR_VARIABLE, config_candidates
from dicast.daemon.settings_view import FLAGS, Origins
from dicast.protocol.peer_book import GIVEN_MAX

CONFIG_BYTES_MAX = 1 << 20
"""A configuration is a page of text; more is a wrong file."""
PREFIX = "DICAST_"
JOINED_MAX = {"relays": RELAYS_MAX, "peers": GIVEN_MAX}
"""Sixteen tickets may name more addresses than a node can use: those of older ones are left out."""
KEY_PARTS_MAX = 8
"""No plugin's setting nests deeper; a YAML file may hold itself."""
LEVEL = "__"
"""Between the levels of a key in the environment: `DICAST_LOG__LEVEL` is `log.level`."""
NOT_SETTINGS = frozenset({STATE_DIR_VARIABLE, CONFIG_VARIABLE})

Table = dict[str, Any]


class Loaded(msgspec.Struct, frozen=True):
    """Settings, and where they came from: the file (if any), the variables, and each by its key."""

    settings: Settings
    file: Path | None
    variables: tuple[str, ...]
    origins: Origins = Origins()


def load_settings(
    config_file: Path | None = None,
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] = os.environ,
    joined: Mapping[str, Any] | None = None,
) -> Loaded:
    """The settings in force. `flags` maps dotted keys to values; `joined` are those of accepted tickets.

    Raises ConfigurationError.
    """
    candidates = config_candidates(config_file, environment)
    read, file = _read_first(candidates, named=config_file is not None)
    sources = dict.fromkeys(_keys(read), "file")
    merged = _with_builtin_plugins(read)
    variables = tuple(sorted(name for name in environment if _is_setting(name)))
    for name in variables:
        key = name[len(PREFIX) :].lower().replace(LEVEL, ".")
        _put(merged, key, _typed(key, environment[name]), source=name)
        sources[key] = name
    for key, value in (flags or {}).items():
        flag = FLAGS.get(key, f"--{key.rsplit('.', 1)[-1].replace('_', '-')}")
        _put(merged, key, value, source=flag)
        sources[key] = flag
    for key in _join(merged, joined or {}):
        sources[key] = f"{sources[key]}, ticket" if key in sources else "ticket"
    return Loaded(_convert(merged), file, variables, Origins(sources, str(file or candidates[0])))


def _keys(table: Table, prefix: str = "", depth: int = KEY_PARTS_MAX) -> Iterator[str]:
    """The dotted keys that stand in a file, whatever it holds."""
    for name, value in table.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and value and depth > 1:
            yield from _keys(cast("Table", value), f"{key}.", depth - 1)
        else:
            yield key


def settings_keys() -> tuple[str, ...]:
    """Every key of the schema, dotted, as `config show` prints them."""
    return tuple(EXAMPLES)


def _with_builtin_plugins(read: Table) -> Table:
    """What ships with Dicast stays in use beside what a file adds, until it says `enabled = false`."""
    merged = dict(read)
    defaults = Settings()
    for kind, tables in (
        ("engines", defaults.engines),
        ("transports", defaults.transports),
        ("embedders", defaults.embedders),
    ):
        given = merged.get(kind, {})
        if isinstance(given, dict):
            merged[kind] = {name: dict(table) for name, table in tables.items()} | given
    return merged


def _join(merged: Table, joined: Mapping[str, Any]) -> list[str]:
    """Tickets stand below everything else; those of another network than the one named say nothing.

    What they said, by key.
    """
    if not joined or merged.get("network", joined["network"]) != joined["network"]:
        return []
    before = {key: merged.get(key) for key in joined}
    for key, value in joined.items():
        given = merged.get(key, [])
        if isinstance(value, list) and isinstance(given, list | tuple):
            both = list(dict.fromkeys([*cast("list[object]", given), *cast("list[object]", value)]))
            merged[key] = both[: max(len(cast("list[object]", given)), JOINED_MAX[key])]
        else:
            merged.setdefault(key, value)
    return [key for key in joined if (merged.get(key) or None) != (before[key] or None)]


def _is_setting(name: str) -> bool:
    return name.startswith(PREFIX) and name not in NOT_SETTINGS and bool(name[len(PREFIX) :])


def _read_first(candidates: tuple[Path, ...], named: bool) -> tuple[Table, Path | None]:
    for path in candidates:
        try:
            with path.open("rb") as file:
                content = file.read(CONFIG_BYTES_MAX + 1)
        except FileNotFoundError:
            if named or len(candidates) == 1:
                raise ConfigurationError(
                    "config_missing", f"config: {path} is not there.", "Leave --config out, or name a file."
                ) from None
            continue
        except OSError as error:
            raise ConfigurationError(
                "config_unreadable", f"config: {path} cannot be read: {error.strerror}.", ""
            ) from error
        return _parse(path, content), path
    return {}, None


def _parse(path: Path, content: bytes) -> Table:
    if len(content) > CONFIG_BYTES_MAX:
        raise ConfigurationError("config_too_large", f"config: {path} is over {CONFIG_BYTES_MAX} bytes.", "")
    try:
        text = content.decode()
        parsed = _decoded(path.suffix.lower(), text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            "config_syntax",
            f"config: {path} is not valid {_language(path)}: {_one_line(error)}.",
            'A line looks like: network = "main"',
        ) from error
    if parsed is None:
        return {}
    if not isinstance(parsed, dict):
        raise ConfigurationError(
            "config_shape",
            f"config: {path} holds no table of settings.",
            'A line looks like: network = "main"',
        )
    return cast("Table", parsed)


def _decoded(suffix: str, text: str) -> object:
    if suffix in (".yaml", ".yml"):
        import yaml

        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(str(error)) from error
    if suffix == ".json":
        return json.loads(text, object_pairs_hook=_without_repeats)
    return tomllib.loads(text)


def _without_repeats(pairs: list[tuple[str, object]]) -> Table:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(
            f"the key {next(name for name in names if names.count(name) > 1)!r} stands there twice"
        )
    return table


def _language(path: Path) -> str:
    return {".yaml": "YAML", ".yml": "YAML", ".json": "JSON"}.get(path.suffix.lower(), "TOML")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _typed(key: str, text: str) -> object:
    """A value of the environment: lists are split at commas, plugin settings are read as TOML if they are."""
    if key in ("relays", "peers", "roles", "ask.models"):
        return [part.strip() for part in text.split(",") if part.strip()]
    if key.split(".", maxsplit=1)[0] in ("engines", "transports", "embedders"):
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            return text
    return text


def _put(table: Table, key: str, value: object, source: str) -> None:
    *parents, last = key.split(".")
    for depth, name in enumerate(parents):
        below: object = table.setdefault(name, {})
        if as_table(below) is not below:
            holder = ".".join(parents[: depth + 1])
            raise ConfigurationError(
                "config_value", f"{holder}: {source} needs a table here.", _example(holder)
            )
        table = as_table(below)
    table[last] = value


def as_table(value: object) -> Table:
    """`value` if it is a table, else an empty one."""
    return cast("Table", value) if isinstance(value, dict) else {}


def _convert(merged: Table) -> Settings:
    try:
        return msgspec.convert(merged, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise _named(str(error), merged) from error


def _named(message: str, merged: Table) -> ConfigurationError:
    """The key, the value and an example, out of msgspec's "reason - at `$.path`"."""
    reason, _, place = message.partition(" - at `$")
    path = re.sub(r"\[[^\]]*\]", "", place.rstrip("`")).lstrip(".")
    unknown = re.search(r"unknown field `([^`]*)`", reason)
    if unknown:
        key = ".".join(part for part in (path, unknown.group(1)) if part)
        close = difflib.get_close_matches(key, EXAMPLES, n=1, cutoff=0.6)
        hint = (
            f"Did you mean {close[0]}? {_example(close[0])}" if close else "`dicast config show` lists all."
        )
        return ConfigurationError("config_unknown_key", f"{key}: there is no such setting.", hint)
    return ConfigurationError(
        "config_value", f"{path}: {_shown(merged, path)} does not fit: {_plain(reason)}.", _example(path)
    )


def _plain(reason: str) -> str:
    return reason[:1].lower() + reason[1:].replace("`", "")


def _shown(merged: Table, path: str) -> str:
    value: object = merged
    for part in path.split("."):
        value = as_table(value).get(part)
    return json.dumps(value, default=str)[:80]


def _example(key: str) -> str:
    while key and key not in EXAMPLES:
        key = key.rpartition(".")[0]
    return f"Example: {EXAMPLES[key]}" if key else "`dicast config show` lists all."
