"""`dicast relay`: serve packets to one's own nodes until interrupted."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from dicast.base.errors import ConfigurationError
from dicast.daemon.files import write_file
from dicast.transports.relay import run_relay

PORT_MAX = 65_535
"""Ports are 16-bit numbers."""

PUBLIC_WARNING = (
    "This relay is open to other machines: whoever reaches the port can read and publish packets. "
    "Packets are signed, not encrypted."
)


def relay_command(
    host: str = "127.0.0.1", port: int = 7777, *, ready_file: Path | None = None, is_public: bool = False
) -> int:
    """Serve until SIGINT or SIGTERM; the address goes to stdout, and to `ready_file` once it is served."""
    if not 0 <= port <= PORT_MAX:
        raise ConfigurationError(
            "relay_port",
            f"--port {port} is outside 0…{PORT_MAX}.",
            "For example --port 7777, or 0 for any free one.",
        )
    try:
        asyncio.run(_serve(host, port, ready_file, is_public))
    finally:
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)
    return 0


async def _serve(host: str, port: int, ready_file: Path | None, is_public: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, stop.set)

    def ready(url: str) -> None:
        if is_public:
            sys.stderr.write(PUBLIC_WARNING + "\n")
        if ready_file is not None:
            write_file(ready_file, (url + "\n").encode())
        sys.stdout.write(f"listening on {url}\n")
        sys.stdout.flush()

    await run_relay(host, port, stop=stop, ready=ready, is_public=is_public)
