"""The hash table with WebTorrent's nodes in it: each side finds what the other said (BEP 5, BEP 44)."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from dicast.torrent_session import SessionSettings, TorrentSession
from dicast.transports.bittorrent import BittorrentTransport, infohash_of
from dicast.transports.bittorrent_finder import SLOTS, BittorrentFinder, packed, slot_key, unpacked
from dicast.transports.websocket import MeshSettings
from waiting import WAIT_SECONDS_MAX, until

pytestmark = pytest.mark.anyio
NODE = Path(__file__).parent / "node"


class JsNode:
    """A process that runs bittorrent-dht."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.said: list[dict[str, object]] = []

    async def ask(self, answer: str, **command: object) -> dict[str, object]:
        """Send a command, and read until an answer has that word."""
        assert self._process.stdin is not None
        if command:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
        return await self.until(answer)

    async def until(self, answer: str) -> dict[str, object]:
        assert self._process.stdout is not None
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while line := await self._process.stdout.readline():
                self.said.append(json.loads(line))
                if answer in self.said[-1]:
                    return self.said[-1]
        raise AssertionError(self.said)

    async def stop(self) -> None:
        self._process.kill()
        await self._process.communicate()


@pytest.fixture
async def table() -> AsyncIterator[str]:
    """A node of libtorrent's, to join by."""
    session = TorrentSession(SessionSettings())
    await session.start()
    yield f"127.0.0.1:{session.port}"
    await session.stop()


@pytest.fixture
async def start_js() -> AsyncIterator[Callable[..., Awaitable[JsNode]]]:
    started: list[JsNode] = []

    async def start(*bootstrap: str) -> JsNode:
        node = shutil.which("node")
        assert node is not None, "node is not installed: make interop"
        process = await asyncio.create_subprocess_exec(
            *(node, str(NODE / "dht.mjs"), *bootstrap),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        started.append(JsNode(process))
        await started[-1].ask("ready")
        return started[-1]

    yield start
    for node in started:
        await node.stop()


async def test_they_find_our_node_by_its_topic_and_we_find_theirs(table: str, start_js) -> None:
    topic = secrets.token_hex(32)
    js = await start_js(table)
    ours = BittorrentTransport(
        TorrentSession(SessionSettings(bootstrap=(table,))), MeshSettings(("127.0.0.1", 0))
    )
    await ours.start(topic, lambda wire: None)
    await until(lambda: ours.health().state == "up")
    [address] = ours.addresses()
    where = f"{infohash_of(topic).hex()} {address.removeprefix('ws://')}"
    while {"found": where} not in js.said:
        await js.ask("looked", do="peers", hash=infohash_of(topic).hex())

    theirs = BittorrentTransport(
        TorrentSession(SessionSettings(bootstrap=(table,))), MeshSettings(("127.0.0.1", 0))
    )
    await ours.stop()
    other = secrets.token_hex(32)
    listener = BittorrentTransport(TorrentSession(SessionSettings()), MeshSettings(("127.0.0.1", 0)))
    await listener.start(other, lambda wire: None)
    await until(lambda: bool(listener.addresses()))
    port = int(listener.addresses()[0].rpartition(":")[2])
    assert (await js.ask("announced", do="announce", hash=infohash_of(other).hex(), port=port))["announced"]
    await theirs.start(other, lambda wire: None)
    await until(lambda: list(theirs.peers()) == list(listener.addresses()))
    await theirs.stop()
    await listener.stop()


async def test_they_read_our_record_and_we_read_theirs(table: str, start_js) -> None:
    key, record = secrets.token_hex(32), secrets.token_bytes(400)
    js = await start_js(table)
    finder, found = BittorrentFinder(TorrentSession(SessionSettings(bootstrap=(table,)))), list[bytes]()
    await finder.start(found.append)
    finder.provide([key], record)
    await until(lambda: finder.health().sent > 0)
    read: list[bytes | None] = []
    while record not in read:
        for slot in range(SLOTS):
            got = (await js.ask("got", do="get", key=slot_key(key).public.hex(), salt=str(slot)))["got"]
            read.append(unpacked(bytes.fromhex(str(got))) if got else None)

    other, theirs = secrets.token_hex(32), secrets.token_bytes(900)
    value = packed(theirs)
    assert value is not None
    seed = seed_of(other)
    assert (await js.ask("put", do="put", seed=seed.hex(), salt="5", value=value.hex()))["put"]

    def read_theirs() -> bool:
        finder.find(other)
        return theirs in found

    await until(read_theirs)
    await finder.stop()


def seed_of(key: str) -> bytes:
    """What everybody who knows the key can compute (spec/20-transports.md, 20.11)."""
    from hashlib import sha256

    return sha256(b"dicast/dht/slots/1" + bytes.fromhex(key)).digest()
