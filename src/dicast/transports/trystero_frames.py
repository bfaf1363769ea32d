"""The data frames of trystero 0.25: actions in chunks, each frame bearing the room's token. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from dicast.base.limits import PACKET_BYTES_MAX

PACKET = "packet"
PEERS = "peers"
PING, PONG, READY, LEAVE, HANDSHAKE = "@_ping", "@_pong", "@_hsready", "@_leave", "@_hsdata"
CHUNK_BYTES_MAX = 16 * 1024 - 36  # what libwebrtc carries everywhere, less the header
FRAME_BYTES_MAX = 128 * 1024  # a room's token and a chunk of another implementation; larger ones are refused
ACTION_BYTES = 32
PENDING_MAX = 16  # messages of one link whose end has not come: their sender has so many at once
PENDING_BYTES_MAX = 4 * PACKET_BYTES_MAX  # of one link; the oldest make room
METADATA_BYTES_MAX = 1024
_ROOM_FRAME, _PRESENCE_FRAME = 1, 2
_LAST, _META, _BINARY, _JSON = 1, 2, 4, 8
_HEAD_BYTES = ACTION_BYTES + 4


class Message(msgspec.Struct, frozen=True):
    """What an action brought; `metadata` is JSON text or empty."""

    action: str
    payload: bytes
    metadata: bytes = b""


class Chunk(msgspec.Struct, frozen=True):
    """A part of a message."""

    action: str
    number: int
    tag: int
    payload: bytes


class Presence(msgspec.Struct, frozen=True):
    """The peer says in which other rooms it is."""

    token: bytes


def frames(token: bytes, message: Message, number: int, *, is_binary: bool = False) -> Iterator[bytes]:
    """A message as frames of at most 16 KiB and the token; `number` tells messages of an action apart."""
    payload, kind = message.payload, _BINARY | _JSON if is_binary else 0
    parts = [payload[at : at + CHUNK_BYTES_MAX] for at in range(0, len(payload), CHUNK_BYTES_MAX)] or [b""]
    tags = [kind] * len(parts)
    tags[-1] |= _LAST
    if message.metadata:
        parts.insert(0, message.metadata)
        tags.insert(0, kind | _META)
    head = bytes([_ROOM_FRAME]) + len(token).to_bytes(2, "big") + token
    head += message.action.encode().ljust(ACTION_BYTES, b"\0") + (number & 0xFFFF).to_bytes(2, "big")
    for at, (tag, part) in enumerate(zip(tags, parts, strict=True), 1):
        yield head + bytes([tag, round(at * 255 / len(parts))]) + part


def parse_frame(data: bytes, token: bytes) -> Chunk | Presence | None:
    """What a peer sent; None for garbage and for other rooms. Never raises, whatever the bytes."""
    if not 3 <= len(data) <= FRAME_BYTES_MAX:
        return None
    if data[0] == _PRESENCE_FRAME and len(data) >= 4:
        end = 4 + int.from_bytes(data[2:4], "big")
        return Presence(data[4:end]) if 4 < end == len(data) else None
    start = 3 + int.from_bytes(data[1:3], "big")
    if data[0] != _ROOM_FRAME or data[3:start] != token or len(data) < start + _HEAD_BYTES:
        return None
    body = data[start:]
    try:
        action = body[:ACTION_BYTES].rstrip(b"\0").decode()
    except UnicodeError:
        return None
    number = int.from_bytes(body[ACTION_BYTES : ACTION_BYTES + 2], "big")
    return Chunk(action, number, body[ACTION_BYTES + 2], body[_HEAD_BYTES:])


class _Pending:
    def __init__(self) -> None:
        self.payload = bytearray()
        self.metadata = b""
        self.size = 0


class Assembler:
    """Puts the chunks of one link together, bounded."""

    def __init__(self) -> None:
        self._pending: dict[tuple[str, int], _Pending] = {}
        self._bytes = 0
        self.dropped = 0

    @property
    def pending_bytes(self) -> int:
        """Held for messages whose end has not come."""
        return self._bytes

    def take(self, chunk: Chunk) -> Message | None:
        """The message that a chunk completes. One that is too large is dropped, and so is its end."""
        key = (chunk.action, chunk.number)
        pending = self._pending.pop(key, None) or _Pending()
        self._bytes -= pending.size
        if chunk.tag & _META:
            pending.metadata = chunk.payload[:METADATA_BYTES_MAX]
        else:
            pending.payload += chunk.payload
        pending.size = len(pending.payload) + len(pending.metadata)
        if pending.size > PACKET_BYTES_MAX + METADATA_BYTES_MAX:
            self.dropped += 1
            return None
        if chunk.tag & _LAST:
            return Message(chunk.action, bytes(pending.payload), pending.metadata)
        self._pending[key] = pending
        self._bytes += pending.size
        self._make_room()
        return None

    def _make_room(self) -> None:
        while len(self._pending) > PENDING_MAX or self._bytes > PENDING_BYTES_MAX:
            oldest = self._pending.pop(next(iter(self._pending)))
            self._bytes -= oldest.size
            self.dropped += 1
