"""Docs are tests: every command, option, setting, exit code, method and code is on some page of `docs`."""

from __future__ import annotations

import ast
import importlib
import re
import typing
from pathlib import Path

import msgspec
import pytest
from cyclopts import App

from dicast.cli.commands import COMMANDS
from dicast.cli.exit_codes import NO_NETWORK_CODES, Exit
from dicast.consensus.reasons import FrameFault, Reason, Status
from dicast.daemon import api
from dicast.daemon.config_schema import EXAMPLES, Settings
from dicast.protocol.certificate import Fault
from dicast.protocol.messages import DeclineReason, Refusal

ROOT = Path(__file__).resolve().parents[2]
CLI = "\n".join(page.read_text() for page in sorted((ROOT / "docs").glob("*.md")))
CONFIGURATION = (ROOT / "docs/configuration.md").read_text()
SECTIONS = dict(re.findall(r"^## `dicast (\w+)`\n(.*?)(?=^## |^# |\Z)", CLI, re.MULTILINE | re.DOTALL))
COMMON = {"--json", "--state-dir", "--config", "--password-file", "--log-level", "--log-json", "--help", "-h"}
RAISED = {
    "Rejection",
    "LocalProtocolError",
    "AdapterError",
    "ConfigurationError",
    "print_error",
    "ErrorRecord",
}
ELSEWHERE = ("gateway", "simulator", "chains", "web")
"""Packages whose codes are on pages of their own."""


def documented(text: str, name: str) -> bool:
    return f"`{name}`" in text


def test_every_command_has_a_section() -> None:
    assert sorted(SECTIONS) == sorted(COMMANDS)


def apps(command: str) -> list[tuple[str, App]]:
    module, _, name = COMMANDS[command].place.partition(":")
    found = getattr(importlib.import_module(f"dicast.cli.{module}"), name)
    if isinstance(found, App):
        return [(sub, found[sub]) for sub in found if not sub.startswith("-")]
    app = App(name=command)
    app.default(found)
    return [("", app)]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_in_its_section(command: str) -> None:
    section = SECTIONS[command]
    for sub, app in apps(command):
        assert not sub or f"`{command} {sub}" in section
        for argument in app.assemble_argument_collection():
            names = [name for name in argument.names if name.startswith("--")]
            assert not names or set(names) & COMMON or any(f"`{name}" in section for name in names), names


def test_every_common_option_is_named() -> None:
    assert [name for name in COMMON if name.startswith("--") and name not in CLI] == []


def test_every_exit_code_is_in_the_table() -> None:
    for code in Exit:
        assert f"| {code.value} | `{code.name}` |" in CLI


def keys(kind: type, prefix: str = "") -> list[str]:
    found: list[str] = []
    for field in msgspec.structs.fields(kind):
        name = f"{prefix}{field.encode_name}"
        nested = isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
        found += keys(field.type, f"{name}.") if nested else [name]
    return found


def test_every_setting_has_an_example_and_a_heading() -> None:
    assert sorted(keys(Settings)) == sorted(EXAMPLES)
    assert [key for key in EXAMPLES if f"### `{key}`\n" not in CONFIGURATION] == []


def test_the_defaults_on_the_page_are_the_defaults() -> None:
    plain = msgspec.to_builtins(Settings())
    for key in EXAMPLES:
        value: typing.Any = plain
        for part in key.split("."):
            value = value[part]
        if not isinstance(value, dict):
            shown = msgspec.json.encode(value).decode().replace(",", ", ")
            assert f"### `{key}`\nDefault `{shown}`" in CONFIGURATION, key


def test_every_method_of_the_socket_is_named() -> None:
    methods = [kind.__struct_config__.tag for kind in typing.get_args(api.AnyCall)]
    assert [method for method in methods if not documented(CLI, method)] == []


ENUMS = {
    "frame": [fault.value for fault in FrameFault],
    "reason": [reason.value for reason in Reason],
    "status": [status.value for status in Status],
    "decline": [reason.value for reason in DeclineReason],
    "refusal": [refusal.value for refusal in Refusal],
    "certificate": [f"certificate_{fault.value}" for fault in Fault],
    "no network": sorted(NO_NETWORK_CODES),
}


@pytest.mark.parametrize("name", ENUMS)
def test_every_reason_is_named(name: str) -> None:
    assert [reason for reason in ENUMS[name] if not documented(CLI, reason)] == []


def raised_codes() -> set[str]:
    found: set[str] = set()
    for path in sorted((ROOT / "src/dicast").rglob("*.py")):
        if path.relative_to(ROOT / "src/dicast").parts[0] in ELSEWHERE:
            continue
        text = path.read_text()
        found |= set(re.findall(r'^    "(store_\w+)",$', text, re.MULTILINE))
        for call in (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)):
            name = call.func.id if isinstance(call.func, ast.Name) else ""
            place = 1 if name == "ErrorRecord" else 0
            if name in RAISED and len(call.args) > place and isinstance(call.args[place], ast.Constant):
                found.add(call.args[place].value)
    return found


def test_every_code_of_an_error_is_named() -> None:
    codes = raised_codes()
    assert len(codes) > 90
    assert sorted(code for code in codes if not documented(CLI, code)) == []


def test_every_end_of_a_round_is_named() -> None:
    text = (ROOT / "src/dicast/protocol/requester.py").read_text()
    ends = set(re.findall(r'_end\(round_, errand, "(\w+)"', text))
    assert ends >= {"cancelled", "expired"}
    assert sorted(end for end in ends if not documented(CLI, end)) == []
