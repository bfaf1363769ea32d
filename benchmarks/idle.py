"""What a node costs that does nothing: processor time and bytes on each network, and on all at once.

Run `python benchmarks/idle.py [--seconds N] [--settle N]`. A node of the default roles in a process of its
own, known by nobody, on the networks of `networks.py`; it is looked at for N seconds from some seconds after
its start. Its bytes, both ways, are counted by a proxy before each server, or before the first peer of
BitTorrent's table and of libp2p; WebRTC without peers has its meeting point only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil
from networks import Network, started

CORE_PERCENT_MAX, KBYTES_MAX = 5.0, 20.0


class Counter:
    """A proxy that counts what goes through it, both ways."""

    def __init__(self, port: int) -> None:
        self.bytes = 0
        self.port = 0
        self._to = port

    async def start(self, is_udp: bool) -> asyncio.Server | asyncio.DatagramTransport:
        if is_udp:
            loop = asyncio.get_running_loop()
            server, _ = await loop.create_datagram_endpoint(
                lambda: Datagrams(self, self._to), local_addr=("127.0.0.1", 0)
            )
            self.port = server.get_extra_info("sockname")[1]
            return server
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._to)
        with contextlib.suppress(asyncio.CancelledError):  # the benchmark is over
            await asyncio.gather(self._pass_on(reader, there_writer), self._pass_on(there_reader, writer))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while some := await reader.read(65_536):
                self.bytes += len(some)
                writer.write(some)
        writer.close()


class Datagrams(asyncio.DatagramProtocol):
    """The same for UDP: one node on one side, one on the other."""

    def __init__(self, counter: Counter, port: int) -> None:
        self._counter = counter
        self._there = ("127.0.0.1", port)
        self._here: tuple[str, int] | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._counter.bytes += len(data)
        if addr != self._there:
            self._here = addr
        to = self._here if addr == self._there else self._there
        if to is not None:
            self._transport.sendto(data, to)


async def idle(chosen: list[Network], seconds: float, settle: float) -> tuple[float, float]:
    """Percent of a core and kB/s of a node on these networks."""
    counters = {network.name: Counter(network.port) for network in chosen}
    servers = [await counter.start(name == "bittorrent") for name, counter in counters.items()]
    tables: dict[str, dict[str, object]] = {"nostr": {"enabled": False}}
    relays: list[str] = []
    for network in chosen:
        port = counters[network.name].port
        if network.name == "nostr":
            relays, tables["nostr"] = [f"ws://127.0.0.1:{port}"], {}
        else:
            tables[network.name] = network.table(port)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.json"
        config.write_bytes(msgspec.json.encode({"relays": relays, "transports": tables}))
        with node(Path(folder), config) as process:
            await asyncio.sleep(settle)
            used, count = process.cpu_times(), sum(counter.bytes for counter in counters.values())
            await asyncio.sleep(seconds)
            after = process.cpu_times()  # raises when the node has ended
            assert process.status() != psutil.STATUS_ZOMBIE, "the node ended"
            core = (after.user + after.system - used.user - used.system) / seconds * 100
            count = sum(counter.bytes for counter in counters.values()) - count
    for server in servers:
        server.close()
    return core, count / seconds / 1000


@contextmanager
def node(folder: Path, config: Path) -> Iterator[psutil.Process]:
    command = (
        sys.executable,
        "-m",
        "dicast.cli",
        "up",
        "--no-dashboard",
        "--config",
        str(config),
        "--state-dir",
        str(folder / "n"),
    )
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert running.stdout is not None
    while line := running.stdout.readline():
        if b" ready " in line:
            break
    try:
        yield psutil.Process(running.pid)
    finally:
        running.terminate()
        running.wait()


async def measure(every: list[Network], seconds: float, settle: float) -> bool:
    print(f"{os.cpu_count()} cores; idle for {seconds:.0f} s, from {settle:.0f} s after the start\n")
    print(f"{'network':<12}{'core %':>9}{'kB/s':>9}")
    for network in every:
        core, rate = await idle([network], seconds, settle)
        print(f"{network.name:<12}{core:>9.2f}{rate:>9.2f}", flush=True)
    core, rate = await idle(every, seconds, settle)
    print(f"{'all at once':<12}{core:>9.2f}{rate:>9.2f}")
    is_good = core <= CORE_PERCENT_MAX and rate <= KBYTES_MAX
    print(f"\n{'ok' if is_good else 'MISSED'}: all at once ≤ {CORE_PERCENT_MAX} % and ≤ {KBYTES_MAX} kB/s")
    return is_good


def main() -> int:
    """Print the table; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--settle", type=float, default=5, help="after its start a node looks for others")
    given = parser.parse_args()
    with started() as every:
        return 0 if asyncio.run(measure(every, given.seconds, given.settle)) else 1


if __name__ == "__main__":
    sys.exit(main())
