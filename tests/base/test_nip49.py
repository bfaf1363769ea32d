"""Secret keys under a password: `spec/02-identity.md`."""

from __future__ import annotations

import nostr_sdk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicast.base import bech32
from dicast.base.bech32 import KeyTextError
from dicast.base.crypto import KeyPair
from dicast.base.nip49 import LOG_N_MAX, decrypt_secret, encrypt_secret

PUBLISHED = (
    "ncryptsec1qgg9947rlpvqu76pj5ecreduf9jxhselq2nae2kghhvd5g7dgjtcxfqtd67p9m0w57lspw8gsq6yphnm8623nsl8xn9j4jdzz84zm3f"
    "rztj3z7s35vpzmqf6ksu8r89qk5z2zxfmu5gv8th8wclt0h4p"
)
SECRET = KeyPair.from_seed(b"nip49").secret
SALT, NONCE = bytes(range(16)), bytes(range(24))
SEALED = encrypt_secret(SECRET, "word", salt=SALT, nonce=NONCE, log_n=4)


def test_the_published_vector() -> None:
    secret = "3501454135014541350145413501453fefb02227e449e57cf4d3a3ce05378683"
    assert decrypt_secret(PUBLISHED, "nostr").hex() == secret


@settings(max_examples=20)
@given(st.binary(max_size=9), st.text(min_size=1), st.binary(min_size=16, max_size=16), st.integers(1, 6))
def test_theorem_2_12_the_right_password_gives_the_secret_back(
    seed: bytes, password: str, salt: bytes, log_n: int
) -> None:
    secret = KeyPair.from_seed(seed).secret
    text = encrypt_secret(secret, password, salt=salt, nonce=NONCE, log_n=log_n)
    assert decrypt_secret(text, password) == secret
    with pytest.raises(KeyTextError):
        decrypt_secret(text, password + "x")


def test_another_implementation_opens_ours_and_we_open_theirs() -> None:
    password = "\u212b\u03a9\u1e9b\u0323"
    text = encrypt_secret(SECRET, password, salt=SALT, nonce=NONCE, log_n=10)
    opened = nostr_sdk.EncryptedSecretKey.from_bech32(text).decrypt(password)
    theirs = nostr_sdk.SecretKey.parse(SECRET.hex()).encrypt(password)
    assert opened.to_hex() == SECRET.hex()
    assert decrypt_secret(theirs.to_bech32(), password) == SECRET


def test_passwords_are_normalised() -> None:
    text = encrypt_secret(SECRET, "\u212b\ufb01", salt=SALT, nonce=NONCE, log_n=4)
    assert decrypt_secret(text, "A\u030afi") == SECRET


def with_log_n(log_n: int) -> str:
    prefix, data = bech32.decode(SEALED)
    return bech32.encode(prefix, data[:1] + bytes((log_n,)) + data[2:])


@pytest.mark.parametrize(
    ("text", "password", "code"),
    [
        (SEALED, "other", "key_password"),
        (SEALED, "", "key_password"),
        (SEALED, "\ud800", "key_password"),
        (SEALED[:-1], "word", "bech32_checksum"),
        ("", "word", "bech32_text"),
        (bech32.encode("nsec", SECRET), "word", "key_file"),
        (bech32.encode("ncryptsec", SECRET), "word", "key_file"),
        (with_log_n(LOG_N_MAX + 1), "word", "key_cost"),
        (with_log_n(0), "word", "key_cost"),
    ],
)
def test_opening_refuses(text: str, password: str, code: str) -> None:
    with pytest.raises(KeyTextError) as caught:
        decrypt_secret(text, password)
    assert caught.value.code == code


def test_an_empty_password_never_seals_a_key() -> None:
    with pytest.raises(KeyTextError):
        encrypt_secret(SECRET, "", salt=SALT, nonce=NONCE, log_n=4)


def test_sealing_checks_its_sizes() -> None:
    for secret, salt, nonce, log_n in [
        (bytes(32), SALT, NONCE, 4),
        (SECRET, b"", NONCE, 4),
        (SECRET, SALT, b"", 4),
        (SECRET, SALT, NONCE, LOG_N_MAX + 1),
    ]:
        with pytest.raises(KeyTextError):
            encrypt_secret(secret, "word", salt=salt, nonce=nonce, log_n=log_n)
