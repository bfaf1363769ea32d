"""The Unix socket of a running node: a line of JSON in, lines out. Bad input is answered, never raised."""

from __future__ import annotations

import asyncio
import os
import socket
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from dicast.base.errors import AdapterError, ConfigurationError, DicastError, LocalProtocolError
from dicast.daemon import api, frames
from dicast.daemon.logs import Log
from dicast.daemon.service import Service
from dicast.daemon.tellings import Told

CONNECTIONS_MAX = 480
"""Every question that may be open, and 96 more for whoever looks; each buffers at most `CALL_BYTES_MAX`."""
CALLS_A_CONNECTION_MAX = 64
"""Calls open on one connection; asks are limited again by the service."""
BACKLOG_BYTES_MAX = 4 * 1024 * 1024
"""What waits for a client that does not read; beyond it events are dropped, results wait."""
EVENTS_WAIT_S = 0.002
"""Nobody sees so short a delay, and a quick round's ten events are one or two writes and wake the client as
often; the end of a connection's only call waits for nothing."""
SOCKET_PATH_BYTES_MAX = 100
"""A Unix socket's name holds 104 bytes on some systems."""


class ControlServer:
    """Listens until `close`; every connection is one client."""

    def __init__(self, service: Service, path: Path, log: Log) -> None:
        self._service = service
        self._path = path
        self._log = log
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Bind the socket, readable by its owner only. The caller holds the state folder's lock."""
        with suppress(FileNotFoundError):
            self._path.unlink()
        listener = _bind(self._path)
        # With a full backlog asyncio takes a Unix socket for connected that is not.
        self._server = await asyncio.start_unix_server(
            self._accept, sock=listener, limit=frames.CALL_BYTES_MAX, backlog=CONNECTIONS_MAX
        )

    async def close(self) -> None:
        """Stop listening, end every connection, remove the socket."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        with suppress(FileNotFoundError):
            self._path.unlink()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._connections) >= CONNECTIONS_MAX:
            writer.close()
            return
        self._connections.add(task)
        try:
            await _Connection(self._service, reader, writer, self._log).serve()
        except (ConnectionError, asyncio.CancelledError):
            pass  # it went away, or `close` ended it: Python 3.11 prints a trace of a cancelled one
        finally:
            self._connections.discard(task)
            writer.close()


class _Connection:
    """One client: several calls at a time, told apart by their ids. Its calls end with it."""

    def __init__(
        self, service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, log: Log
    ) -> None:
        self._service = service
        self._reader = reader
        self._writer = writer
        self._log = log
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._lines: list[bytes] = []
        self._later: asyncio.TimerHandle | None = None

    async def serve(self) -> None:
        """Hear calls until the client goes away; then end what it left open."""
        try:
            while True:
                line = await self._line()
                if line is None:
                    return
                if line.strip():
                    await self._hear(line)
        finally:
            for task in self._calls.values():
                task.cancel()
            await asyncio.gather(*self._calls.values(), return_exceptions=True)
            self._flush()

    async def _line(self) -> bytes | None:
        """The next line; an empty one for a line over the limit, which is skipped; None at the end."""
        try:
            return await self._reader.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            return None
        except asyncio.LimitOverrunError:
            await self._skip_line()
            await self._refuse(0, "call_too_large", f"A call has at most {frames.CALL_BYTES_MAX} bytes.")
            return b""

    async def _skip_line(self) -> None:
        """Throw away what is left of a line, without keeping it."""
        while True:
            try:
                await self._reader.readuntil(b"\n")
            except asyncio.LimitOverrunError as error:
                await self._reader.readexactly(error.consumed)
            except asyncio.IncompleteReadError:
                return
            else:
                return

    async def _hear(self, line: bytes) -> None:
        try:
            frame = frames.read_call(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            await self._refuse(0, "call_malformed", f"This is no call: {' '.join(str(error).split())}.")
            return
        if frame.cancel:
            task = self._calls.get(frame.id)
            if task is not None:
                task.cancel()
            return
        if frame.call is None or frame.id in self._calls or len(self._calls) >= CALLS_A_CONNECTION_MAX:
            await self._refuse(
                frame.id, "call_refused", "The call is empty, its id is in use, or too many are open."
            )
            return
        task = asyncio.get_running_loop().create_task(self._perform(frame.id, frame.call))
        self._calls[frame.id] = task
        task.add_done_callback(lambda _: self._calls.pop(frame.id, None))
        await asyncio.sleep(0)  # a task that is cancelled before it began would answer nothing

    async def _perform(self, call_id: int, call: api.AnyCall) -> None:
        try:
            result = await self._service.answer(call, self._event_sink(call_id))
            await self._send(frames.result_line(call_id, result))
        except DicastError as error:
            await self._send(frames.error_line(call_id, error))
        except asyncio.CancelledError:
            with suppress(ConnectionError):
                cancelled = AdapterError("cancelled", "The call was cancelled.")
                await self._send(frames.error_line(call_id, cancelled))
            raise
        except ConnectionError:
            pass  # the client went away
        except Exception as error:
            self._log.error("bug", error=repr(error), trace=traceback.format_exc())
            await self._refuse(call_id, "internal_error", "The node failed to answer; its log says why.")

    def _event_sink(self, call_id: int) -> Callable[[Told | api.ReportsDropped], None]:
        dropped = 0

        def send(report: Told | api.ReportsDropped) -> None:
            nonlocal dropped
            if self._writer.transport.get_write_buffer_size() > BACKLOG_BYTES_MAX:
                dropped += 1
                return
            if dropped:
                self._write_event(call_id, api.ReportsDropped(dropped))
                dropped = 0
            self._write_event(call_id, report)

        return send

    def _write_event(self, call_id: int, report: Told | api.ReportsDropped) -> None:
        if not self._writer.is_closing():
            self._write_soon(frames.event_line(call_id, report))

    def _write_soon(self, line: bytes) -> None:
        if self._later is None:
            self._later = asyncio.get_running_loop().call_later(EVENTS_WAIT_S, self._flush)
        self._lines.append(line)

    def _flush(self) -> None:
        """Lines of a moment are one write."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        lines, self._lines = self._lines, []
        if lines and not self._writer.is_closing():
            self._writer.write(b"".join(lines))

    async def _refuse(self, call_id: int, code: str, message: str) -> None:
        await self._send(frames.error_line(call_id, LocalProtocolError(code, message)))

    async def _send(self, line: bytes) -> None:
        """What ends a call, and the lines that wait: at once, unless the connection has other calls open."""
        self._write_soon(line)
        if len(self._calls) <= 1:
            self._flush()
        await self._writer.drain()


def _bind(path: Path) -> socket.socket:
    """A listening socket that is never, not even for a moment, open to others."""
    check_socket_path(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            "socket_unusable",
            f"state_dir: cannot listen on {path}: {error.strerror}.",
            "Name another --state-dir.",
        ) from error
    finally:
        os.umask(before)
    listener.setblocking(False)
    return listener


def check_socket_path(path: Path) -> None:
    """Refuse a name that the system would cut or refuse."""
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
        raise ConfigurationError(
            "state_dir_too_long",
            f"state_dir: {path} is too long for a socket's name.",
            f"Name a folder whose path has at most {SOCKET_PATH_BYTES_MAX} bytes in all, e.g. /tmp/node1.",
        )
