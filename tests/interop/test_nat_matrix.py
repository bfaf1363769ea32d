"""Nodes behind NATs of three kinds, in namespaces: direct where WebRTC can, over TURN where it cannot."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.anyio
FOLDER = Path(__file__).resolve().parent
LINK_SECONDS_MAX = 60
PUBLIC, REST = "198.51.100.1", "198.51.100.254"
KINDS = ("none", "port-restricted", "symmetric")
RELAYED = {frozenset(pair) for pair in (("port-restricted", "symmetric"), ("symmetric",))}
NAT = """
table ip nat {{
  chain out {{ type nat hook postrouting priority srcnat; oifname "{device}" masquerade {how}; }}
}}
table ip filter {{
  chain in {{ type filter hook forward priority filter; policy drop;
    ct state established,related accept; iifname != "{device}" accept; }}
  chain own {{ type filter hook input priority filter; iifname "{device}" ct state new drop; }}
}}
"""
RELAY = """
import asyncio
from dicast.transports.relay import run_relay

async def main():
    ready = lambda url: print(url, flush=True)
    await run_relay({address!r}, 7777, stop=asyncio.Event(), ready=ready, is_public=True)

asyncio.run(main())
"""


def run(*words: str, given: str = "") -> None:
    subprocess.run(words, check=True, capture_output=True, input=given or None, text=True)


class Internet:
    """A bridge with a server on it, and behind each NAT two machines; all gone at the end."""

    def __init__(self) -> None:
        self._mark = secrets.token_hex(2)
        self._stack = ExitStack()
        self._count = 1
        self.server = self._namespace("server")
        run(*self._in(self.server), "ip", "link", "add", "bridge", "type", "bridge")
        run(*self._in(self.server), "ip", "address", "add", f"{PUBLIC}/24", "dev", "bridge")
        run(*self._in(self.server), "ip", "link", "set", "bridge", "up")
        rest = self._namespace(
            "rest"
        )  # coturn ends a session whose packet has no route: the rest swallows it
        self._cable(rest, self.server, "rest", bridge=True)
        run(*self._in(rest), "ip", "address", "add", f"{REST}/24", "dev", "rest")
        run(*self._in(self.server), "ip", "route", "add", "default", "via", REST)

    def __enter__(self) -> Internet:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A program on the server."""
        process = subprocess.Popen([*self._in(self.server), *words], stdout=subprocess.PIPE, text=True)
        self._stack.callback(process.communicate)
        self._stack.callback(process.kill)
        return process

    def prefix(self, namespace: str) -> tuple[str, ...]:
        return self._in(namespace)

    def machine(self, kind: str) -> str:
        """A machine behind a NAT of its own, or on the bridge itself."""
        self._count += 1
        address = f"198.51.100.{self._count}"
        edge = self._namespace(f"edge{self._count}")
        self._cable(edge, self.server, f"e{self._count}", bridge=True)
        run(*self._in(edge), "ip", "address", "add", f"{address}/24", "dev", f"e{self._count}")
        if kind == "none":
            return edge
        inner = self._namespace(f"home{self._count}")
        self._cable(inner, edge, f"h{self._count}")
        for namespace, device, host in ((edge, f"h{self._count}p", 1), (inner, f"h{self._count}", 2)):
            run(*self._in(namespace), "ip", "address", "add", f"10.0.{self._count}.{host}/24", "dev", device)
        run(*self._in(inner), "ip", "route", "add", "default", "via", f"10.0.{self._count}.1")
        run(*self._in(edge), "sysctl", "-qw", "net.ipv4.ip_forward=1")
        how = "" if kind == "port-restricted" else "random,fully-random"
        run(*self._in(edge), "nft", "-f", "-", given=NAT.format(device=f"e{self._count}", how=how))
        return inner

    def _namespace(self, name: str) -> str:
        full = f"dicast-{self._mark}-{name}"
        run("ip", "netns", "add", full)
        self._stack.callback(run, "ip", "netns", "delete", full)
        run(*self._in(full), "ip", "link", "set", "lo", "up")
        return full

    def _cable(self, one: str, other: str, device: str, *, bridge: bool = False) -> None:
        run(*self._in(one), "ip", "link", "add", device, "type", "veth", "peer", f"{device}p", "netns", other)
        if bridge:
            run(*self._in(other), "ip", "link", "set", f"{device}p", "master", "bridge")
        run(*self._in(one), "ip", "link", "set", device, "up")
        run(*self._in(other), "ip", "link", "set", f"{device}p", "up")

    def _in(self, namespace: str) -> tuple[str, ...]:
        return ("ip", "netns", "exec", namespace)


class Node:
    """A node in a namespace."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._said: dict[str, object] = {}

    async def said(self, key: str) -> object:
        assert self.process.stdout is not None
        async with asyncio.timeout(LINK_SECONDS_MAX):
            while key not in self._said:
                self._said |= json.loads(await self.process.stdout.readline())
        return self._said[key]

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")

    async def stop(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, 9)
        await self.process.wait()


@pytest.fixture
def internet() -> Iterator[Internet]:
    with Internet() as made:
        yield made


async def start(stack: AsyncExitStack, internet: Internet, machine: str, *words: str) -> Node:
    command = [*internet.prefix(machine), sys.executable, str(FOLDER / "webrtc_node.py"), *words]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    node = Node(await asyncio.create_subprocess_exec(*command, **pipes))
    stack.push_async_callback(node.stop)
    await node.said("ready")
    return node


async def connect(internet: Internet, pair: list[str], words: tuple[str, ...]) -> tuple[list[object], float]:
    """How each of two nodes is linked to the other, and after how long; each heard the other."""
    async with AsyncExitStack() as stack:
        nodes = await asyncio.gather(*(start(stack, internet, machine, *words) for machine in pair))
        for node in nodes:
            node.go_on()
        linked = await asyncio.gather(*(node.said("linked") for node in nodes))
        assert await asyncio.gather(*(node.said("heard") for node in nodes)) == [True, True]
        return linked, max([float(str(await node.said("seconds"))) for node in nodes])


async def test_every_pair_of_nats_is_crossed_and_the_status_says_how(internet: Internet, make_coturn) -> None:
    relay = internet.start(sys.executable, "-c", RELAY.format(address=PUBLIC))
    coturn = make_coturn(PUBLIC, internet.prefix(internet.server))
    assert relay.stdout is not None
    assert relay.stdout.readline()
    turn = (coturn.stun_url, coturn.url, coturn.user, coturn.password)
    machines = {kind: (internet.machine(kind), internet.machine(kind)) for kind in KINDS}
    table, expected = {}, {}
    for at, first in enumerate(KINDS):
        for second in KINDS[at:]:
            words = (f"ws://{PUBLIC}:7777", secrets.token_hex(32), *turn)
            pair = [machines[first][0], machines[second][1]]
            linked, seconds = await connect(internet, pair, words)
            print(f"{first:>16} x {second:<16} {linked[0]:<8} {seconds:.2f} s")
            table[first, second] = set(linked)
            expected[first, second] = {"relayed" if frozenset((first, second)) in RELAYED else "direct"}
    assert table == expected
