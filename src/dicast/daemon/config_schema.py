"""Every setting: its type, its default and what it does. `docs/configuration.md` is checked against this."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from dicast.protocol.messages import Role

LogLevel = Literal["debug", "info", "warning", "error"]
PluginTable = dict[str, object]
"""Settings of one plugin; the plugin checks them itself."""

Positive = Annotated[int, msgspec.Meta(ge=1)]


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"as_json": "json"}):
    """What a node writes to standard error."""

    level: LogLevel = "info"
    as_json: bool = False


class AskSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `ask` takes when a flag does not say otherwise."""

    preset: str = "default"
    timeout_s: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 60
    attempts: Annotated[int, msgspec.Meta(ge=1, le=3)] = 1
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=32_768)] = 256
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] = 0.7
    models: tuple[str, ...] = ()
    encrypted: bool = True


class ContentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Blobs: how much is kept and where, where they may come from, and whether others get them."""

    quota_bytes: Annotated[int, msgspec.Meta(ge=0)] = 20 << 30
    folder: str = ""
    mirrors: tuple[str, ...] = ()
    serve: bool = True
    seed: bool = False


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A node's whole configuration."""

    network: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "main"
    passphrase_file: str = ""
    relays: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    lan: bool = True
    dashboard: bool = True
    dashboard_port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 8080
    password_file: str = ""
    roles: tuple[Role, ...] = (Role.WORKER, Role.VALIDATOR)
    slots: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    store: str = "sqlite"
    beacon_file: str = ""
    log: LogSettings = LogSettings()
    ask: AskSettings = AskSettings()
    content: ContentSettings = ContentSettings()
    engines: dict[str, PluginTable] = msgspec.field(default_factory=lambda: {"tiny": {}, "openai": {}})
    transports: dict[str, PluginTable] = msgspec.field(default_factory=lambda: {"nostr": {}})
    embedders: dict[str, PluginTable] = msgspec.field(default_factory=lambda: {"minilm": {}})


EXAMPLES: dict[str, str] = {
    "network": 'network = "main"',
    "passphrase_file": 'passphrase_file = "/home/me/.dicast-passphrase"',
    "relays": 'relays = ["wss://relay.example.org"]',
    "peers": 'peers = ["websocket=ws://192.0.2.1:7780"]',
    "lan": "lan = true",
    "dashboard": "dashboard = true",
    "dashboard_port": "dashboard_port = 8080",
    "password_file": 'password_file = "/home/me/.dicast-password"',
    "roles": 'roles = ["worker", "validator"]',
    "slots": "slots = 1",
    "store": 'store = "sqlite"',
    "beacon_file": 'beacon_file = "/var/lib/dicast/beacon.jsonl"',
    "log.level": 'level = "info"',
    "log.json": "json = true",
    "ask.preset": 'preset = "default"',
    "ask.timeout_s": "timeout_s = 60",
    "ask.attempts": "attempts = 1",
    "ask.max_tokens": "max_tokens = 256",
    "ask.temperature": "temperature = 0.7",
    "ask.models": 'models = ["dicast-tiny"]',
    "ask.encrypted": "encrypted = true",
    "content.quota_bytes": "quota_bytes = 21474836480",
    "content.folder": 'folder = "/srv/dicast/blobs"',
    "content.mirrors": 'mirrors = ["https://mirror.example.org/blobs"]',
    "content.serve": "serve = true",
    "content.seed": "seed = true",
    "engines": '[engines.openai]\nbase_url = "http://127.0.0.1:11434/v1"',
    "transports": "[transports.nostr]",
    "embedders": "[embedders.minilm]",
}
"""A line for each setting that a person can copy; a wrong value is answered with it."""
