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
    """The key stream's block 0 (RFC 8439, 2.3): twenty rounds over four rows of four words.

    A row is one large number, its words 64 bits apart: a quarter round works on all four columns at once.
    """
    words = struct.unpack("<16I", _SIGMA + key + bytes(4) + nonce)
    rows = a, b, c, d = (_row(words[0:4]), _row(words[4:8]), _row(words[8:12]), _row(words[12:16]))
    for _ in range(10):
        a, b, c, d = _quarter_rounds(a, b, c, d)
        b = (b >> 64 | b << 192) & _WORDS  # each diagonal becomes a column
        c = (c >> 128 | c << 128) & _WORDS
        d = (d >> 192 | d << 64) & _WORDS
        a, b, c, d = _quarter_rounds(a, b, c, d)
        b = (b >> 192 | b << 64) & _WORDS
        c = (c >> 128 | c << 128) & _WORDS
        d = (d >> 64 | d << 192) & _WORDS
    mixed = ((after + before) & _WORDS for after, before in zip((a, b, c, d), rows, strict=True))
    return b"".join(struct.pack("<4I", *struct.unpack("<4Q", row.to_bytes(32, "little"))) for row in mixed)


def _quarter_rounds(a: int, b: int, c: int, d: int) -> tuple[int, int, int, int]:
    """RFC 8439, 2.1, on every column. What a shift pushes out of a word lands between words."""
    a = (a + b) & _WORDS
    d ^= a
    d = (d << 16 | d >> 16) & _WORDS
    c = (c + d) & _WORDS
    b ^= c
    b = (b << 12 | b >> 20) & _WORDS
    a = (a + b) & _WORDS
    d ^= a
    d = (d << 8 | d >> 24) & _WORDS
    c = (c + d) & _WORDS
    b ^= c
    b = (b << 7 | b >> 25) & _WORDS
    return a, b, c, d


def _row(words: tuple[int, ...]) -> int:
    return int.from_bytes(struct.pack("<4Q", *words), "little")


_AUTHENTICATOR = 16
_WORDS = sum(0xFFFFFFFF << 64 * column for column in range(4))
_SIGMA = b"expand 32-byte k"
