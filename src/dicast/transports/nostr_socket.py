"""One WebSocket connection to a relay, with everything bounded that the other side decides."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from dicast.transports.dialling import Connect

FRAME_BYTES_MAX = 1 << 20  # a packet is 64 KiB, but a relay may pass on larger events: those are skipped
FRAMES_AHEAD_MAX = 8  # read ahead of us; then the relay feels back-pressure
OPEN_SECONDS_MAX = 10.0  # name look-up, TCP, TLS and the upgrade; a relay behind Tor takes about five
CLOSE_SECONDS_MAX = 0.5  # saying goodbye must not hold up stopping
HEARTBEAT_SECONDS = 20.0  # a silent connection is noticed within two of these


def open_socket(url: str, host: str = "") -> Connect:
    """Await it to connect, to `host` where that was checked; raises what the library raises."""
    return Connect(
        url,
        compression=None,  # saves 300 kB a connection; packets are mostly hex and small
        max_size=FRAME_BYTES_MAX,
        max_queue=FRAMES_AHEAD_MAX,
        open_timeout=OPEN_SECONDS_MAX,
        close_timeout=CLOSE_SECONDS_MAX,
        ping_interval=HEARTBEAT_SECONDS,
        ping_timeout=HEARTBEAT_SECONDS,
        user_agent_header="dicast",
        proxy=None if host or is_on_this_machine(url) else True,
        **({"host": host} if host else {}),  # type: ignore[arg-type]
    )


class Trip:
    """To the relay and back: from subscribing to the end of what was stored, then by WebSocket pings."""

    def __init__(self, socket: ClientConnection | None = None) -> None:
        self._socket = socket
        self._began = time.monotonic()
        self._first_ms: int | None = None

    def began(self) -> None:
        """The relay is asked."""
        self._began = time.monotonic()

    def ended(self) -> None:
        """It has answered."""
        self._first_ms = max(1, round((time.monotonic() - self._began) * 1000))

    @property
    def milliseconds(self) -> int | None:
        """As last measured; at least 1."""
        pinged = 0.0 if self._socket is None else self._socket.latency
        return max(1, round(pinged * 1000)) if pinged else self._first_ms


def is_on_this_machine(url: str) -> bool:
    """Whether an address is reached without leaving this machine, and so never through a proxy."""
    host = urlsplit(url).hostname or ""
    is_number = host.replace(".", "").isdigit()  # and no name that somebody registered
    return host in {"localhost", "::1"} or (is_number and host.startswith("127."))


def is_too_big(closed: ConnectionClosed) -> bool:
    """Whether we hung up because a frame was larger than we read."""
    return closed.sent is not None and closed.sent.code == 1009


def described(error: Exception) -> str:
    """An error in one short line."""
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
