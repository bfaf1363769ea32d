"""Who a node is and what it offers; fixed while it runs."""

from __future__ import annotations

import msgspec

from dicast.base.crypto import KeyPair
from dicast.base.hashing import hmac_sha256
from dicast.base.types import RequestId
from dicast.protocol.messages import Role
from dicast.protocol.network import NetworkSecret, topic_of


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a node offers to its network. `slots`: prompts run at once; `secret`: of a private network."""

    network: str = "main"
    roles: tuple[Role, ...] = ()
    embedders: tuple[str, ...] = ()
    slots: int = 1
    software: str = ""
    secret: NetworkSecret | None = None

    @property
    def topic(self) -> str:
        """What every packet of the network is tagged with, and all that transports learn of it."""
        return self.secret.topic if self.secret is not None else topic_of(self.network)


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

    def chance_secret(self) -> bytes:
        """What decides draws that no outsider may foresee, such as whose address is kept."""
        return hmac_sha256(self._node_secret, b"dicast/chance/1")

    def round_key(self, selection_salt: str) -> bytes:
        """The key of a round of ours that is encrypted: HMAC(node secret, "dicast/round-key/1" | salt)."""
        return hmac_sha256(self._node_secret, b"dicast/round-key/1" + bytes.fromhex(selection_salt))

    def __repr__(self) -> str:
        return f"Identity({self.node_id})"
