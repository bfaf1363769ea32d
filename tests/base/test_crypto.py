"""Keys and signatures: `spec/02-identity.md`."""

from __future__ import annotations

import nostr_sdk
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dicast.base.crypto import KeyPair, is_node_id, is_secret, verify
from dicast.base.errors import LocalProtocolError

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KEY = KeyPair.from_seed(b"test")
DIGEST = bytes(range(32))
SIGNATURE = KEY.sign(DIGEST)
digests = st.binary(min_size=32, max_size=32)


def test_bip_340_vector_0() -> None:
    key = KeyPair((3).to_bytes(32, "big"))
    assert key.node_id == "f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9"
    assert key.sign(bytes(32)) == (
        "e907831f80848d1069a5371b402410364bdf1c5f8307b0084c55f1ce2dca8215"
        "25f66a4a85ea8b71e482a74f382d2ce5ebeee8fdb2172f477df4900d310536c0"
    )


def test_bip_340_vector_4_verifies() -> None:
    assert verify(
        "d69c3509bb99e412e68b0fe8544e72837dfa30746d8be2aa65975f29d22dc7b9",
        bytes.fromhex("4df3c3f68fcc83b27e9d42c90431a72499f17875c81a599b566c9889b9696703"),
        "00000000000000000000003b78ce563f89a0ed9414f5aa28ad0d96d6795f9c63"
        "76afb1548af603b3eb45c9f8207dee1060cb71c04e80f593060b07d28308d7f4",
    )


def test_bip_340_vector_5_has_no_point_for_its_key() -> None:
    node_id = "eefdea4cdb677750a420fee807eacf21eb9898ae79b9768766e4faa04a2d4a34"
    assert not verify(node_id, DIGEST, SIGNATURE)


@given(st.binary(max_size=50), digests)
def test_theorem_2_1_a_signature_verifies_and_is_deterministic(seed: bytes, digest: bytes) -> None:
    key = KeyPair.from_seed(seed)
    assert verify(key.node_id, digest, key.sign(digest))
    assert KeyPair(key.secret).sign(digest) == key.sign(digest)


@given(st.integers(0, 255), st.integers(0, 511))
def test_theorem_2_2_a_changed_bit_breaks_a_signature(digest_bit: int, signature_bit: int) -> None:
    changed_digest = (int.from_bytes(DIGEST, "big") ^ 1 << digest_bit).to_bytes(32, "big")
    changed_signature = (int(SIGNATURE, 16) ^ 1 << signature_bit).to_bytes(64, "big").hex()
    assert not verify(KEY.node_id, changed_digest, SIGNATURE)
    assert not verify(KEY.node_id, DIGEST, changed_signature)


@given(st.text(max_size=130), st.binary(max_size=40), st.text(max_size=130))
@example(KEY.node_id.upper(), DIGEST, SIGNATURE)
@example(KEY.node_id, DIGEST, SIGNATURE.upper())
@example(KEY.node_id + "\n", DIGEST, SIGNATURE)
@example(KEY.node_id, DIGEST + b"\0", SIGNATURE)
@example("0" * 64, DIGEST, SIGNATURE)
@example("f" * 64, DIGEST, "f" * 128)
def test_theorem_2_3_verification_never_raises(node_id: str, digest: bytes, signature: str) -> None:
    assert verify(node_id, digest, signature) is False


@given(st.binary(max_size=20))
def test_keys_are_those_of_another_implementation(seed: bytes) -> None:
    key = KeyPair.from_seed(seed)
    theirs = nostr_sdk.Keys.parse(key.secret.hex())
    assert theirs.public_key().to_hex() == key.node_id


@pytest.mark.parametrize("secret", [b"", bytes(32), ORDER.to_bytes(32, "big"), b"\xff" * 32, b"\1" * 33])
def test_bad_secrets_are_refused(secret: bytes) -> None:
    assert not is_secret(secret)
    with pytest.raises(LocalProtocolError):
        KeyPair(secret)


def test_a_key_never_shows_its_secret() -> None:
    shown = f"{KEY!r} {KEY} {KEY:}"
    assert KEY.secret.hex() not in shown
    assert repr(KEY) == f"KeyPair({KEY.node_id})"


def test_the_largest_scalar_is_a_key() -> None:
    assert is_secret((ORDER - 1).to_bytes(32, "big"))
    assert is_node_id(KeyPair((ORDER - 1).to_bytes(32, "big")).node_id)
