"""Where nodes meet: the topic of a network, and, of a private one, the key under which everything is said."""

from __future__ import annotations

import hashlib

from dicast.base.errors import ConfigurationError
from dicast.base.events import Tags, event_digest
from dicast.base.hashing import hmac_sha256, tagged
from dicast.base.nip44 import SealError, nonce_of, seal, unseal
from dicast.base.unicode_table import nfc

PASSPHRASE_CHARS_MIN = 12
"""The topic lies open at every relay, to be guessed at leisure: scrypt makes a guess dear, length many."""
SCRYPT_N, SCRYPT_R = 1 << 15, 8
"""32 MiB and a tenth of a second: once a start here, once a guess for whoever guesses."""


class NetworkSecret:
    """A private network: the topic that it shows, and the key of what is said there."""

    __slots__ = ("content_key", "topic")

    def __init__(self, topic: str, content_key: bytes) -> None:
        self.topic = topic
        self.content_key = content_key

    def __repr__(self) -> str:
        return f"NetworkSecret({self.topic})"


class Unsealed:
    """The parts of an event that its seal is bound to."""

    __slots__ = ("created_at", "kind", "pubkey", "tags")

    def __init__(self, pubkey: str, created_at: int, kind: int, tags: Tags) -> None:
        self.pubkey = pubkey
        self.created_at = created_at
        self.kind = kind
        self.tags = tags

    def nonce(self, content: str, secret: NetworkSecret) -> bytes:
        """HMAC(content key, "dicast/content-nonce/1" | digest of the event with its content open)."""
        digest = event_digest(self.pubkey, self.created_at, self.kind, self.tags, content)
        return hmac_sha256(secret.content_key, b"dicast/content-nonce/1" + digest)

    def seal(self, content: str, secret: NetworkSecret) -> str:
        """The content as outsiders see it."""
        return seal(content.encode(), secret.content_key, self.nonce(content, secret))

    def unseal(self, payload: str, secret: NetworkSecret) -> str:
        """The content; `SealError` where it was sealed under another key, or for another event."""
        try:
            content = unseal(payload, secret.content_key).decode()
        except UnicodeDecodeError as error:
            raise SealError("seal_text", "What was sealed is no text.") from error
        if nonce_of(payload) != self.nonce(content, secret):
            raise SealError("seal_moved", "The content was sealed for another event.")
        return content


def topic_of(network: str) -> str:
    """The topic of an open network: hex SHA-256("dicast/network/1" | name)."""
    return tagged("dicast/network/1", network.encode()).hex()


def network_secret(network: str, passphrase: str) -> NetworkSecret:
    """Topic and key of a private network; scrypt over name and passphrase. Takes a tenth of a second."""
    if len(passphrase) < PASSPHRASE_CHARS_MIN:
        raise ConfigurationError(
            "passphrase_short",
            f"The passphrase has fewer than {PASSPHRASE_CHARS_MIN} characters: it could be guessed.",
            "Take a long one, for example what `head -c 24 /dev/urandom | base64` prints.",
        )
    salt = tagged("dicast/network/1", network.encode())
    root = hashlib.scrypt(
        nfc(passphrase).encode(), salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=1, maxmem=1 << 26, dklen=32
    )
    return NetworkSecret(hmac_sha256(root, b"topic").hex(), hmac_sha256(root, b"content"))
