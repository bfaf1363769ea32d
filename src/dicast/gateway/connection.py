"""One client's connection: uvicorn's, but that heads come in time and that who does not read is let go."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 10.0
"""From its first byte, or from the connection, a request's line and headers get as long as a body."""
STALLED_S = 60.0
"""Who takes nothing for so long reads no more; proxies give up on a silent side at that time too."""
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Connection(H11Protocol):
    """Speaks HTTP/1.1 with one client."""

    _head: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody connected, and has to say why."""
        super().connection_made(transport)
        self._head = self.loop.call_later(HEAD_S, self._end_slow)

    def data_received(self, data: bytes) -> None:
        """Bytes came; those of a head must be followed by its rest."""
        super().data_received(data)
        self._watch_head()

    def on_response_complete(self) -> None:
        """The next request may have begun while this one was answered."""
        super().on_response_complete()
        self._watch_head()

    def _watch_head(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._head = _cancelled(self._head)
        elif self._head is None and self.conn.trailing_data[0]:
            self._head = self.loop.call_later(HEAD_S, self._end_slow)

    def pause_writing(self) -> None:
        """The client does not read what was sent."""
        super().pause_writing()
        self._stalled = self.loop.call_later(STALLED_S, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        self._stalled = _cancelled(self._stalled)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._head, self._stalled = _cancelled(self._head), _cancelled(self._stalled)
        super().connection_lost(exc)

    def _end_slow(self) -> None:
        self._head = None
        if not self.transport.is_closing():
            self.transport.write(TOO_SLOW)
            self.transport.close()


def _cancelled(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
