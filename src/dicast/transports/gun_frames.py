"""What peers of GunDB say to each other, as far as packets need it: read and made without I/O."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Any, cast

import msgspec

from dicast.base.limits import PACKET_BYTES_MAX

FRAME_BYTES_MAX = 256 * 1024  # a packet in JSON in JSON has at most twice its bytes; relays pack 9,000 bytes
MESSAGES_A_FRAME = 1024  # more small ones than fit into what relays pack together
NAME_CHARS_MAX = 128  # of a message or a key; ours have under 40
SLOTS = 64  # keys a node writes in turn: a relay keeps every key for ever, but only its latest value
HELLO = "hello"


class Put(msgspec.Struct, frozen=True):
    """A value under a key of our soul, and the time that its writer claims, in milliseconds."""

    message: str
    key: str
    value: str
    state: float

    @property
    def is_hello(self) -> bool:
        """Whether it says that somebody came."""
        return self.key.endswith(f".{HELLO}")

    @property
    def digest(self) -> bytes:
        """The same however it came; the name of the message is not part of it, for anybody may reuse one."""
        parts = (self.key, self.value, repr(self.state))
        return hashlib.sha256(b"\0".join(part.encode() for part in parts)).digest()


class Get(msgspec.Struct, frozen=True):
    """Somebody asks what is under our soul: under one key, or ("") under all."""

    message: str
    key: str


class Hi(msgspec.Struct, frozen=True):
    """A peer asks who we are."""

    message: str


Spoken = Put | Get | Hi


def soul_of(topic: str) -> str:
    """The node of the graph that holds the packets of a topic."""
    return f"dicast/{topic}"


def writer_of(topic: str, node_id: str) -> str:
    """What a node's keys begin with: always the same, so that it writes over what it wrote before."""
    return hashlib.sha256(f"dicast/gun/{topic}/{node_id}".encode()).hexdigest()[:16]


def read_frame(frame: bytes, soul: str) -> list[Spoken] | None:
    """What concerns a soul; None when it is nothing that a peer says. Never raises."""
    try:
        said: Any = msgspec.json.decode(frame)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    if not isinstance(said, list):
        return _read(said, soul)
    spoken: list[Spoken] = []
    for message in cast("list[Any]", said)[:MESSAGES_A_FRAME]:
        one = _read(message, soul)
        if one is None:
            return None
        spoken += one
    return spoken


def put_frame(soul: str, puts: list[Put], answered: str = "") -> bytes:
    """A message that holds some values, in answer to another or on its own."""
    states = {put.key: put.state for put in puts}
    values = {put.key: put.value for put in puts}
    said: dict[str, object] = {"#": puts[0].message, "put": {soul: {"_": {"#": soul, ">": states}, **values}}}
    return msgspec.json.encode({**said, "@": answered} if answered else said)


def nothing_frame(message: str, answered: str) -> bytes:
    """There is nothing under what was asked for."""
    return msgspec.json.encode({"#": message, "@": answered, "put": None})


def hi_frame(message: str, own: str, answered: str = "") -> bytes:
    """Who we are, asking who they are or in answer."""
    said = {"dam": "?", "#": message, "pid": own}
    return msgspec.json.encode({**said, "@": answered} if answered else said)


def _read(said: Any, soul: str) -> list[Spoken] | None:
    message = _fields(said)
    if message is None:
        return None
    name: Any = message.get("#", "")
    if not isinstance(name, str) or len(name) > NAME_CHARS_MAX:
        return None
    if message.get("dam") == "?":
        return [] if "@" in message else [Hi(name)]
    nodes, asked = _fields(message.get("put")), _fields(message.get("get"))
    if nodes is not None:
        return list(_puts(name, _fields(nodes.get(soul)) or {}, soul))
    if asked is not None and asked.get("#") == soul:
        key: Any = asked.get(".")
        return [Get(name, key if isinstance(key, str) else "")]
    return []  # receipts, other souls, what other peers invented


def _puts(name: str, node: dict[str, Any], soul: str) -> Iterator[Put]:
    marks = _fields(node.get("_")) or {}
    states = _fields(marks.get(">")) or {}
    for key, value in node.items() if marks.get("#") == soul else ():
        state: Any = states.get(key)
        is_time = isinstance(state, int | float) and not isinstance(state, bool) and math.isfinite(state)
        if is_time and len(key) <= NAME_CHARS_MAX and _is_packet(value):
            yield Put(name, key, value, float(state))


def _is_packet(value: Any) -> bool:
    return isinstance(value, str) and len(value.encode()) <= PACKET_BYTES_MAX


def _fields(value: Any) -> dict[str, Any] | None:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None
