"""BIP-340 Schnorr signatures over secp256k1: the identity of a node is its x-only public key."""

from __future__ import annotations

import functools
import re
from typing import Any, cast

from coincurve import PrivateKey, PublicKey, PublicKeyXOnly
from coincurve._libsecp256k1 import ffi, lib  # type: ignore
from coincurve.context import GLOBAL_CONTEXT

from dicast.base.errors import LocalProtocolError
from dicast.base.hashing import tagged, u32
from dicast.base.types import NodeId

_FFI = cast("Any", ffi)
_LIB = cast("Any", lib)
_CONTEXT = cast("Any", GLOBAL_CONTEXT).ctx
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_NO_AUX = bytes(32)
_NODE_ID = re.compile("[0-9a-f]{64}")
_SIGNATURE = re.compile("[0-9a-f]{128}")
_PARSED_KEYS_MAX = 2048
"""Twice the peers a node keeps: lifting an x-coordinate to a point takes a tenth of a verification, sharing a
key with it more than all of one."""


class KeyPair:
    """A secret scalar and its public key. Signing is deterministic: the same digest gives the same bytes."""

    __slots__ = ("_pair", "_private", "node_id")

    node_id: NodeId

    def __init__(self, secret: bytes) -> None:
        if not is_secret(secret):
            raise LocalProtocolError("bad_secret", "A secret key is 32 bytes, from 1 to the curve's order.")
        self._private = PrivateKey(secret)
        self.node_id = NodeId(self._private.public_key_xonly.format().hex())
        self._pair = _FFI.new("secp256k1_keypair *")
        _LIB.secp256k1_keypair_create(_CONTEXT, self._pair, secret)

    @classmethod
    def from_seed(cls, seed: bytes) -> KeyPair:
        """A key from any bytes: the first valid scalar of `tagged("dicast/key/1", seed, u32(0, 1, …))`."""
        counter = 0
        while not is_secret(secret := tagged("dicast/key/1", seed, u32(counter))):
            counter += 1
        return cls(secret)

    @property
    def secret(self) -> bytes:
        """The 32 secret bytes."""
        return self._private.secret

    def sign(self, digest: bytes) -> str:
        """The BIP-340 signature of 32 bytes, with 32 zero bytes of auxiliary randomness: 128 hex digits.

        Checked before anybody sees it, as BIP-340 recommends: a computation gone wrong could tell the secret.
        """
        assert len(digest) == 32, "a digest is 32 bytes"
        made = _FFI.new("unsigned char [64]")
        _LIB.secp256k1_schnorrsig_sign32(_CONTEXT, made, digest, self._pair, _NO_AUX)
        signature = bytes(_FFI.buffer(made))
        if not self._private.public_key_xonly.verify(signature, digest):
            raise AssertionError("the signature was miscomputed")
        return signature.hex()

    def shared_x(self, node_id: str) -> bytes | None:
        """The x-coordinate (32 bytes) that both keys' owners can compute; None when it is no point."""
        return _shared_x(self.secret, node_id)

    def __repr__(self) -> str:
        return f"KeyPair({self.node_id})"


def _copy_x(output: Any, x: Any, y: Any, nothing: Any) -> int:
    """What `secp256k1_ecdh` makes of the point: x as it is."""
    del y, nothing
    _FFI.memmove(output, x, 32)
    return 1


_take_x: Any = _FFI.callback(
    "int(unsigned char *, const unsigned char *, const unsigned char *, void *)", _copy_x
)
"""coincurve's own `ecdh` hashes the point, and its `multiply` takes a time that depends on the secret."""


def is_secret(secret: bytes) -> bool:
    """Whether these bytes are a valid secret key."""
    return len(secret) == 32 and 0 < int.from_bytes(secret, "big") < _ORDER


def is_node_id(text: str) -> bool:
    """Whether `text` is 64 lower-case hex digits (not whether a point has this x-coordinate)."""
    return _NODE_ID.fullmatch(text) is not None


def verify(node_id: str, digest: bytes, signature: str) -> bool:
    """Whether `signature` is `node_id`'s over these 32 bytes. Anything malformed is False; never raises."""
    if len(digest) != 32 or not is_node_id(node_id) or _SIGNATURE.fullmatch(signature) is None:
        return False
    key = _public_key(node_id)
    return key is not None and key.verify(bytes.fromhex(signature), digest)


@functools.lru_cache(maxsize=_PARSED_KEYS_MAX)
def _public_key(node_id: str) -> PublicKeyXOnly | None:
    try:
        return PublicKeyXOnly(bytes.fromhex(node_id))
    except ValueError:
        return None


@functools.lru_cache(maxsize=_PARSED_KEYS_MAX)
def _shared_x(secret: bytes, node_id: str) -> bytes | None:
    try:
        peer = PublicKey(b"\x02" + bytes.fromhex(node_id))
    except ValueError:
        return None
    shared = _FFI.new("unsigned char [32]")
    point = peer.public_key  # type: ignore[reportUnknownMemberType]
    _LIB.secp256k1_ecdh(_CONTEXT, shared, point, secret, _take_x, _FFI.NULL)
    return bytes(_FFI.buffer(shared, 32))
