"""The blobs of a node: where they lie, and where they may come from, as the settings say."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from dicast.base.errors import AdapterError, ConfigurationError
from dicast.content.fetch import Fetched, Fetcher
from dicast.content.manifest import Magnet, Manifest, ManifestError, is_hash, magnet_of, parse_magnet
from dicast.content.scanning import silent
from dicast.content.serving import BlobPages
from dicast.content.sources import HttpSource, Source, mesh_source
from dicast.content.store import BlobStore
from dicast.daemon.api import PeerRecord, StatusResult
from dicast.daemon.builtin_bittorrent import session_for_fetching
from dicast.daemon.config_schema import Settings
from dicast.daemon.paths import Paths
from dicast.daemon.plugins import Pages
from dicast.daemon.private_network import topic_in
from dicast.daemon.vicinity import is_on_this_machine, mesh_peers
from dicast.protocol.messages import Attachment

FOLDER = "blobs"
SOURCES_MAX = 16
"""Asked at once; each holds some connections."""
MET_MAX = 64
"""Addresses of other nodes that are looked at: four for each that is asked."""


class Wanted(msgspec.Struct, frozen=True):
    """A blob and where to look: its hash, URLs, addresses of the mesh, a magnet link as it was given."""

    sha256: str
    urls: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    magnet: Magnet | None = None
    link: str = ""
    bytes_max: int = 0
    """A larger one is not wanted, and neither is one whose size nobody says; 0 takes any."""
    heard: tuple[str, ...] = ()
    """Further addresses of the mesh, by the word of strangers: asked where there is room beside others."""


def blob_store(settings: Settings, paths: Paths) -> BlobStore:
    """The store of a node; its folder need not be there."""
    content = settings.content
    folder = Path(content.folder).expanduser() if content.folder else paths.state_dir / FOLDER
    return BlobStore(folder, content.quota_bytes)


def wanted(name: str, sources: Sequence[str]) -> Wanted:
    """What was asked for on a command line. Raises ConfigurationError."""
    links = [source for source in (name, *sources) if source.startswith("magnet:")]
    magnet = _magnet(links[0]) if links else None
    sha256 = magnet.name if name.startswith("magnet:") and magnet is not None else name
    if not is_hash(sha256) or (magnet is not None and magnet.name not in ("", sha256)) or len(links) > 1:
        raise ConfigurationError(
            "blob_name",
            f"{name[:80]!r} does not name one blob.",
            "A SHA-256 (64 lower-case hex digits), or a magnet link as `dicast blob add` prints.",
        )
    urls = tuple(source for source in sources if source.startswith(("http://", "https://")))
    nodes = tuple(source for source in sources if source.startswith(("ws://", "wss://")))
    if len(urls) + len(nodes) + len(links) != len(sources) + name.startswith("magnet:"):
        raise ConfigurationError(
            "blob_source",
            "A source is of no known kind.",
            "--from takes http(s):// URLs, ws(s):// nodes and a magnet link.",
        )
    return Wanted(sha256, urls, nodes, magnet, links[0] if links else "")


async def also_from(asked: Wanted, node: StatusResult, peers: Iterable[PeerRecord]) -> Wanted:
    """What was asked for, from nodes that the one here met as well, where their word is enough to knock."""
    from dicast.daemon.named_nodes import allowed

    said = (place for peer in peers for place in peer.addresses.get("websocket", ()))
    places = await allowed(islice(dict.fromkeys(said), MET_MAX), with_loopback=node.on_this_machine)
    return msgspec.structs.replace(asked, heard=tuple(places))


async def fetch(
    settings: Settings, paths: Paths, asked: Wanted, progress: Callable[[int, int], None], pin: bool
) -> Fetched:
    """Load a blob, if it is not here. Raises DicastError; what came is kept."""
    store = blob_store(settings, paths)
    here = store.path(asked.sha256)
    manifest = store.manifest(asked.sha256)
    if here is not None and manifest is not None:
        if pin:
            store.pin(asked.sha256, pinned=True)
        return Fetched(here, manifest, {}, ())
    sources = _sources(settings, asked)
    if not sources and asked.magnet is None:
        raise AdapterError(
            "blob_nowhere",
            "There is no source to load it from.",
            "Name one with --from, or set content.mirrors or transports.websocket.peers.",
        )
    try:
        fetcher = Fetcher(store, asked.sha256, _acceptance(asked.magnet, asked.bytes_max))
        return await fetcher.fetch(sources, progress, pin=pin)
    except AdapterError as error:
        if asked.magnet is None or error.code != "blob_failed":
            raise
    return await _by_torrent(settings, store, asked, progress, pin)


async def _by_torrent(
    settings: Settings, store: BlobStore, asked: Wanted, progress: Callable[[int, int], None], pin: bool
) -> Fetched:
    """From BitTorrent's peers, with the URLs as seeds beside them."""
    session = session_for_fetching(settings.transports)
    if session is None:
        raise AdapterError(
            "transport_missing",
            "A magnet link needs libtorrent, which is not installed.",
            "Run: pip install 'dicast[bittorrent]'",
        )
    from dicast.content.torrent import Asked, fetch_torrent

    manifest = await fetch_torrent(session, store, Asked(asked.sha256, asked.link, asked.urls), progress)
    if pin:
        store.pin(asked.sha256, pinned=True)
    return Fetched(store.folder / asked.sha256, manifest, {"bittorrent": manifest.size}, ())


