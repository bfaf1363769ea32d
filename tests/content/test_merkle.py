"""The hash tree is that of BitTorrent v2: libtorrent computes the same, whatever the size."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import libtorrent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.base.merkle import (
    BLOB_BYTES_MAX,
    CHUNK_BYTES_MAX,
    CHUNK_BYTES_MIN,
    CHUNKS_WANTED_MAX,
    chunk_bytes,
    chunk_count,
    root_of_bytes,
)
from dicast.content import manifest as manifests
from dicast.content.manifest import (
    Manifest,
    ManifestError,
    decode_manifest,
    description_of,
    magnet_of,
    parse_magnet,
)

SIZES = [1, 16_384, 16_385, 65_536, 65_537, 131_072, 3 * 65_536, 1_000_000, 2049 * 65_536]


@pytest.mark.parametrize("size", SIZES)
def test_libtorrent_computes_the_same_tree_and_torrent(
    size: int, tmp_path: Path, describe: Callable[[bytes], Manifest]
) -> None:
    content = (b"dicast %d " % size) * (size // 8 + 1)
    manifest = describe(content[:size])
    (tmp_path / manifest.sha256).write_bytes(content[:size])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        storage = libtorrent.file_storage()
        storage.add_file(manifest.sha256, size)
        making = libtorrent.create_torrent(storage, manifest.chunk_bytes, libtorrent.create_torrent.v2_only)
    libtorrent.set_piece_hashes(making, str(tmp_path))
    torrent = making.generate()
    layers = torrent.get(b"piece layers", {}).get(bytes.fromhex(manifest.root), manifest.layer[0])
    assert libtorrent.bencode(torrent[b"info"]) == description_of(manifest)
    assert layers == b"".join(manifest.layer)
    assert root_of_bytes(content[:size]).hex() == manifest.root
    parsed = libtorrent.parse_magnet_uri(magnet_of(manifest, [("127.0.0.1", 6881), ("::1", 6882)]))
    assert str(parsed.info_hashes.v2) == parse_magnet(magnet_of(manifest)).infohash
    assert parsed.peers == [("127.0.0.1", 6881), ("::1", 6882)]


@given(st.integers(0, BLOB_BYTES_MAX))
def test_chunks_are_few_and_neither_tiny_nor_huge(size: int) -> None:
    length = chunk_bytes(size)
    assert CHUNK_BYTES_MIN <= length <= CHUNK_BYTES_MAX
    assert chunk_count(size) <= CHUNKS_WANTED_MAX or length == CHUNK_BYTES_MAX
    assert (chunk_count(size) - 1) * length < size or size == 0


def test_a_manifest_survives_the_wire(content: bytes, describe: Callable[[bytes], Manifest]) -> None:
    for some in (content, b"", b"x", content[:65_536]):
        manifest = describe(some)
        assert decode_manifest(manifest.encode()) == manifest


@given(st.binary(max_size=400))
def test_whatever_the_bytes_they_are_a_manifest_or_refused(data: bytes) -> None:
    with pytest.raises(ManifestError):
        decode_manifest(data)


@given(st.data())
def test_a_manifest_that_was_touched_is_refused_or_says_the_same(data: st.DataObject) -> None:
    manifest = manifests.make_manifest("ab" * 32, 3 * 65_536, [bytes([n]) * 32 for n in range(3)])
    wire = bytearray(manifest.encode())
    wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode_manifest(bytes(wire))
    except ManifestError:
        return
    assert found.root == manifest.root
    assert found.layer == manifest.layer


def test_too_long_a_manifest_is_not_even_read() -> None:
    with pytest.raises(ManifestError, match="too long"):
        decode_manifest(bytes(manifests.MANIFEST_BYTES_MAX + 1))


@given(st.text(max_size=300))
def test_whatever_the_text_it_is_a_magnet_link_or_refused(text: str) -> None:
    for link in (text, "magnet:?" + text, f"magnet:?xt={manifests.BTMH}{text}"):
        try:
            assert manifests.is_hash(parse_magnet(link).infohash)
        except ManifestError:
            continue


def test_a_link_with_strange_parts() -> None:
    known = "ab" * 32
    link = f"magnet:?xt=urn:btih:1&xt={manifests.BTMH}{known}&dn=a%20name&x.pe=127.0.0.1:1&tr=udp://x"
    assert parse_magnet(link) == manifests.Magnet(known, (("127.0.0.1", 1),), "")
    with pytest.raises(ManifestError):
        parse_magnet(f"magnet:?xt={manifests.BTMH}{known}&x.pe=nowhere")
