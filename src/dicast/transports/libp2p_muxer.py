"""Yamux as the package has it, within bounds: streams, frames, and bytes that nobody reads.

Imported where libp2p is installed alone.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from importlib import import_module
from typing import Any

STREAMS_MAX = 128  # of one connection at a time: gossip, table, relay and records need a handful
HELD_BYTES_MAX = 512 * 1024  # of one connection that no stream has read: two messages of the largest size
STALLED_SECONDS_MAX = 10.0  # whose streams are read no sooner is hung up on
FRAME_BYTES_MAX = 256 * 1024  # the first window of a stream; others send 64 KiB at most

_Yamux: Any = import_module("libp2p.stream_muxer.yamux.yamux").Yamux
_trio: Any = import_module("trio")


class BoundedYamux(_Yamux):
    """The package keeps whatever comes, window or not: here the connection waits, then ends."""

    async def accept_stream(self) -> Any:
        """The next stream of theirs."""
        while True:
            stream = await super().accept_stream()
            if len(self.streams) <= STREAMS_MAX:
                return stream
            await stream.reset()

    async def _read_body(self, length: int) -> bytes:
        """The bytes of a frame, when there is room for them; the caller hangs up on `TooSlowError`."""
        if length > FRAME_BYTES_MAX:
            raise _trio.TooSlowError
        with _trio.fail_after(STALLED_SECONDS_MAX):
            while sum(map(len, self.stream_buffers.values())) > HELD_BYTES_MAX:
                await _trio.sleep(0.01)
        body: bytes = await super()._read_data_body(length)
        return body

    _read_data_body = _read_body
