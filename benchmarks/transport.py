"""Packets through a relay of one's own: how long one takes, and how many a second arrive.

Run `python benchmarks/transport.py`. Three processes: the relay, the sender, and this one, which receives.
The baseline is the obvious client: send a packet, wait for the relay's OK, send the next; "× obvious" is
against it in the same run. Latency is from `publish` to `on_packet`, one packet on its way at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

from websockets.asyncio.client import connect

from dicast.base.crypto import KeyPair
from dicast.base.events import encode_event, parse_event, sign_event
from dicast.protocol.messages import Kind
from dicast.transports.memory import MemoryHub
from dicast.transports.nostr import NostrTransport

TOPIC = "ab" * 32
KEY = KeyPair.from_seed(b"benchmark".ljust(32))
PACKET_CHARS = 700
RELAY = "from dicast.cli.relay import relay_command; relay_command(port=0)"
AHEAD_MAX = 256
MESSAGES_A_MINUTE = 6000  # what the relay takes of one connection
LATENCY_MS_MAX = 5.0
RATE_MIN = 1000.0

Send = Callable[[bytes], Awaitable[None]]


def packet(number: int) -> bytes:
    """A signed packet of about 1 kB that carries the time of its making."""
    content = f"{time.perf_counter_ns()} {number} {'x' * PACKET_CHARS}"
    return encode_event(sign_event(KEY, int(time.time()), Kind.STATUS, [("t", TOPIC)], content))


class Receiver:
    """Notes when each packet was made and when it came."""

    def __init__(self) -> None:
        self.arrivals: dict[int, float] = {}
        self.milliseconds: list[float] = []
        self._changed = asyncio.Event()

    def take(self, wire: bytes) -> None:
        now = time.perf_counter_ns()
        made, number, _ = parse_event(wire).content.split()
        self.arrivals[int(number)] = now / 1e9
        self.milliseconds.append((now - int(made)) / 1e6)
        self._changed.set()

    async def has(self, count: int) -> None:
        while len(self.arrivals) < count:
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), 30)

    def rate(self) -> float:
        times = sorted(self.arrivals.values())
        return (len(times) - 1) / (times[-1] - times[0])


async def up(transport: NostrTransport) -> None:
    while transport.health().state != "up":  # noqa: ASYNC110 (a transport has no event for its health)
        await asyncio.sleep(0.01)


async def latency(urls: list[str], count: int) -> Receiver:
    """One packet at a time; the hub stands in where there are no relays."""
    hub, receiver = MemoryHub(), Receiver()
    sink = NostrTransport(urls, KEY) if urls else hub.transport()
    source = NostrTransport(urls, KeyPair.from_seed(b"source".ljust(32))) if urls else hub.transport()
    await sink.start(TOPIC, receiver.take)
    await source.start(TOPIC, lambda _wire: None)
    for transport in (sink, source):
        if isinstance(transport, NostrTransport):
            await up(transport)
    for number in range(count):
        source.publish(packet(number))
        await receiver.has(number + 1)
    await source.stop()
    await sink.stop()
    return receiver


async def throughput(urls: list[str], count: int, sender: str) -> Receiver:
    """A sender in a process of its own publishes as fast as the relay takes it."""
    receiver = Receiver()
    sink = NostrTransport(urls, KEY)
    await sink.start(TOPIC, receiver.take)
    await up(sink)
    command = [sys.executable, __file__, "--send", sender, "--packets", str(count), *urls]
    process = await asyncio.create_subprocess_exec(*command)
    await receiver.has(count)
    await process.wait()
    await sink.stop()
    return receiver


async def send_by_transport(urls: list[str], count: int) -> None:
    """What a node does: publish, never wait for an answer."""
    transport = NostrTransport(urls, KeyPair.from_seed(b"sender".ljust(32)))
    await transport.start(TOPIC, lambda _wire: None)
    await up(transport)
    wires = [packet(number) for number in range(count)]
    for number, wire in enumerate(wires):
        while number * len(urls) - transport.health().sent > AHEAD_MAX:  # noqa: ASYNC110
            await asyncio.sleep(0)
        transport.publish(wire)
    await transport.stop()


async def send_obviously(urls: list[str], count: int) -> None:
    """The baseline: wait for each OK."""
    wires = [packet(number) for number in range(count)]
    async with connect(urls[0], compression=None) as relay:
        for wire in wires:
            await relay.send(b'["EVENT",' + wire + b"]", text=True)
            await relay.recv()


async def measure(relays: list[str], count: int) -> int:
    print(f"{os.cpu_count()} cores; packets of {len(packet(0))} bytes; relays are processes of their own\n")
    print(f"{'latency, one packet at a time':<32}{'median ms':>12}{'p95 ms':>12}{'worst ms':>12}")
    worst_median = 0.0
    for name, urls in (("memory", []), ("1 relay", relays[:1]), ("3 relays", relays)):
        times = (await latency(urls, min(count, 1000))).milliseconds
        median, p95 = statistics.median(times), statistics.quantiles(times, n=20)[-1]
        print(f"{name:<32}{median:>12.2f}{p95:>12.2f}{max(times):>12.2f}")
        worst_median = max(worst_median, median)
    print(f"\n{'received, ' + str(count) + ' packets':<32}{'packets/s':>12}{'× obvious':>12}")
    rates: dict[str, float] = {}
    for name, sender, urls in (
        ("obvious client, 1 relay", "obviously", relays[:1]),
        ("transport, 1 relay", "transport", relays[:1]),
        ("transport, 3 relays", "transport", relays),
    ):
        rates[name] = (await throughput(urls, count, sender)).rate()
        print(f"{name:<32}{rates[name]:>12,.0f}{rates[name] / rates['obvious client, 1 relay']:>12.1f}")
    is_good = worst_median <= LATENCY_MS_MAX and rates["transport, 1 relay"] >= RATE_MIN
    print(
        f"\n{'ok' if is_good else 'MISSED'}: median ≤ {LATENCY_MS_MAX} ms, ≥ {RATE_MIN:,.0f}/s over one relay"
    )
    return 0 if is_good else 1


def main() -> int:
    """Print the tables; 1 when a headline is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packets", type=int, default=2000, help=f"at most {MESSAGES_A_MINUTE} a minute")
    parser.add_argument("--send", choices=("transport", "obviously"), help=argparse.SUPPRESS)
    parser.add_argument("urls", nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.send:
        send = send_by_transport if arguments.send == "transport" else send_obviously
        asyncio.run(send(arguments.urls, arguments.packets))
        return 0
    processes = [
        subprocess.Popen([sys.executable, "-c", RELAY], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    try:
        relays = [
            process.stdout.readline().removeprefix("listening on ").strip()
            for process in processes
            if process.stdout
        ]
        return asyncio.run(measure(relays, arguments.packets))
    finally:
        for process in processes:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
