"""Reading a request's body: bounded in size and in time, JSON by its content type, strict in its types."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import msgspec
from starlette.requests import Request
from starlette.types import Receive

from dicast.gateway.errors import GatewayError
from dicast.gateway.replies import ClientGoneError

T = TypeVar("T")
HELD = "dicast_held"
"""In a request's scope: what it holds. A batch's lines hold nothing: their file is on the disk."""
BODY_BYTES_MAX = 2 * 1024 * 1024
"""1 MiB of prompt, twice that when every character is escaped by a backslash: larger ones cannot travel."""
HELD_BYTES_MAX = 64 * 1024 * 1024
"""Of all bodies of requests that are open: each is in memory about three times until it is answered."""
BODY_TIMEOUT_S = 10.0
"""Two mebibytes in ten seconds are 1.7 Mbit/s; whoever is slower holds a connection for nothing."""


class Held:
    """How many bytes of bodies are in memory, of all open requests."""

    def __init__(self, most: int = HELD_BYTES_MAX) -> None:
        self._most = most
        self.bytes = 0

    @contextmanager
    def request(self) -> Generator[HeldByOne]:
        """One request; what it holds is let go at its end."""
        one = HeldByOne(self)
        try:
            yield one
        finally:
            self.bytes -= one.bytes

    def add(self, count: int) -> None:
        """More came. Raises GatewayError `overloaded`."""
        if self.bytes + count > self._most:
            raise GatewayError("overloaded", "Too many long questions are open. Ask again in a while.")
        self.bytes += count


class HeldByOne:
    """What one request holds."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self.bytes = 0

    def add(self, count: int) -> None:
        """More came. Raises GatewayError `overloaded`."""
        self._held.add(count)
        self.bytes += count


def declared_bytes(request: Request) -> int:
    """How large the client says that the body is; 0 where it says nothing that is a number."""
    length = request.headers.get("content-length", "0")
    return int(length[:18]) if length.isascii() and length.isdigit() else 0


async def read_body(request: Request, kind: type[T], timeout_s: float = BODY_TIMEOUT_S) -> T:
    """The body as `kind`. Raises GatewayError, or ClientGoneError."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise GatewayError("not_json", "Send the body as application/json.")
    if declared_bytes(request) > BODY_BYTES_MAX:
        raise _too_large()
    try:
        async with asyncio.timeout(timeout_s):
            content = await _whole(request.receive, request.scope.get(HELD))
    except TimeoutError as error:
        raise GatewayError("body_too_slow", f"The body took longer than {timeout_s:g} s.") from error
    return _decoded(content, kind)


async def _whole(receive: Receive, held: HeldByOne | None) -> bytes:
    content = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        content += message.get("body", b"")
        if held is not None:
            held.add(len(message.get("body", b"")))
        if len(content) > BODY_BYTES_MAX:
            raise _too_large()
        if not message.get("more_body", False):
            return bytes(content)


def _decoded(content: bytes, kind: type[T]) -> T:
    try:
        return _typed(content, kind)
    except msgspec.ValidationError as error:
        raise GatewayError("invalid_request", f"{error}.", field=_field(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise GatewayError("invalid_json", f"The body is no JSON: {error}.") from error


def _typed(content: bytes, kind: type[T]) -> T:
    """The body as `kind`. JSON knows one kind of number: 60.0 is the whole number 60."""
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        if "got `float`" not in str(error):
            raise
    return msgspec.convert(_whole_numbers(msgspec.json.decode(content)), kind)


def _whole_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole_numbers(one) for key, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_whole_numbers(one) for one in cast("list[Any]", value)]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _field(complaint: str) -> str | None:
    """`Expected … - at `$.messages[0]`` -> messages[0]."""
    _, mark, place = complaint.rpartition("at `$.")
    return place.rstrip("`") if mark else None


def _too_large() -> GatewayError:
    return GatewayError("body_too_large", f"A body has at most {BODY_BYTES_MAX} bytes.")
