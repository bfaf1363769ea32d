"""Attached questions in a real store, from real nodes: kept while a round needs them, then evictable."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from dicast.base.errors import AdapterError
from dicast.base.merkle import root_of_bytes
from dicast.content.serving import BlobPages
from dicast.content.store import BlobStore
from dicast.daemon import named_nodes
from dicast.daemon.api import PeerRecord, StatusResult
from dicast.daemon.builtin_content import SOURCES_MAX, QuestionBlobs, Wanted, _sources, also_from, blob_store
from dicast.daemon.config_schema import ContentSettings, Settings
from dicast.daemon.paths import Paths
from dicast.daemon.private_network import topic_in
from dicast.daemon.vicinity import is_on_this_machine
from dicast.protocol.messages import Attachment
from dicast.transports.websocket import MeshSettings, WebSocketTransport
from waiting import until

pytestmark = pytest.mark.anyio
DATA = bytes(range(256)) * 1_000


def named(data: bytes) -> Attachment:
    return Attachment(hashlib.sha256(data).hexdigest(), len(data), root_of_bytes(data).hex())


HERE = ("ws://127.0.0.1:7447",)


def place(
    folder: Path, quota: int = 1 << 30, relays: tuple[str, ...] = HERE
) -> tuple[QuestionBlobs, BlobStore]:
    settings, paths = Settings(relays=relays, content=ContentSettings(quota_bytes=quota)), Paths(folder)
    return QuestionBlobs(settings, paths), blob_store(settings, paths)


class Giver:
    """A node whose mesh listens, and its blobs."""

    def __init__(self, folder: Path) -> None:
        self.blobs, self.store = place(folder)
        self.node = WebSocketTransport(
            MeshSettings(("127.0.0.1", 0)), "websocket", BlobPages(self.store).answer
        )


@pytest.fixture
async def giver(tmp_path: Path) -> AsyncIterator[Giver]:
    made = Giver(tmp_path / "giver")
    await made.node.start(topic_in(Settings()), lambda wire: None)
    await until(lambda: made.node.address)
    yield made
    await made.node.stop()


async def test_a_question_comes_from_the_node_that_shares_it(giver: Giver, tmp_path: Path) -> None:
    asked = named(DATA)
    mine, store = place(tmp_path / "mine")
    with pytest.raises(AdapterError):
        await mine.fetch(asked, [giver.node.address])
    await giver.blobs.keep(asked, DATA)
    assert await mine.fetch(asked, ["ws://127.0.0.1:1", "nonsense", giver.node.address]) == DATA
    assert await mine.fetch(asked, []) == DATA
    [blob] = store.blobs()
    assert (blob.sha256, blob.is_pinned) == (asked.sha256, True)
    await mine.release(asked.sha256)
    [blob] = store.blobs()
    assert not blob.is_pinned


@pytest.mark.parametrize("relays", [(), ("wss://relay.example.org",), ("wss://relay.example.org", *HERE)])
async def test_a_stranger_cannot_make_a_node_knock_at_this_machine(
    giver: Giver, tmp_path: Path, relays: tuple[str, ...]
) -> None:
    asked = named(DATA)
    await giver.blobs.keep(asked, DATA)
    mine, _ = place(tmp_path / "mine", relays=relays)
    port = giver.node.address.rpartition(":")[2]
    hosts = ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "0.0.0.0")
    places = [f"ws://{host}:{port}" for host in hosts]
    with pytest.raises(AdapterError) as refused:
        await mine.fetch(asked, [*places, "ws://user@192.0.2.1:9", "ws://192.0.2.1:25"])
    assert refused.value.code == "blob_nowhere"


async def test_names_that_hang_hold_up_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks names hosts, and may keep their name server from answering."""
    answered = threading.Event()

    def look_up(*_: object, **__: object) -> list[object]:
        answered.wait(600)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(named_nodes, "RESOLVE_SECONDS_MAX", 0.1)
    try:
        names = [f"ws://n{number}.example.org:7780" for number in range(64)]
        assert await named_nodes.allowed(names, with_loopback=False) == []
        assert await asyncio.wait_for(asyncio.to_thread(answered.is_set), 60) is False
    finally:
        answered.set()


async def test_wrong_bytes_are_no_question(giver: Giver, tmp_path: Path) -> None:
    """Also where the store of a node holds another file under the name, and says so."""
    asked = named(DATA)
    await giver.blobs.keep(asked, DATA)
    mine, store = place(tmp_path / "mine")
    for wrong in (
        Attachment(asked.sha256, asked.size - 1, asked.root),
        Attachment(asked.sha256, asked.size, "00" * 32),
        named(DATA + b"!"),
    ):
        with pytest.raises(AdapterError):
            await mine.fetch(wrong, [giver.node.address])
        await mine.release(wrong.sha256)
    (giver.store.folder / asked.sha256).write_bytes(DATA[:-1] + b"?")
    with pytest.raises(AdapterError):
        await mine.fetch(asked, [giver.node.address])
    await mine.release(asked.sha256)
    assert store.blobs() == []


