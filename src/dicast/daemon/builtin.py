"""The adapters that ship with Dicast, as the entry points in `pyproject.toml` name them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from dicast.consensus.constants import EMBEDDER, EMBEDDER_BITS
from dicast.daemon.found_ollama import LocalOllama
from dicast.daemon.lazy_embedder import LazyEmbedder
from dicast.daemon.paths import Paths
from dicast.daemon.plugins import Surroundings, plugin_settings
from dicast.ports import Embedder, Engine, Store, Transport

Table = Mapping[str, object]


class NoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A plugin without settings."""


class OpenAISettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[engines.openai]`: an OpenAI-compatible server; without `base_url` an Ollama of this machine."""

    base_url: str = ""
    key_file: str = ""
    key_variable: str = ""
    context_tokens: int = 0


class AnthropicSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[engines.anthropic]`: Anthropic's API with the operator's own key, or a server that speaks it."""

    base_url: str = ""
    key_file: str = ""
    key_variable: str = ""
    context_tokens: int = 0


class LlamaCppSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[engines.llama_cpp]`: llama.cpp's own server."""

    base_url: str = ""
    key_file: str = ""
    key_variable: str = ""


class NostrTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[transports.nostr]`: whether to tell others of our relays, and to use what they tell of theirs."""

    relay_lists: bool = False


class FeedSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[engines.feed]`: a command (a list of words) or a URL whose text is the answer."""

    model: str
    command: tuple[str, ...] = ()
    url: str = ""
    domain: str = ""


class MiniLmSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[embedders.minilm]`: where the weights lie, if neither installed nor in the cache; and threads."""

    weights: str = ""
    threads: int = 1


def tiny(table: Table, surroundings: Surroundings) -> Engine:
    """The embedded model."""
    del surroundings
    from dicast.engines.tiny import TinyEngine

    plugin_settings(table, NoSettings, "engines.tiny")
    return TinyEngine()


def openai(table: Table, surroundings: Surroundings) -> Engine:
    """An OpenAI-compatible server, or the Ollama of this machine when one answers."""
    settings = plugin_settings(table, OpenAISettings, f"engines.{surroundings.name}")
    if not settings.base_url:
        return LocalOllama()
    from dicast.engines.openai import OpenAIEngine

    key = _key(settings)
    return OpenAIEngine(
        settings.base_url, name=surroundings.name, key=key, context_tokens=settings.context_tokens
    )


def anthropic(table: Table, surroundings: Surroundings) -> Engine:
    """Anthropic's API, or a server that speaks it. It costs money, so it is used only when named."""
    from dicast.engines.anthropic import ANTHROPIC_URL, AnthropicEngine

    settings = plugin_settings(table, AnthropicSettings, f"engines.{surroundings.name}")
    url = settings.base_url or ANTHROPIC_URL
    return AnthropicEngine(
        url, name=surroundings.name, key=_key(settings), context_tokens=settings.context_tokens
    )


def llama_cpp(table: Table, surroundings: Surroundings) -> Engine:
    """llama.cpp's own server, by its own routes."""
    from dicast.engines.llama_cpp import LLAMA_CPP_URL, LlamaCppEngine

    settings = plugin_settings(table, LlamaCppSettings, f"engines.{surroundings.name}")
    return LlamaCppEngine(settings.base_url or LLAMA_CPP_URL, name=surroundings.name, key=_key(settings))


def _key(settings: OpenAISettings | AnthropicSettings | LlamaCppSettings) -> str:
    from dicast.engines.model_server import read_key

    return read_key(Path(settings.key_file) if settings.key_file else None, settings.key_variable)


def feed(table: Table, surroundings: Surroundings) -> Engine:
    """A command or a URL."""
    from dicast.engines.feed import FeedEngine

    settings = plugin_settings(table, FeedSettings, f"engines.{surroundings.name}")
    return FeedEngine(settings.model, command=settings.command, url=settings.url, domain=settings.domain)


def nostr(table: Table, surroundings: Surroundings) -> Transport:
    """Nostr relays, named by `relays`."""
    if plugin_settings(table, NostrTable, "transports.nostr").relay_lists:
        from dicast.transports.nostr_hearsay import ListedNostrTransport

        return ListedNostrTransport(surroundings.relays, surroundings.key, surroundings.content_of)
    from dicast.transports.nostr import NostrTransport

    return NostrTransport(surroundings.relays, surroundings.key, surroundings.content_of)


def minilm(table: Table, surroundings: Surroundings) -> Embedder:
    """The voting embedder, loaded at first use; raises AdapterError `embedder_missing` without weights."""
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
