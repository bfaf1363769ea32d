"""SHA-256 under tags, so that a hash made for one purpose never serves another."""

from __future__ import annotations

import hashlib
import hmac


def sha256(data: bytes) -> bytes:
    """SHA-256 of `data`: 32 bytes."""
    return hashlib.sha256(data).digest()


def tagged(tag: str, *parts: bytes) -> bytes:
    """SHA-256 of the ASCII `tag` and then the parts, without separators: parts have fixed lengths."""
    return hashlib.sha256(b"".join((tag.encode("ascii"), *parts))).digest()


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104): 32 bytes."""
    return hmac.digest(key, data, "sha256")


def u32(number: int) -> bytes:
    """Four bytes, most significant first; `OverflowError` outside 0 ... 2^32 - 1."""
    return number.to_bytes(4, "big")
