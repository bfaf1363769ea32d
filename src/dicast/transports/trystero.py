"""The signalling format of trystero 0.25: names of topics, sealed descriptions, signals. Pure."""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode, b64encode

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

LIBRARY = "Trystero"
APP = "dicast"
PEER_ID_CHARS = 20  # trackers take no other length
NODE_PREFIX = "node"  # the rest of an id is random; pages have such an id once in fifteen million
ID_CHARS_MAX = 64  # of ids that others choose
SEALED_CHARS_MAX = 48 * 1024  # a description has 1 to 3 kB; sealed, half as much again
SIGNAL_BYTES_MAX = 64 * 1024  # around one sealed description
NONCE_BYTES = 16
TRACKER_HASH_CHARS = 20
NOSTR_KIND_FIRST, NOSTR_KINDS = 20_000, 10_000
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_ID_LETTERS = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_")


class Signal(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What peers say to each other before they are connected; without a description an announcement."""

    peer_id: str
    offer: str = ""
    answer: str = ""
    candidate: str = ""
    offer_id: str = ""
    passive: bool = False

    @property
    def is_announcement(self) -> bool:
        """It only says that somebody is there."""
        return not (self.offer or self.answer or self.candidate)


def parse_signal(data: bytes | str) -> Signal | None:
    """What a peer said, None when it is nothing a peer says. Never raises, whatever the bytes."""
    if len(data) > SIGNAL_BYTES_MAX:
        return None
    try:
        signal = _SIGNAL.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    is_good = is_id(signal.peer_id) and (not signal.offer_id or is_id(signal.offer_id))
    return signal if is_good else None


def encode_signal(signal: Signal) -> bytes:
    """A signal as JSON text."""
    return _ENCODER.encode(signal)


def is_id(text: str) -> bool:
    """Whether it may name a peer or an offer."""
    return 0 < len(text) <= ID_CHARS_MAX and _ID_LETTERS.issuperset(text)


def is_node(peer_id: str) -> bool:
    """Whether a peer says by its id that it is a node, and no page."""
    return len(peer_id) == PEER_ID_CHARS and peer_id.startswith(NODE_PREFIX)


class Room:
    """A room of an application: where its peers meet, and the key that seals what they tell each other.

    The name of a Dicast room is the topic of the network, 256 bits that a relay does not learn: only its
    hash goes out. So the room needs no password beside it.
    """

    def __init__(self, name: str, app: str = APP, password: str = "") -> None:
        self._path = f"{LIBRARY}@{app}@{name}"
        self._cipher = AESGCM(hashlib.sha256(f"{password}:{app}:{name}".encode()).digest())
        self.topic = topic_hash(self._path)
        self.token = hashlib.sha256(f"{LIBRARY}:{app}:{name}".encode()).hexdigest().encode()

    def topic_of(self, peer_id: str) -> str:
        """Where one peer listens."""
        return topic_hash(f"{self._path}@{peer_id}")

    def seal(self, text: str, nonce: bytes) -> str:
        """A description that only who knows the room can read; `nonce` is 16 random bytes."""
        sealed = b64encode(self._cipher.encrypt(nonce, text.encode(), None)).decode()
        return ",".join(map(str, nonce)) + "$" + sealed

    def open(self, sealed: str) -> str | None:
        """What was sealed, None when it was not sealed in this room. Never raises, whatever the text."""
        numbers, _, body = sealed.partition("$")
        if len(sealed) > SEALED_CHARS_MAX:
            return None
        try:
            nonce = bytes(map(int, numbers.split(",", NONCE_BYTES)))
            return self._cipher.decrypt(nonce, b64decode(body, validate=True), None).decode()
        except (ValueError, InvalidTag, binascii.Error):
            return None


def topic_hash(path: str) -> str:
    """SHA-1, each byte in base 36, joined: not reversible, but nobody reads it back."""
    return "".join(map(_base36, hashlib.sha1(path.encode(), usedforsecurity=False).digest()))


def tracker_hash(topic: str) -> str:
    """What stands for a topic at a WebTorrent tracker, in place of a torrent's hash."""
    return topic_hash(topic)[:TRACKER_HASH_CHARS]


def nostr_kind(topic: str) -> int:
    """The kind of ephemeral Nostr events of a topic."""
    return NOSTR_KIND_FIRST + sum(map(ord, topic)) % NOSTR_KINDS


def _base36(byte: int) -> str:
    return _DIGITS[byte] if byte < 36 else _DIGITS[byte // 36] + _DIGITS[byte % 36]


_SIGNAL = msgspec.json.Decoder(Signal)
_ENCODER = msgspec.json.Encoder()
