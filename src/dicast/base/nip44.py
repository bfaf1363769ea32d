"""NIP-44, version 2: text sealed under a key that two people share; how long it is shows only roughly.

A nonce is an argument: callers derive it from what they seal, so that equal inputs give equal bytes, and no
nonce ever stands for two texts.
"""

from __future__ import annotations

import base64
import binascii
import hmac

from dicast.base.chacha import chacha20
from dicast.base.crypto import KeyPair
from dicast.base.errors import RemoteProtocolError
from dicast.base.hashing import hmac_sha256

TEXT_BYTES_MAX = 65_535
"""What the two bytes of length can say."""
KEY_BYTES = NONCE_BYTES = 32


class SealError(RemoteProtocolError):
    """A payload that is malformed, damaged, or sealed under another key."""


def conversation_key(own: KeyPair, peer: str) -> bytes:
    """The 32 bytes that `own` shares with `peer`, the same from both sides. `SealError`: no such point."""
    shared = own.shared_x(peer)
    if shared is None:
        raise SealError("seal_key", "The peer's key is no point of the curve.")
    return hmac_sha256(b"nip44-v2", shared)


def seal(text: bytes, key: bytes, nonce: bytes) -> str:
    """`text` (1 to 65,535 bytes) under a conversation key, as base64. `nonce` is 32 bytes, its own."""
    assert len(key) == KEY_BYTES, "a conversation key is 32 bytes"
    assert len(nonce) == NONCE_BYTES, "a nonce is 32 bytes"
    assert 0 < len(text) <= TEXT_BYTES_MAX, "NIP-44 seals 1 to 65,535 bytes"
    cipher_key, cipher_nonce, mac_key = _message_keys(key, nonce)
    padded = len(text).to_bytes(2, "big") + text + bytes(padded_bytes(len(text)) - len(text))
    sealed = chacha20(cipher_key, cipher_nonce, padded)
    mac = hmac_sha256(mac_key, nonce + sealed)
    return base64.b64encode(_VERSION + nonce + sealed + mac).decode("ascii")


def unseal(payload: str, key: bytes) -> bytes:
    """The text in a payload; `SealError` when it was not sealed under this key."""
    nonce, sealed, mac = _parts(payload)
    cipher_key, cipher_nonce, mac_key = _message_keys(key, nonce)
    if not hmac.compare_digest(hmac_sha256(mac_key, nonce + sealed), mac):
        raise SealError("seal_broken", "The payload is damaged, or sealed under another key.")
    padded = chacha20(cipher_key, cipher_nonce, sealed)
    length = int.from_bytes(padded[:2], "big")
    text = padded[2 : 2 + length]
    if not length or len(padded) != 2 + padded_bytes(length) or any(padded[2 + length :]):
        raise SealError("seal_padding", "The padding is not that of the text.")
    return text


def nonce_of(payload: str) -> bytes:
    """The nonce that a payload was sealed with."""
    return _parts(payload)[0]


def padded_bytes(length: int) -> int:
    """Bytes that a text of this length is padded to: all that an outsider learns of the length."""
    if length <= _PAD_MIN:
        return _PAD_MIN
    power = 1 << (length - 1).bit_length()
    chunk = max(_PAD_MIN, power // 8)
    return chunk * -(-length // chunk)


def payload_chars(length: int) -> int:
    """Characters of the payload of a text of this length."""
    return 4 * -(-(_FRAME_BYTES + padded_bytes(length)) // 3)


def is_payload(text: str) -> bool:
    """Does a text begin like a payload of this version? JSON never does."""
    return text.startswith("A")


def _parts(payload: str) -> tuple[bytes, bytes, bytes]:
    if not _CHARS_MIN <= len(payload) <= _CHARS_MAX:
        raise SealError("seal_size", "A payload of this size does not exist.")
    try:
        content = base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SealError("seal_shape", "The payload is not base64.") from error
    if content[:1] != _VERSION or base64.b64encode(content).decode("ascii") != payload:
        raise SealError("seal_shape", "The payload is not version 2 of NIP-44 in its one spelling.")
    return content[1:33], content[33:-32], content[-32:]


def _message_keys(key: bytes, nonce: bytes) -> tuple[bytes, bytes, bytes]:
    """HKDF-expand (RFC 5869) of the conversation key to 76 bytes: cipher key, cipher nonce, MAC key."""
    first = hmac_sha256(key, nonce + b"\x01")
    second = hmac_sha256(key, first + nonce + b"\x02")
    third = hmac_sha256(key, second + nonce + b"\x03")
    return first, second[:12], second[12:] + third[:12]


_VERSION = b"\x02"
_PAD_MIN = 32
_FRAME_BYTES = 1 + NONCE_BYTES + 2 + 32
"""Version, nonce, length and MAC around the padded text."""
_CHARS_MIN = payload_chars(1)
_CHARS_MAX = payload_chars(TEXT_BYTES_MAX)
