"""BitTorrent from its table of settings: the hash table, a mesh of WebSockets, and blobs that are seeded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import msgspec

from dicast.base.errors import ConfigurationError
from dicast.content.store import BlobStore
from dicast.daemon.builtin_transports import LINKS_MAX, PEERS_MAX
from dicast.daemon.plugins import PLUGIN_KEY, Surroundings, plugin_of, plugin_settings
from dicast.daemon.transport_settings import check_url, is_loopback, listen_address, too_public, with_extra
from dicast.ports import Transport

if TYPE_CHECKING:
    from dicast.torrent_session import TorrentSession

ANY_PORT = "127.0.0.1:0"


class BittorrentTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[transports.bittorrent]`: where the mesh and the table listen, and whom of the table to join by."""

    listen: str = ANY_PORT
    announce: str = ""
    table: str = ANY_PORT
    bootstrap: tuple[str, ...] = ()
    public: bool = False
    links: Annotated[int, msgspec.Meta(ge=1, le=1024)] = LINKS_MAX


def bittorrent(table: Mapping[str, object], surroundings: Surroundings) -> Transport:
    """BitTorrent's hash table to find nodes, and links of the mesh to them."""
    key = f"transports.{surroundings.name}"
    settings = plugin_settings(table, BittorrentTable, key)
    if settings.announce:
        check_url(f"{key}.announce", settings.announce, ("ws", "wss"), "ws://192.0.2.1:7780")
    mesh_at = _checked_listen(f"{key}.listen", settings.listen, settings.public)
    table_at = _checked_listen(f"{key}.table", settings.table, settings.public)
    bootstrap = bootstrap_nodes(key, settings)

    def build() -> Transport:
        from dicast.content.torrent import Seeder
        from dicast.torrent_session import PUBLIC_ROUTERS, SessionSettings, TorrentSession
        from dicast.transports.bittorrent import BittorrentTransport
        from dicast.transports.websocket import MeshSettings

        known = bootstrap or (PUBLIC_ROUTERS if settings.public else ())
        session = TorrentSession(SessionSettings(table_at, known))
        mesh = MeshSettings(mesh_at, settings.announce, links_max=settings.links)
        transport = BittorrentTransport(session, mesh, surroundings.name, surroundings.pages)
        if surroundings.seeded is not None:
            transport.companion = Seeder(session, BlobStore(surroundings.seeded))
        return transport

    return with_extra("bittorrent", build)


def session_for_fetching(tables: Mapping[str, Mapping[str, object]]) -> TorrentSession | None:
    """A session as the first table of BitTorrent says, on a port of its own; None without libtorrent."""
    found = ((name, table) for name, table in tables.items() if plugin_of(name, table) == "bittorrent")
    none: tuple[str, Mapping[str, object]] = ("bittorrent", {})
    name, table = next(found, none)
    key = f"transports.{name}"
    rest = {word: value for word, value in table.items() if word not in (PLUGIN_KEY, "enabled")}
    settings = plugin_settings(rest, BittorrentTable, key)
    host, _ = _checked_listen(f"{key}.table", settings.table, settings.public)
    known = bootstrap_nodes(key, settings)
    try:
        from dicast.torrent_session import PUBLIC_ROUTERS, SessionSettings, TorrentSession
    except ImportError:
        return None
    routers = PUBLIC_ROUTERS if settings.public else ()
    return TorrentSession(SessionSettings((host, 0), known or routers))


def bootstrap_nodes(key: str, settings: BittorrentTable) -> tuple[str, ...]:
    """The nodes of the table that the settings name. Raises ConfigurationError."""
    for node in settings.bootstrap[: PEERS_MAX + 1]:
        try:
            parts = urlsplit(f"//{node}")
            is_good = bool(parts.hostname) and bool(parts.port) and "," not in node
        except ValueError:
            is_good = False
            parts = urlsplit("")
        if not is_good or len(settings.bootstrap) > PEERS_MAX:
            raise ConfigurationError(
                "config_value",
                f"{key}.bootstrap: {node!r} is no address and port, or there are over {PEERS_MAX}.",
                'Example: bootstrap = ["192.0.2.1:6881"]',
            )
        if not settings.public and not is_loopback(parts.hostname or ""):
            raise too_public(f"{key}.bootstrap", node)
    return settings.bootstrap


def _checked_listen(key: str, text: str, public: bool) -> tuple[str, int]:
    host, port = listen_address(key, text)
    if not public and not is_loopback(host):
        raise too_public(key, text)
    return host, port
