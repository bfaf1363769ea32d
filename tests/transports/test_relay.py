"""`dicast relay`: says where it listens, keeps recent events, stops cleanly, stays on this machine."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dicast.base.errors import AdapterError, ConfigurationError
from dicast.transports.relay import run_relay

COMMAND = (
    "import sys; from pathlib import Path; from dicast.cli.relay import relay_command\n"
    "sys.exit(relay_command(port=0, ready_file=Path(sys.argv[1])))"
)
RSS_BYTES_MAX = 60_000_000  # measured: 39 MB


def wants_no_ready(url: str) -> None:
    raise AssertionError(url)


@pytest.fixture
def relay_process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", COMMAND, str(tmp_path / "ready")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_says_where_it_listens_and_stops_when_told(
    relay_process: subprocess.Popen[str], tmp_path: Path, signal_number: int
) -> None:
    assert relay_process.stdout is not None
    line = relay_process.stdout.readline()
    url = line.removeprefix("listening on ").strip()
    assert (line, (tmp_path / "ready").read_text()) == (f"listening on {url}\n", f"{url}\n")
    host, port = url.removeprefix("ws://").split(":")
    socket.create_connection((host, int(port)), timeout=60).close()
    connections = psutil.Process(relay_process.pid).net_connections()
    assert [connection.laddr.ip for connection in connections if connection.status == "LISTEN"] == [
        "127.0.0.1"
    ]
    assert psutil.Process(relay_process.pid).memory_info().rss < RSS_BYTES_MAX
    os.kill(relay_process.pid, signal_number)
    assert (relay_process.wait(60), relay_process.stdout.read()) == (0, "")
    assert not (tmp_path / "ready").exists()


@pytest.mark.anyio
async def test_a_port_in_use_is_an_error_with_a_way_on() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(AdapterError) as caught:
            await run_relay("127.0.0.1", taken.getsockname()[1], stop=asyncio.Event(), ready=wants_no_ready)
    assert (caught.value.code, "--port" in caught.value.next_step) == ("relay_port", True)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("host", "code"), [("0.0.0.0", "relay_public"), ("::", "relay_public"), ("here", "relay_host")]
)
async def test_leaving_this_machine_takes_a_flag(host: str, code: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await run_relay(host, 0, stop=asyncio.Event(), ready=wants_no_ready)
    assert caught.value.code == code


@pytest.mark.anyio
async def test_with_the_flag_other_machines_can_come_in_and_the_port_is_free_after_stopping() -> None:
    stop, addresses = asyncio.Event(), list[str]()

    def ready(url: str) -> None:
        addresses.append(url)
        stop.set()

    await run_relay("0.0.0.0", 0, stop=stop, ready=ready, is_public=True)
    assert addresses[0].startswith("ws://0.0.0.0:")
