"""Tagged hashes."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from dicast.base.hashing import hmac_sha256, sha256, tagged, u32


def test_a_tagged_hash_is_the_hash_of_the_joined_bytes() -> None:
    assert tagged("dicast/x/1", b"a", b"bc") == hashlib.sha256(b"dicast/x/1abc").digest()
    assert tagged("") == sha256(b"") == hashlib.sha256().digest()


def test_a_tag_is_ascii() -> None:
    with pytest.raises(UnicodeEncodeError):
        tagged("é")


def test_hmac_is_that_of_rfc_4231() -> None:
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert hmac_sha256(b"Jefe", b"what do ya want for nothing?").hex() == expected
    assert hmac_sha256(b"k", b"m") == hmac.new(b"k", b"m", "sha256").digest()


def test_u32_is_big_endian_and_bounded() -> None:
    assert (u32(0), u32(258), u32(2**32 - 1)) == (bytes(4), b"\0\0\1\2", b"\xff" * 4)
    with pytest.raises(OverflowError):
        u32(2**32)
