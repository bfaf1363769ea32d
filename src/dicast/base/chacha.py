"""ChaCha20 (RFC 8439: 12-byte nonce, counter from 0) for NIP-44, and XChaCha20-Poly1305 for NIP-49."""

from __future__ import annotations

from struct import pack, unpack

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20


def chacha20(key: bytes, nonce: bytes, content: bytes) -> bytes:
    """`content` combined with the key stream; the same again gives it back. Key 32 bytes, nonce 12."""
    return _combined(key, bytes(4) + nonce, content)


def xchacha20_poly1305(key: bytes, nonce: bytes) -> tuple[ChaCha20Poly1305, bytes]:
    """The cipher and the nonce of 12 bytes that stand for a key of 32 and a nonce of 24 bytes.

    From draft-irtf-cfrg-xchacha-03, 2.3: a key of its own by HChaCha20, then RFC 8439.
    """
    return ChaCha20Poly1305(_hchacha20(key, nonce[:16])), bytes(4) + nonce[16:]


def _hchacha20(key: bytes, nonce: bytes) -> bytes:
    """2.2 of the draft: rows 0 and 3 after the twenty rounds. A block of the key stream is those rounds plus
    the state before them, which is known."""
    block = unpack("<16I", _combined(key, nonce, bytes(64)))
    before = unpack("<4I", _SIGMA) + unpack("<4I", nonce)
    rounds = zip(block[:4] + block[12:], before, strict=True)
    return pack("<8I", *((after - start) & 0xFFFFFFFF for after, start in rounds))


def _combined(key: bytes, start: bytes, content: bytes) -> bytes:
    return Cipher(ChaCha20(key, start), None).encryptor().update(content)


_SIGMA = b"expand 32-byte k"
