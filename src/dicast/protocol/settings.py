"""Who a node is and what it offers; fixed while it runs."""

from __future__ import annotations

import msgspec

from dicast.base.crypto import KeyPair
from dicast.base.hashing import hmac_sha256
from dicast.base.types import RequestId
from dicast.protocol.messages import Role


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a node offers to its network. `slots` is how many prompts it runs at once."""

    network: str = "main"
    roles: tuple[Role, ...] = ()
    embedders: tuple[str, ...] = ()
    slots: int = 1
    software: str = ""


class Identity:
    """A node's key and the secret beside it, from which every salt is derived."""

    def __init__(self, key: KeyPair, node_secret: bytes) -> None:
        assert len(node_secret) == 32, "a node secret is 32 bytes"
        self.key = key
        self.node_id = key.node_id
        self._node_secret = node_secret

    def commit_salt(self, request_id: RequestId) -> bytes:
        """HMAC-SHA256(node secret, "dicast/salt/1" | request id): the same after a restart."""
        return hmac_sha256(self._node_secret, b"dicast/salt/1" + bytes.fromhex(request_id))

    def selection_salt(self, sequence: int, unix_ms: int) -> bytes:
        """What CLOSE opens. Not derived from the request id, which contains its hash."""
        parts = f"dicast/selection-salt-secret/1:{sequence}:{unix_ms}"
        return hmac_sha256(self._node_secret, parts.encode())

    def __repr__(self) -> str:
        return f"Identity({self.node_id})"
