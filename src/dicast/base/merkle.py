"""The hash tree of BitTorrent v2 (BEP 52): SHA-256 over leaves of 16 KiB; any chunk can be checked alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

LEAF_BYTES = 16 * 1024
CHUNK_BYTES_MIN = 64 * 1024  # smaller ones cost more in requests than a wrong one costs
CHUNK_BYTES_MAX = 4 << 20  # what a wrong byte may cost, and what one request holds in memory
CHUNKS_WANTED_MAX = 2048  # chunks grow until there are no more, so that a list of hashes is 64 KiB
BLOB_BYTES_MAX = 256 << 30  # the largest models; their list of hashes is 2 MiB
HASH_BYTES = 32
NO_LEAF = bytes(HASH_BYTES)


def chunk_bytes(size: int) -> int:
    """How long the chunks of a blob of `size` bytes are: a power of two that follows from the size alone."""
    length = CHUNK_BYTES_MIN
    while length < CHUNK_BYTES_MAX and length * CHUNKS_WANTED_MAX < size:
        length *= 2
    return length


def chunk_count(size: int) -> int:
    """How many chunks a blob has; an empty one has none."""
    return -(-size // chunk_bytes(size))


def chunk_hash(data: bytes | memoryview, size: int) -> bytes:
    """The hash of one chunk of a blob of `size` bytes; a chunk that is the whole blob gives the root."""
    view = memoryview(data)
    leaves = [
        hashlib.sha256(view[start : start + LEAF_BYTES]).digest() for start in range(0, len(view), LEAF_BYTES)
    ]
    width = chunk_bytes(size) // LEAF_BYTES if chunk_count(size) > 1 else _power_of_two(len(leaves))
    return _tree(leaves, width, NO_LEAF)


def root_of_bytes(data: bytes) -> bytes:
    """The root of a blob that is all here."""
    view, length = memoryview(data), chunk_bytes(len(data))
    chunks = (view[start : start + length] for start in range(0, len(data), length))
    return root_of([chunk_hash(chunk, len(data)) for chunk in chunks], len(data))


def root_of(layer: Sequence[bytes], size: int) -> bytes:
    """The root over the hashes of all chunks: the `pieces root` of BEP 52. Of an empty blob: zeros."""
    if not layer:
        return NO_LEAF
    if len(layer) == 1:
        return layer[0]
    padding = NO_LEAF
    for _ in range((chunk_bytes(size) // LEAF_BYTES).bit_length() - 1):
        padding = hashlib.sha256(padding + padding).digest()
    return _tree(list(layer), _power_of_two(len(layer)), padding)


def _tree(nodes: list[bytes], width: int, padding: bytes) -> bytes:
    """The root over `width` nodes, of which those not given are `padding`."""
    while width > 1:
        if len(nodes) % 2:
            nodes = [*nodes, padding]
        nodes = [
            hashlib.sha256(nodes[place] + nodes[place + 1]).digest() for place in range(0, len(nodes), 2)
        ]
        padding = hashlib.sha256(padding + padding).digest()
        width //= 2
    return nodes[0]


def _power_of_two(count: int) -> int:
    return 1 << (count - 1).bit_length() if count > 1 else 1