class QuestionBlobs:
    """Attached questions in the store of a node, from the nodes and mirrors that may have them."""

    def __init__(self, settings: Settings, paths: Paths) -> None:
        self._settings = settings
        self._store = blob_store(settings, paths)
        self._is_fresh = True
        self._first = asyncio.Lock()

    async def keep(self, attachment: Attachment, data: bytes) -> None:
        """Whole and on disk, where the mesh serves it."""
        await self._begin()
        await asyncio.to_thread(self._store.hold, attachment.sha256, data)

    async def fetch(self, attachment: Attachment, nodes: Sequence[str]) -> bytes:
        """From the store, else from every source at once; each chunk is checked against the root."""
        await self._begin()
        sha256 = attachment.sha256
        if await asyncio.to_thread(self._store.path, sha256) is None:
            from dicast.daemon.named_nodes import allowed

            with_loopback = is_on_this_machine(self._settings)
            asked = Wanted(sha256, (), tuple(await allowed(nodes, with_loopback=with_loopback)))
            sources = _sources(self._settings, asked)
            if not sources:
                raise AdapterError("blob_nowhere", "The requester names no address to fetch it from.")
            fetcher = Fetcher(self._store, sha256, lambda found: _is_of(found, attachment))
            await fetcher.fetch(sources, silent)
        await asyncio.to_thread(self._store.claim, sha256)
        return await asyncio.to_thread((self._store.folder / sha256).read_bytes)

    async def release(self, sha256: str) -> None:
        """It may go when room is needed."""
        await asyncio.to_thread(self._store.let_go, sha256)

    async def _begin(self) -> None:
        async with self._first:
            if self._is_fresh:
                await asyncio.to_thread(self._store.let_all_go)
                self._is_fresh = False


def _is_of(manifest: Manifest, attachment: Attachment) -> bool:
    """Does a manifest describe the blob that a request names? Only then a chunk is asked for."""
    return (manifest.size, manifest.root) == (attachment.size, attachment.root)


def pages(settings: Settings, paths: Paths) -> Pages | None:
    """What a node answers to plain requests where its mesh listens; None when it serves nothing."""
    return BlobPages(blob_store(settings, paths)).answer if settings.content.serve else None


def copy_out(path: Path, output: Path) -> Path:
    """Copy a blob to where a person wants it, whole or not at all."""
    temporary = output.with_name(f".{output.name}.part")
    try:
        try:
            shutil.copyfile(path, temporary)
            temporary.replace(output)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise AdapterError(
            "file_unwritable", f"{output} cannot be written: {error.strerror}.", "Name another file."
        ) from error
    return output


def _sources(settings: Settings, asked: Wanted) -> list[Source]:
    """Every place to ask: what was named first, then mirrors, then the peers of the mesh, then hearsay."""
    topic = topic_in(settings)
    urls = [*asked.urls, *(f"{mirror.rstrip('/')}/{asked.sha256}" for mirror in settings.content.mirrors)]
    nodes = [*asked.nodes, *mesh_peers(settings), *asked.heard]
    sources: list[Source] = [HttpSource(_checked(url)) for url in dict.fromkeys(urls)]
    sources += [mesh_source(_checked(node), topic, asked.sha256) for node in dict.fromkeys(nodes)]
    return sources[:SOURCES_MAX]


def _acceptance(magnet: Magnet | None, bytes_max: int) -> Callable[[Manifest], bool] | None:
    """A magnet link binds the manifest, for its hash is over the SHA-256, the size and the root."""
    if magnet is None:
        return (lambda found: found.size <= bytes_max) if bytes_max else None
    return lambda found: parse_magnet(magnet_of(found)).infohash == magnet.infohash


def _magnet(link: str) -> Magnet:
    try:
        return parse_magnet(link)
    except ManifestError as error:
        raise ConfigurationError("blob_name", error.message, "Copy the whole link, in quotes.") from error


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_good = bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_good = False
    if not is_good:
        raise ConfigurationError(
            "blob_source", f"{url[:80]!r} is no address.", "Example: https://example.org/f"
        )
    return url
