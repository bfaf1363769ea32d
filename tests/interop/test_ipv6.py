"""Every network over IPv6: listening on, telling and dialling an address in brackets."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from dicast.base.crypto import KeyPair
from dicast.base.events import encode_event, sign_event
from dicast.daemon import plugins
from dicast.ports import Transport
from dicast.protocol.messages import Kind
from dicast.transports.relay import run_relay
from free_ports import free_port
from waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
HERE = "[::1]"
TOPIC = "ab" * 32


def packet(number: int) -> bytes:
    key = KeyPair.from_seed(b"IPv6".ljust(32))
    return encode_event(sign_event(key, int(time.time()), Kind.STATUS, [("t", TOPIC)], str(number)))


def build(name: str, table: dict[str, object], *relays: str) -> Transport:
    key = KeyPair.from_seed(secrets.token_bytes(32))
    return plugins.build(plugins.TRANSPORTS, name, table, plugins.Surroundings("", Path(), relays, key))


@pytest.fixture
async def meets() -> AsyncIterator[Callable]:
    """What one end hears of another that is built with the addresses of the first."""
    async with contextlib.AsyncExitStack() as stack:

        async def meet(first: Transport, second: Callable[[list[str]], Transport]) -> list[str]:
            heard = asyncio.Event()
            stack.push_async_callback(first.stop)
            await first.start(TOPIC, lambda _: heard.set())
            await until(lambda: first.health().state != "starting")
            addresses = list(first.addresses()) if hasattr(first, "addresses") else []
            other, numbers = second(addresses), itertools.count()
            stack.push_async_callback(other.stop)
            await other.start(TOPIC, lambda _: None)

            def is_heard() -> bool:
                other.publish(packet(next(numbers)))
                return heard.is_set()

            await until(is_heard)
            return addresses

        yield meet


async def test_the_mesh_of_websockets(meets) -> None:
    first = build("websocket", {"listen": f"{HERE}:0"})
    [told] = await meets(first, lambda told: build("websocket", {"peers": told}))
    assert told.startswith(f"ws://{HERE}:")


async def test_zenoh(meets) -> None:
    first = build("zenoh", {"listen": [f"tcp/{HERE}:0"]})
    [told] = await meets(first, lambda told: build("zenoh", {"listen": [], "connect": told}))
    assert told.startswith(f"tcp/{HERE}:")


@pytest.mark.parametrize("tail", ["", "/ws"])
async def test_libp2p(meets, tail: str) -> None:
    first = build("libp2p", {"listen": [f"/ip6/::1/tcp/0{tail}"]})
    [told] = await meets(first, lambda told: build("libp2p", {"listen": [], "peers": told}))
    assert told.startswith("/ip6/::1/tcp/")


async def test_bittorrent(meets) -> None:
    port = free_port("::1")
    first = build("bittorrent", {"table": f"{HERE}:{port}", "listen": f"{HERE}:0"})
    table = {"table": f"{HERE}:0", "listen": f"{HERE}:0", "bootstrap": [f"{HERE}:{port}"]}
    [told] = await meets(first, lambda _: build("bittorrent", table))
    assert told.startswith(f"ws://{HERE}:")


async def test_gun(meets) -> None:
    port = free_port("::1")
    table = {"relays": [f"ws://{HERE}:{port}/gun"]}
    await meets(build("gun", {"listen": f"{HERE}:{port}"}), lambda _: build("gun", table))


async def test_a_nostr_relay(meets) -> None:
    stop, address = asyncio.Event(), asyncio.get_running_loop().create_future()
    running = asyncio.create_task(run_relay("::1", 0, stop=stop, ready=address.set_result))
    relay = await address
    assert relay.startswith(f"ws://{HERE}:")
    await meets(build("nostr", {}, relay), lambda _: build("nostr", {}, relay))
    stop.set()
    await running
