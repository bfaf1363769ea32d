"""What nodes say over NKN, and the lines of the process between. Total: any bytes are read, or None."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Iterable
from enum import Enum

import msgspec

ADDRESS = re.compile(r"\A(?:[A-Za-z0-9_.-]{1,64}\.)?[0-9a-f]{64}\Z")
ADDRESSES_MAX = 16  # told in one greeting
TOPIC_BYTES = 32


class Tag(bytes, Enum):
    """The first byte of a message."""

    HELLO = b"h"
    ANSWER = b"a"
    PACKET = b"p"
    BYE = b"b"


class Said(msgspec.Struct, frozen=True):
    """One line of the side process; each has some of these."""

    address: str = ""
    ready: bool = False
    sender: str = msgspec.field(default="", name="from")
    base64: str = ""
    done: int | None = None
    why: str = ""
    problem: str = ""


class Frame(msgspec.Struct, frozen=True):
    """One message of a node: a packet, or addresses."""

    tag: Tag
    body: bytes

    @property
    def addresses(self) -> tuple[str, ...]:
        """Whom a greeting names: hearsay."""
        words = self.body.decode("ascii", "replace").split("\n", ADDRESSES_MAX)[:ADDRESSES_MAX]
        return tuple(word for word in words if is_address(word))


def is_address(text: str) -> bool:
    """Whether it is a client's address with its whole key: names would have to be asked for."""
    return ADDRESS.match(text) is not None


def frame_of(tag: Tag, topic: str, body: bytes = b"") -> bytes:
    """The bytes of a message."""
    return tag.value + bytes.fromhex(topic) + body


def greeting(tag: Tag, topic: str, addresses: Iterable[str]) -> bytes:
    """A message that names addresses."""
    return frame_of(tag, topic, "\n".join(list(addresses)[:ADDRESSES_MAX]).encode())


def read_frame(data: bytes, topic: str) -> Frame | None:
    """A message of this topic."""
    if data[1 : 1 + TOPIC_BYTES] != bytes.fromhex(topic):
        return None
    try:
        return Frame(Tag(data[:1]), data[1 + TOPIC_BYTES :])
    except ValueError:
        return None


def read_line(line: bytes) -> Said | None:
    """A line of the side process."""
    try:
        return _SAID.decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def sent_bytes(said: Said) -> bytes:
    """What somebody sent; nothing where it is no base64."""
    try:
        return b64decode(said.base64, validate=True)
    except (binascii.Error, ValueError):
        return b""


_SAID = msgspec.json.Decoder(Said)
