"""Settings: file < environment < flags; every error names the key, the value and an example."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dicast.base.errors import ConfigurationError
from dicast.daemon.config import load_settings
from dicast.daemon.config_schema import AskSettings, LogSettings, Settings
from dicast.protocol.messages import Role

TOML = """
network = "family"
relays = ["ws://127.0.0.1:7777"]
slots = 3
[log]
level = "debug"
[ask]
preset = "story"
[engines.feed]
model = "clock"
command = ["date"]
"""
YAML = """
network: family
relays: ["ws://127.0.0.1:7777"]
slots: 3
log: {level: debug}
ask: {preset: story}
engines: {feed: {model: clock, command: [date]}}
"""
JSON = json.dumps(
    {
        "network": "family",
        "relays": ["ws://127.0.0.1:7777"],
        "slots": 3,
        "log": {"level": "debug"},
        "ask": {"preset": "story"},
        "engines": {"feed": {"model": "clock", "command": ["date"]}},
    }
)
EXPECTED = Settings(
    network="family",
    relays=("ws://127.0.0.1:7777",),
    slots=3,
    log=LogSettings(level="debug"),
    ask=AskSettings(preset="story"),
    engines={"tiny": {}, "openai": {}, "feed": {"model": "clock", "command": ["date"]}},
)


def test_a_json_file_with_a_key_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text('{"slots": 1, "slots": 2}')
    with pytest.raises(ConfigurationError, match="'slots' stands there twice"):
        load_settings(file, environment={})


def written(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "text"), [("c.toml", TOML), ("c.yaml", YAML), ("c.yml", YAML), ("c.json", JSON)]
)
def test_three_languages_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    path = written(tmp_path, name, text)
    loaded = load_settings(path, environment={})
    assert (loaded.settings, loaded.file) == (EXPECTED, path)


def test_without_a_file_the_defaults_are_in_force(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert load_settings(environment={}).settings == Settings()


def test_the_environment_stands_above_the_file_and_flags_above_both(tmp_path: Path) -> None:
    path = written(tmp_path, "c.toml", TOML)
    environment = {
        "DICAST_SLOTS": "5",
        "DICAST_LOG__LEVEL": "warning",
        "DICAST_RELAYS": "ws://a, ws://b",
        "DICAST_ROLES": "worker",
        "DICAST_ENGINES__FEED__MODEL": "watch",
        "DICAST_STATE_DIR": "/nowhere",
        "OTHER": "x",
    }
    loaded = load_settings(path, {"log.level": "error", "network": "flag"}, environment)
    settings = loaded.settings
    assert (settings.slots, settings.log.level, settings.relays, settings.network) == (
        5,
        "error",
        ("ws://a", "ws://b"),
        "flag",
    )
    assert settings.roles == (Role.WORKER,)
    assert settings.engines["feed"] == {"model": "watch", "command": ["date"]}
    assert "DICAST_STATE_DIR" not in loaded.variables


WRONG = {
    'slots = "many"': ("config_value", "slots", '"many"', "slots = 1"),
    "slots = 0": ("config_value", "slots", "0", "slots = 1"),
    "slts = 1": ("config_unknown_key", "slts", "", "slots = 1"),
    "[log]\nlevel = 3": ("config_value", "log.level", "3", 'level = "info"'),
    "[log]\nlevl = 'info'": ("config_unknown_key", "log.levl", "", "log.level"),
    "relays = 'ws://a'": ("config_value", "relays", '"ws://a"', "relays = ["),
    "roles = ['king']": ("config_value", "roles", "king", 'roles = ["worker"'),
    "[ask]\ntemperature = 9.5": ("config_value", "ask.temperature", "9.5", "temperature = 0.7"),
    "log = 5": ("config_value", "log", "5", "config show"),
    "engines = 5": ("config_value", "engines", "5", "[engines.openai]"),
    "network = ''": ("config_value", "network", '""', 'network = "main"'),
    "network": ("config_syntax", "config", "TOML", "network ="),
}


@pytest.mark.parametrize("text", WRONG)
def test_an_error_names_the_key_the_value_and_an_example(tmp_path: Path, text: str) -> None:
    code, key, value, example = WRONG[text]
    with pytest.raises(ConfigurationError) as caught:
        load_settings(written(tmp_path, "c.toml", text), environment={})
    error = caught.value
    assert error.code == code
    assert key in error.message
    assert value in error.message
    assert example in error.next_step


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.json", "{"),
        ("c.json", "[" * 100_000),
        ("c.yaml", "a: [1"),
        ("c.yaml", "- a\n- b"),
        ("c.json", "3"),
        ("c.toml", "\x00"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(ConfigurationError):
        load_settings(written(tmp_path, name, text), environment={})


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="config_missing"):
        load_settings(tmp_path / "none.toml", environment={})
    with pytest.raises(ConfigurationError, match="config_missing"):
        load_settings(environment={"DICAST_CONFIG": str(tmp_path / "none.toml")})


def test_a_table_where_a_value_is_and_the_other_way_round(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="network"):
        load_settings(written(tmp_path, "c.toml", "network = 'x'"), environment={"DICAST_NETWORK__NAME": "y"})


def test_an_unknown_variable_is_an_error_with_a_hint() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean relays") as caught:
        load_settings(environment={"DICAST_RELAY": "ws://a", "DICAST_CONFIG": "/dev/null"})
    assert caught.value.code == "config_unknown_key"
