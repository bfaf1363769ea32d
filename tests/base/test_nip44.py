"""NIP-44 against nostr-sdk in both directions; what is damaged, foreign or misspelled never opens."""

from __future__ import annotations

import base64
import hmac

import nostr_sdk
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.base.chacha import chacha20
from dicast.base.crypto import KeyPair
from dicast.base.nip44 import (
    TEXT_BYTES_MAX,
    SealError,
    conversation_key,
    is_payload,
    nonce_of,
    padded_bytes,
    payload_chars,
    seal,
    unseal,
)

ALICE, BOB = KeyPair.from_seed(b"alice"), KeyPair.from_seed(b"bob")
KEY = conversation_key(ALICE, BOB.node_id)
NONCE = bytes(range(32))
LENGTHS = (1, 2, 31, 32, 33, 63, 64, 65, 255, 256, 257, 320, 1_000, 4_097, 32_768, 65_000)


def hkdf_expand(key, label, length):
    """RFC 5869, written apart from the code."""
    made, block = b"", b""
    while len(made) < length:
        block = hmac.digest(key, block + label + bytes([len(made) // 32 + 1]), "sha256")
        made += block
    return made[:length]


def test_chacha20_gives_the_cipher_text_of_rfc_8439():
    """Section 2.4.2, but for the counter, which there begins at 1: a block of anything goes before."""
    text = (
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
        b"sunscreen would be it."
    )
    nonce = bytes.fromhex("000000000000004a00000000")
    assert chacha20(bytes(range(32)), nonce, bytes(64) + text)[64:].hex() == (
        "6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0bf91b65c5524733ab8f593dabcd62b3571639d6"
        "24e65152ab8f530c359f0861d807ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab77937365af90bbf74a3"
        "5be6b40b8eedf2785e42874d"
    )


def test_the_first_block_is_that_of_rfc_8439():
    """Appendix A.1, test vector 1: all zero, counter 0."""
    assert chacha20(bytes(32), bytes(12), bytes(64)).hex() == (
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
    )


def test_the_official_first_vector():
    """The first `encrypt_decrypt` vector of NIP-44."""
    one, two = (KeyPair(bytes(31) + bytes([number])) for number in (1, 2))
    key = conversation_key(one, two.node_id)
    nonce = bytes(31) + b"\x01"
    payload = (
        "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABee0G5VSK0/9YypIObAtDKfYEAjD35uVkHyB0F4DwrcNaCXlCWZKaArsGrY6M9"
        "wnuTMxWfp1RTN9Xga8no+kF5Vsb"
    )
    assert key.hex() == "c41c775356fd92eadc63ff5a0dc1da211b268cbea22316767095b2871ea1412d"
    assert seal(b"a", key, nonce) == payload
    assert unseal(payload, key) == b"a"


@pytest.mark.parametrize("length", LENGTHS)
def test_nostr_sdk_reads_what_we_seal_and_we_read_what_it_seals(length):
    text = ("é" if length % 2 == 0 else "x") * (length if length % 2 else length // 2)
    secrets = [nostr_sdk.SecretKey.parse(key.secret.hex()) for key in (ALICE, BOB)]
    keys = [nostr_sdk.PublicKey.parse(key.node_id) for key in (ALICE, BOB)]
    theirs = nostr_sdk.nip44_encrypt(secrets[0], keys[1], text, nostr_sdk.Nip44Version.V2)
    assert unseal(theirs, KEY).decode() == text
    assert len(theirs) == payload_chars(length)
    assert nostr_sdk.nip44_decrypt(secrets[1], keys[0], seal(text.encode(), KEY, NONCE)) == text


@given(st.binary(min_size=1, max_size=700), st.binary(min_size=32, max_size=32))
def test_what_was_sealed_opens_on_both_sides_and_shows_only_its_padded_length(text, nonce):
    payload = seal(text, KEY, nonce)
    assert unseal(payload, conversation_key(BOB, ALICE.node_id)) == text
    assert (len(payload), nonce_of(payload)) == (payload_chars(len(text)), nonce)
    assert is_payload(payload)
    assert padded_bytes(len(text)) >= len(text)


@given(st.data())
def test_a_payload_that_was_changed_or_is_for_another_key_does_not_open(data):
    payload = seal(b"the prompt", KEY, NONCE)
    place = data.draw(st.integers(0, len(payload) - 1))
    changed = payload[:place] + data.draw(st.characters()) + payload[place + 1 :]
    if changed != payload:
        with pytest.raises(SealError):
            unseal(changed, KEY)
    with pytest.raises(SealError):
        unseal(payload, data.draw(st.binary(min_size=32, max_size=32).filter(lambda key: key != KEY)))


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: base64.b64encode(raw).decode()))
def test_junk_is_refused_and_nothing_else_is_raised(junk):
    with pytest.raises(SealError):
        unseal(junk, KEY)


def test_padding_that_is_not_the_texts_own_is_refused():
    """Whoever has the key may seal with other padding; it is no second spelling of the same text."""
    text = seal(b"x" * 40, KEY, NONCE)
    raw = bytearray(base64.b64decode(text))
    raw[33 + 2 + 63] ^= 1  # the last byte of the padding
    mac_key = hkdf_expand(KEY, NONCE, 76)[44:]  # the MAC is made again: only the padding is wrong
    raw[-32:] = hmac.digest(mac_key, NONCE + bytes(raw[33:-32]), "sha256")
    with pytest.raises(SealError, match="padding"):
        unseal(base64.b64encode(bytes(raw)).decode(), KEY)


def test_a_key_that_is_no_point_is_refused():
    with pytest.raises(SealError):
        conversation_key(ALICE, "00" * 32)
    assert ALICE.shared_x("zz" * 32) is None


def test_the_longest_text():
    payload = seal(bytes(TEXT_BYTES_MAX), KEY, NONCE)
    assert unseal(payload, KEY) == bytes(TEXT_BYTES_MAX)
    for text in (b"", bytes(TEXT_BYTES_MAX + 1)):
        with pytest.raises(AssertionError):
            seal(text, KEY, NONCE)
