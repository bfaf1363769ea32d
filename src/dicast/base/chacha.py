"""Raw ChaCha20 (RFC 8439: 12-byte nonce, counter from 0), which NIP-44 wants and PyNaCl does not offer.

PyNaCl's ChaCha20-Poly1305 enciphers with the key stream from block 1 on: that part is taken from it, at the
speed of libsodium. Block 0, which it spends on its authenticator, is computed here.
"""

from __future__ import annotations

import struct

from nacl.bindings import crypto_aead_chacha20poly1305_ietf_encrypt

BLOCK = 64


def chacha20(key: bytes, nonce: bytes, content: bytes) -> bytes:
    """`content` combined with the key stream; the same again gives it back. Key 32 bytes, nonce 12."""
    first = _first_block(key, nonce)[: len(content)]
    head = int.from_bytes(content[:BLOCK], "big") ^ int.from_bytes(first, "big")
    rest = crypto_aead_chacha20poly1305_ietf_encrypt(content[BLOCK:], None, nonce, key)
    return head.to_bytes(len(first), "big") + rest[:-_AUTHENTICATOR]


def _first_block(key: bytes, nonce: bytes) -> bytes:
    """The key stream's block 0 (RFC 8439, 2.3): twenty rounds over sixteen words."""
    start = struct.unpack("<16I", _SIGMA + key + bytes(4) + nonce)
    words = list(start)
    for _ in range(10):
        for places in _QUARTERS:
            _quarter_round(words, places)
    return struct.pack("<16I", *((word + first) & _WORD for word, first in zip(words, start, strict=True)))


def _quarter_round(words: list[int], places: tuple[int, int, int, int]) -> None:
    i, j, k, m = places
    a, b, c, d = words[i], words[j], words[k], words[m]
    a = (a + b) & _WORD
    d ^= a
    d = (d << 16 | d >> 16) & _WORD
    c = (c + d) & _WORD
    b ^= c
    b = (b << 12 | b >> 20) & _WORD
    a = (a + b) & _WORD
    d ^= a
    d = (d << 8 | d >> 24) & _WORD
    c = (c + d) & _WORD
    b ^= c
    b = (b << 7 | b >> 25) & _WORD
    words[i], words[j], words[k], words[m] = a, b, c, d


_AUTHENTICATOR = 16
_WORD = 0xFFFFFFFF
_SIGMA = b"expand 32-byte k"
_QUARTERS = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)  # fmt: skip
