"""The adapters that ship with Dicast, as the entry points in `pyproject.toml` name them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from dicast.consensus.constants import EMBEDDER, EMBEDDER_BITS
from dicast.daemon.lazy_embedder import LazyEmbedder
from dicast.daemon.paths import Paths
from dicast.daemon.plugins import Surroundings, plugin_settings
from dicast.ports import Embedder, Engine, Store, Transport

Table = Mapping[str, object]


class NoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A plugin without settings."""


class FeedSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[engines.feed]`: a command (a list of words) or a URL whose text is the answer."""

    model: str
    command: tuple[str, ...] = ()
    url: str = ""
    domain: str = ""


class MiniLmSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[embedders.minilm]`: where the weights lie, if neither in the package nor in the cache; and threads."""

    weights: str = ""
    threads: int = 1


def tiny(table: Table, surroundings: Surroundings) -> Engine:
    """The embedded model."""
    del surroundings
    from dicast.engines.tiny import TinyEngine

    plugin_settings(table, NoSettings, "engines.tiny")
    return TinyEngine()


def feed(table: Table, surroundings: Surroundings) -> Engine:
    """A command or a URL."""
    del surroundings
    from dicast.engines.feed import FeedEngine

    settings = plugin_settings(table, FeedSettings, "engines.feed")
    return FeedEngine(settings.model, command=settings.command, url=settings.url, domain=settings.domain)


def nostr(table: Table, surroundings: Surroundings) -> Transport:
    """Nostr relays, named by `relays`."""
    from dicast.transports.nostr import NostrTransport

    plugin_settings(table, NoSettings, "transports.nostr")
    return NostrTransport(surroundings.relays, surroundings.key)


def minilm(table: Table, surroundings: Surroundings) -> Embedder:
    """The voting embedder, loaded at first use; raises AdapterError `embedder_missing` without its weights."""
    del surroundings
    settings = plugin_settings(table, MiniLmSettings, "embedders.minilm")
    return minilm_from(Path(settings.weights).expanduser() if settings.weights else None, settings.threads)


def minilm_from(named: Path | None, threads: int = 1) -> LazyEmbedder:
    """The voting embedder over the named weights file, or over the one that is installed or cached."""
    from dicast.embedders.weights import find_weights, missing

    weights = named or find_weights()
    if weights is None or not weights.is_file():
        raise missing()
    return LazyEmbedder(EMBEDDER, EMBEDDER_BITS[EMBEDDER], lambda: _load_minilm(weights, threads))


def _load_minilm(weights: Path, threads: int) -> Embedder:
    from dicast.embedders.minilm import MiniLmEmbedder

    return MiniLmEmbedder(weights, threads)


def sqlite(table: Table, surroundings: Surroundings) -> Store:
    """The durable store."""
    from dicast.stores.sqlite import SqliteStore

    plugin_settings(table, NoSettings, "stores.sqlite")
    return SqliteStore(Paths(surroundings.state_dir).store)


def memory_store(table: Table, surroundings: Surroundings) -> Store:
    """A store that forgets everything at the end; for a node that only asks."""
    del surroundings
    from dicast.stores.memory import MemoryStore

    plugin_settings(table, NoSettings, "stores.memory")
    return MemoryStore()


class OpenAiSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[engines.openai]`: an OpenAI-compatible server; without `base_url` a local Ollama is looked for."""

    base_url: str = ""
    api_key_file: str = ""
    models: tuple[str, ...] = ()


def openai(table: Table, surroundings: Surroundings) -> Engine:
    """An OpenAI-compatible server."""
    from dicast.engines.openai import OpenAiEngine

    raise NotImplementedError
