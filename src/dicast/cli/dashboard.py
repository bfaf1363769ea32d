"""The gateway and its pages beside a node that runs in this process: a child that ends with it."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from dicast.base.errors import AdapterError

START_S = 30.0
"""Loading the gateway takes a second; on a busy machine many."""
STOP_S = 3.0
"""It drains open requests; then it is ended."""
LOOPBACK = "127.0.0.1"
SAID = "listening on "


class Dashboard:
    """`dicast gateway` on loopback for the node of a state folder."""

    def __init__(self, state_dir: Path, port: int, *, config: Path | None = None, preset: str = "") -> None:
        self._words = ["gateway", "--state-dir", str(state_dir), "--host", LOOPBACK, "--port", str(port)]
        self._words += ["--config", str(config)] if config else []
        self._words += ["--preset", preset] if preset else []
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> str:
        """The address of the pages. Raises AdapterError with what to do about it."""
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "dicast.cli.leash", str(os.getpid()), *self._words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # the terminal's Ctrl-C is ours to pass on, after the node
        )
        assert process.stdout is not None
        assert process.stderr is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                line = (await process.stdout.readline()).decode("utf-8", "replace").strip()
                if line.startswith(SAID):
                    return line.removeprefix(SAID)
        await self.stop()
        said = (await process.stderr.read(4096)).decode("utf-8", "replace").strip()
        raise AdapterError("dashboard_failed", said or "The gateway did not start.", "Try `dicast gateway`.")

    async def stop(self) -> None:
        """End it; harmless when repeated."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def dashboard_problem() -> str:
    """Why there can be no dashboard; empty when there can."""
    missing = [name for name in ("starlette", "uvicorn") if importlib.util.find_spec(name) is None]
    return f"{missing[0]} is not installed; run: pip install 'dicast[gateway]'" if missing else ""


def free_port(wanted: int) -> int:
    """The port, or 0 (any) when another program has it: a second node on this machine, say."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, wanted))
        except OSError:
            return 0
    return wanted
