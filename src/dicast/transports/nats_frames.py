"""What a NATS server says, read from bytes as they come: bounded, without I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from dicast.base.limits import PACKET_BYTES_MAX

LINE_BYTES_MAX = 32 * 1024  # INFO names the servers of a cluster; all other lines are short
MESSAGE = re.compile(rb"MSG[ \t]+\S+[ \t]+(\d{1,9})[ \t]+(?:\S+[ \t]+)?(\d{1,10})[ \t]*", re.IGNORECASE)


class Said(msgspec.Struct, frozen=True):
    """A line of the server: `INFO`, `PING`, `PONG`, `+OK` or `-ERR`, and what follows it."""

    verb: str
    rest: bytes = b""


class Delivered(msgspec.Struct, frozen=True):
    """A message of a subscription; None where it was larger than a packet and was passed over."""

    subscription: int
    payload: bytes | None


class Greeting(msgspec.Struct, frozen=True):
    """What matters of INFO."""

    max_payload: int = PACKET_BYTES_MAX
    tls_required: bool = False
    tls_available: bool = False
    nonce: str = ""


class NatsReader:
    """`feed` gives what is complete; raises `ValueError` on what no server says."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._subscription = 0
        self._payload_bytes = -1
        """Bytes of a payload that is still to come; -1 between messages."""
        self._skipped_bytes = 0
        """Bytes that are passed over as they come."""

    def feed(self, data: bytes) -> Iterator[Said | Delivered]:
        """What became complete with `data`."""
        self._held += data
        while (frame := self._next()) is not None:
            yield frame

    @property
    def is_between_lines(self) -> bool:
        """Whether nothing came that is not yet read."""
        return not self._held

    @property
    def held_bytes(self) -> int:
        """What waits for the rest of it."""
        return len(self._held)

    def _next(self) -> Said | Delivered | None:
        if self._skipped_bytes:
            passed = min(self._skipped_bytes, len(self._held))
            del self._held[:passed]
            self._skipped_bytes -= passed
            return None if self._skipped_bytes else Delivered(self._subscription, None)
        if self._payload_bytes >= 0:
            return self._payload()
        return self._line()

    def _payload(self) -> Delivered | None:
        size = self._payload_bytes
        if len(self._held) < size + 2:
            return None
        if not self._held.startswith(b"\r\n", size):
            raise ValueError("the server sent a message of another length than it said")
        payload = bytes(self._held[:size])
        del self._held[: size + 2]
        self._payload_bytes = -1
        return Delivered(self._subscription, payload)

    def _line(self) -> Said | Delivered | None:
        end = self._held.find(b"\r\n", 0, LINE_BYTES_MAX)
        if end < 0:
            if len(self._held) >= LINE_BYTES_MAX:
                raise ValueError("the server sent a line without an end")
            return None
        line = bytes(self._held[:end])
        del self._held[: end + 2]
        message = MESSAGE.fullmatch(line)
        if message is None:
            return _said(line)
        self._subscription, size = int(message[1]), int(message[2])
        if size > PACKET_BYTES_MAX:
            self._skipped_bytes = size + 2
        else:
            self._payload_bytes = size
        return self._next()


def read_greeting(rest: bytes) -> Greeting:
    """Raises `ValueError` where it is none."""
    greeting = msgspec.json.decode(rest, type=Greeting)
    if greeting.max_payload < 0 or len(greeting.nonce) > 256:
        raise ValueError("the server says strange things of itself")
    return greeting


def _said(line: bytes) -> Said:
    verb, _, rest = line.partition(b" ")
    name = verb.upper().decode("ascii", "replace")
    if name not in ("INFO", "PING", "PONG", "+OK", "-ERR"):
        raise ValueError("what answers is no NATS server")
    return Said(name, rest.strip())
