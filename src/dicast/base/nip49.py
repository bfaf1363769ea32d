"""NIP-49: a secret key under a password, as the text of a key file (`ncryptsec1…`)."""

from __future__ import annotations

import hashlib
import unicodedata

from cryptography.exceptions import InvalidTag

from dicast.base.bech32 import KeyTextError, decode, encode
from dicast.base.chacha import xchacha20_poly1305
from dicast.base.crypto import is_secret

LOG_N_DEFAULT = 16
"""64 MiB and about 0.2 s: what NIP-49 names for a first choice."""
LOG_N_MAX = 20
"""1 GiB: a key file from elsewhere must not be able to take a machine's memory."""


def encrypt_secret(
    secret: bytes, password: str, *, salt: bytes, nonce: bytes, log_n: int = LOG_N_DEFAULT
) -> str:
    """`secret` as an `ncryptsec1…`; `salt` is 16 and `nonce` 24 fresh random bytes of the caller's."""
    if not is_secret(secret) or len(salt) != 16 or len(nonce) != 24 or not 1 <= log_n <= LOG_N_MAX:
        raise KeyTextError("key_arguments", "The secret, salt, nonce or cost has the wrong size.")
    key = _key(password, salt, log_n)
    cipher, start = xchacha20_poly1305(key, nonce)
    sealed = cipher.encrypt(start, secret, _KEPT_SAFELY_UNKNOWN)
    return encode(_PREFIX, bytes((_VERSION, log_n)) + salt + nonce + _KEPT_SAFELY_UNKNOWN + sealed)


def decrypt_secret(text: str, password: str) -> bytes:
    """The secret of an `ncryptsec1…`; `KeyTextError` when the password or the text is wrong."""
    prefix, data = decode(text.strip())
    if prefix != _PREFIX or len(data) != _DATA_BYTES or data[0] != _VERSION:
        raise KeyTextError("key_file", "This is not an encrypted key of version 2 (ncryptsec1…).")
    log_n, salt, nonce, associated, sealed = data[1], data[2:18], data[18:42], data[42:43], data[43:]
    if not 1 <= log_n <= LOG_N_MAX:
        raise KeyTextError("key_cost", f"The key's scrypt cost 2^{log_n} is beyond 2^{LOG_N_MAX}.")
    cipher, start = xchacha20_poly1305(_key(password, salt, log_n), nonce)
    try:
        secret = cipher.decrypt(start, sealed, associated)
    except InvalidTag as error:
        raise KeyTextError("key_password", "The password is wrong, or the key was damaged.") from error
    if not is_secret(secret):
        raise KeyTextError("key_range", "The secret key is zero or beyond the curve's order.")
    return secret


def _key(password: str, salt: bytes, log_n: int) -> bytes:
    if not password:
        raise KeyTextError("key_password", "An empty password protects nothing.")
    try:
        normalised = unicodedata.normalize("NFKC", password).encode()
    except UnicodeEncodeError as error:
        raise KeyTextError("key_password", "The password holds a lone surrogate.") from error
    memory = 128 * _BLOCK * (1 << log_n)
    return hashlib.scrypt(
        normalised, salt=salt, n=1 << log_n, r=_BLOCK, p=1, maxmem=memory + (1 << 20), dklen=32
    )


_PREFIX = "ncryptsec"
_VERSION = 2
_DATA_BYTES = 1 + 1 + 16 + 24 + 1 + 32 + 16
_BLOCK = 8
_KEPT_SAFELY_UNKNOWN = b"\x02"
"""NIP-49's note on how the key was handled before: we do not track it."""