async def test_what_no_round_needs_makes_room_and_what_one_needs_stays(tmp_path: Path) -> None:
    blobs, store = place(tmp_path, quota=3 * len(DATA))
    first, second, third = (DATA[:-1] + bytes([number]) for number in range(3))
    for data in (first, second, third):
        await blobs.keep(named(data), data)
    with pytest.raises(AdapterError) as full:
        await blobs.keep(named(DATA), DATA)
    assert full.value.code == "blob_quota"
    await blobs.release(named(second).sha256)
    await blobs.keep(named(DATA), DATA)
    assert {blob.sha256 for blob in store.blobs()} == {named(data).sha256 for data in (first, third, DATA)}


async def test_after_a_start_only_what_is_said_again_is_needed_and_a_persons_pin_stays(
    tmp_path: Path,
) -> None:
    blobs, store = place(tmp_path)
    first, second = named(DATA), named(DATA + b"!")
    await blobs.keep(first, DATA)
    await blobs.keep(second, DATA + b"!")
    store.pin(second.sha256, pinned=True)
    again, _ = place(tmp_path)
    await again.keep(named(b"x"), b"x")
    pinned = {blob.sha256: blob.is_pinned for blob in store.blobs()}
    assert pinned == {first.sha256: False, second.sha256: True, named(b"x").sha256: True}
    await again.release(second.sha256)
    assert {blob.sha256 for blob in store.blobs() if blob.is_pinned} == {second.sha256, named(b"x").sha256}


@pytest.mark.parametrize("relays", [HERE, ("wss://relay.example.org",)])
async def test_blobs_that_are_asked_for_by_hand_keep_the_same_rule(relays: tuple[str, ...]) -> None:
    """Where others say that they are is a stranger's word too; what a person named is asked as it is."""
    numbers = ("pid", "uptime_s", "peers", "open_rounds", "inputs", "packets_received", "packets_dropped")
    counts = dict.fromkeys((*numbers, "packets_sent", "reports_dropped", "memory_mb"), 0)
    empty: Any = dict.fromkeys(("roles", "models", "embedders", "transports"), ())
    here = is_on_this_machine(Settings(relays=relays))
    status = StatusResult(
        node_id="", network="main", version="", refused={}, on_this_machine=here, **counts, **empty
    )
    far, near = "ws://192.0.2.1:7780", "ws://127.0.0.1:7780"
    wanted = ("ws://169.254.169.254:7780", near, "ws://192.0.2.1:25", "nonsense", far, far)
    empty_peer = PeerRecord(
        node_id="11" * 32, roles=(), models=(), embedders=(), slots=0, load=0, software=""
    )
    met = replace(empty_peer, addresses={"websocket": wanted})
    asked = await also_from(Wanted("00" * 32, nodes=("ws://127.0.0.1:1",)), status, [met])
    assert asked.nodes == ("ws://127.0.0.1:1",)
    assert asked.heard == (*([near] if here else []), far)


def test_strangers_do_not_push_out_whom_a_person_named() -> None:
    heard = tuple(f"ws://192.0.2.{number}:7780" for number in range(1, 2 * SOURCES_MAX))
    transports: Any = {"websocket": {"peers": ["ws://198.51.100.1:7780"]}}
    settings = Settings(transports=transports, peers=("websocket=ws://198.51.100.2:7780",))
    asked = Wanted("00" * 32, nodes=("ws://203.0.113.1:7780",), heard=heard)
    names = [source.name for source in _sources(settings, asked)]
    assert len(names) == SOURCES_MAX
    assert sum("192.0.2." in name for name in names) == SOURCES_MAX - 3


@pytest.mark.parametrize(
    ("more", "is_here"),
    [
        ({}, True),
        ({"peers": ("nostr=ws://127.0.0.1:7448",)}, True),
        ({"peers": ("nostr=wss://relay.example.org",)}, False),
        ({"peers": ("zenoh=tcp/192.0.2.1:7447",)}, False),
        ({"relays": (*HERE, "ws://127.example.org")}, False),
        ({"transports": {"nostr": {}, "nats": {"servers": ["nats://192.0.2.1:4222"]}}}, False),
        ({"transports": {"nostr": {}, "far": {"plugin": "zenoh"}}}, False),
        ({"transports": {"nostr": {}, "zenoh": {"enabled": False}}}, True),
        ({"transports": {"nostr": {}, "websocket": {"listen": "192.0.2.1:7780"}}}, False),
    ],
)
def test_who_meets_others_elsewhere_too_is_not_on_this_machine_alone(more: Any, is_here: bool) -> None:
    assert is_on_this_machine(Settings(**{"relays": HERE, **more})) is is_here
