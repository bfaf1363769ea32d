"""What is known of a blob before its bytes come: its hash, its size, its hash tree; and its magnet link."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Annotated
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec

from dicast.base.codec import CodecError, decode_as, encode
from dicast.base.errors import RemoteProtocolError
from dicast.base.merkle import (
    BLOB_BYTES_MAX,
    HASH_BYTES,
    NO_LEAF,
    chunk_bytes,
    chunk_count,
    root_of,
)

MANIFEST_BYTES_MAX = (
    2 * HASH_BYTES * BLOB_BYTES_MAX // (4 << 20)
) + 1024  # the largest layer in hex, and its frame
MAGNET_PEERS_MAX = 16  # addresses in a magnet link; more than a person passes on
MAGNET_CHARS_MAX = 4096
BTMH = "urn:btmh:1220"
"""A SHA-256 of 32 bytes as a multihash, which is how magnet links name v2 torrents."""

Hex64 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
_HEX64 = re.compile(r"[0-9a-f]{64}", re.ASCII)


class ManifestError(RemoteProtocolError):
    """A manifest or a magnet link that cannot be right."""


class _Wire(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    v: Annotated[int, msgspec.Meta(ge=1, le=1)]
    sha256: Hex64
    size: Annotated[int, msgspec.Meta(ge=0, le=BLOB_BYTES_MAX)]
    root: Hex64
    layer: str


class Manifest(msgspec.Struct, frozen=True):
    """A blob: the SHA-256 of its bytes, its size, the root of its hash tree, and the hash of each chunk."""

    sha256: str
    size: int
    root: str
    layer: tuple[bytes, ...]

    def encode(self) -> bytes:
        """Canonical JSON."""
        layer = b"".join(self.layer).hex()
        return encode(_Wire(v=1, sha256=self.sha256, size=self.size, root=self.root, layer=layer))

    @property
    def chunk_bytes(self) -> int:
        """How long each chunk but the last is."""
        return chunk_bytes(self.size)

    def span(self, index: int) -> tuple[int, int]:
        """Where a chunk begins, and how long it is."""
        start = index * self.chunk_bytes
        return start, min(self.chunk_bytes, self.size - start)


def decode_manifest(data: bytes) -> Manifest:
    """A manifest whose layer gives its root. Raises ManifestError and nothing else, whatever the bytes."""
    if len(data) > MANIFEST_BYTES_MAX:
        raise ManifestError("manifest_malformed", "The manifest is too long.")
    try:
        wire = decode_as(data, _Wire)
        joined = bytes.fromhex(wire.layer)
    except (CodecError, ValueError) as error:
        raise ManifestError("manifest_malformed", f"The manifest cannot be read: {error}") from error
    if len(joined) != HASH_BYTES * chunk_count(wire.size) or joined.hex() != wire.layer:
        raise ManifestError("manifest_malformed", "The manifest's layer does not fit its size.")
    return make_manifest(wire.sha256, wire.size, split_layer(joined), wire.root)


def make_manifest(sha256: str, size: int, layer: Sequence[bytes], root: str = "") -> Manifest:
    """A manifest of these hashes. Raises ManifestError when they do not give the root that is claimed."""
    found = root_of(layer, size).hex()
    if root and root != found:
        raise ManifestError("manifest_malformed", "The manifest's layer does not give its root.")
    return Manifest(sha256, size, found, tuple(layer))


def split_layer(joined: bytes) -> tuple[bytes, ...]:
    """The hashes that lie one after another."""
    return tuple(joined[place : place + HASH_BYTES] for place in range(0, len(joined), HASH_BYTES))


class Magnet(msgspec.Struct, frozen=True):
    """A magnet link of a v2 torrent: the hash of its description, where peers are, the name it claims."""

    infohash: str
    peers: tuple[tuple[str, int], ...] = ()
    name: str = ""


def description_of(manifest: Manifest) -> bytes:
    """The torrent's description (BEP 52), which follows from the manifest: one file, named by its SHA-256."""
    root = bytes.fromhex(manifest.root)
    pieces_root = b"11:pieces root32:" + root if root != NO_LEAF else b""
    file = b"d0:d6:lengthi%de" % manifest.size + pieces_root + b"ee"
    name = b"64:" + manifest.sha256.encode()
    shape = b"12:meta versioni2e4:name" + name + b"12:piece lengthi%de" % manifest.chunk_bytes
    return b"d9:file treed" + name + file + b"e" + shape + b"e"


def magnet_of(manifest: Manifest, peers: Sequence[tuple[str, int]] = ()) -> str:
    """The magnet link; it binds the SHA-256, the size and the root, for its hash is over all three."""
    link = f"magnet:?xt={BTMH}{hashlib.sha256(description_of(manifest)).hexdigest()}&dn={manifest.sha256}"
    return link + "".join(f"&x.pe={quote(_joined(*peer), safe=':[]')}" for peer in peers)


def parse_magnet(link: str) -> Magnet:
    """A magnet link of a v2 torrent. Raises ManifestError and nothing else."""
    try:
        parts = urlsplit(link[:MAGNET_CHARS_MAX])
        said = parse_qsl(parts.query, max_num_fields=64)
        peers = tuple(_peer(value) for key, value in said if key == "x.pe")[:MAGNET_PEERS_MAX]
    except ValueError as error:
        raise ManifestError("magnet_malformed", f"This is no magnet link: {error}.") from error
    hashes = [value.removeprefix(BTMH) for key, value in said if key == "xt" and value.startswith(BTMH)]
    if parts.scheme != "magnet" or len(hashes) != 1 or not _HEX64.fullmatch(hashes[0]):
        raise ManifestError("magnet_malformed", f"A magnet link of BitTorrent v2 has xt={BTMH}… once.")
    name = next((value for key, value in said if key == "dn"), "")
    return Magnet(hashes[0], peers, name if _HEX64.fullmatch(name) else "")


def is_hash(text: str) -> bool:
    """Whether this is a SHA-256 as we write it."""
    return _HEX64.fullmatch(text) is not None


def _peer(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or not parts.port:
        raise ValueError(f"{text[:80]!r} is no address and port")
    return parts.hostname, parts.port


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
