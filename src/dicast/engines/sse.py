"""Server-sent events, as OpenAI-compatible servers write them: one JSON object a `data:` line."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final, TypeVar

import msgspec

from dicast.engines.answer import bad_answer

LINE_BYTES_MAX: Final = 256 * 1024  # five times the largest answer, in one event
STREAM_BYTES_MAX: Final = 32 * 1024 * 1024  # an answer of 48 KiB, a letter an event of 500 bytes
DONE: Final = b"[DONE]"

T = TypeVar("T")


async def events(pieces: AsyncIterator[bytes], engine: str, kind: type[T]) -> AsyncGenerator[T | None]:
    """The objects of the stream, then None if it says `[DONE]`. Raises AdapterError `engine_bad_answer`."""
    async for line in _lines(pieces, engine):
        if not line.startswith(b"data:"):
            continue  # comments that keep the connection alive, event names, blank lines
        data = line[5:].strip()
        if data == DONE:
            yield None
            return
        yield parse(data, kind, engine)


def parse(data: bytes, kind: type[T], engine: str) -> T:
    """A JSON object from a server that may send anything; fields that we do not know are skipped."""
    try:
        return msgspec.json.decode(data, type=kind)
    except UnicodeDecodeError as error:
        raise bad_answer(engine, "bytes that are not UTF-8") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise bad_answer(engine, "something else than the JSON of a chat completion") from error


async def _lines(pieces: AsyncIterator[bytes], engine: str) -> AsyncIterator[bytes]:
    rest, total = bytearray(), 0
    async for piece in pieces:
        total += len(piece)
        rest += piece
        if b"\n" in piece:
            *lines, rest = rest.split(b"\n")
            for line in lines:
                yield bytes(line.rstrip(b"\r"))
        if total > STREAM_BYTES_MAX or len(rest) > LINE_BYTES_MAX:
            raise bad_answer(engine, "more than an answer can need")
    if rest:
        yield bytes(rest)
