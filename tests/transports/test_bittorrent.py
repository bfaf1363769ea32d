"""Nodes and records found in a hash table of our own on loopback, and what a hostile table may do."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.torrent_session import SessionSettings, TorrentSession
from dicast.transports.bittorrent import BittorrentTransport, infohash_of
from dicast.transports.bittorrent_finder import (
    RECORD_BYTES_MAX,
    SLOTS,
    VALUE_BYTES_MAX,
    BittorrentFinder,
    packed,
    slot_key,
    unpacked,
)
from dicast.transports.websocket import MeshSettings

pytestmark = pytest.mark.anyio
KEY = "ab" * 32
LOOPBACK = ("127.0.0.1", 0)


@pytest.fixture
async def table() -> AsyncIterator[tuple[str, ...]]:
    """Two nodes of a hash table, to join by."""
    first = TorrentSession(SessionSettings())
    await first.start()
    second = TorrentSession(SessionSettings(bootstrap=(f"127.0.0.1:{first.port}",)))
    await second.start()
    yield (f"127.0.0.1:{first.port}", f"127.0.0.1:{second.port}")
    await first.stop()
    await second.stop()


MakeFinder = Callable[[], Awaitable[tuple[BittorrentFinder, list[bytes]]]]


@pytest.fixture
async def make_finder(table: tuple[str, ...]) -> AsyncIterator[MakeFinder]:
    made: list[BittorrentFinder] = []

    async def make() -> tuple[BittorrentFinder, list[bytes]]:
        made.append(BittorrentFinder(TorrentSession(SessionSettings(bootstrap=table))))
        records: list[bytes] = []
        await made[-1].start(records.append)
        return made[-1], records

    yield make
    for finder in made:
        await finder.stop()


async def test_a_record_is_found_by_others_under_its_keys(make_finder: MakeFinder, wait_until) -> None:
    keys = [secrets.token_hex(32) for _ in range(3)]
    provider, own = await make_finder()
    seeker, found = await make_finder()
    assert provider.health().state in ("starting", "degraded", "up")
    provider.provide(keys, record := secrets.token_bytes(300))
    await wait_until(lambda: provider.health().sent >= 3)
    for key in keys:
        found.clear()
        await wait_until(lambda key=key: seeker.find(key) or record in found)
    seeker.find(secrets.token_hex(32))
    await wait_until(lambda: seeker.health().state == "up")
    assert set(found) == {record}
    assert own == []


async def test_several_write_the_same_key_and_all_are_found(make_finder: MakeFinder, wait_until) -> None:
    records = {bytes([number]) * 100 for number in range(1, 5)}
    for record in records:
        finder, _ = await make_finder()
        finder.provide([KEY], record)
    seeker, found = await make_finder()

    def all_found() -> bool:
        seeker.find(KEY)
        return set(found) == records

    await wait_until(all_found)


async def test_a_new_record_takes_the_place_of_the_old(make_finder: MakeFinder, wait_until) -> None:
    provider, _ = await make_finder()
    provider.provide([KEY], b"old")
    await wait_until(lambda: provider.health().sent >= 1)
    provider.provide([KEY], b"new")
    seeker, found = await make_finder()

    def newest() -> bool:
        seeker.find(KEY)
        return b"new" in found

    await wait_until(newest)


async def test_junk_in_the_slots_is_counted_and_dropped(
    make_finder: MakeFinder, table: tuple[str, ...], wait_until
) -> None:
    hostile = TorrentSession(SessionSettings(bootstrap=table))
    await hostile.start()
    seeker, found = await make_finder()
    junk = [b"", b"z", b"zjunk", b"x" * 900, b"r" + b"y" * 900, *[b"?"] * SLOTS][:SLOTS]

    def seen() -> bool:
        for slot, value in enumerate(junk):
            hostile.put(slot_key(KEY), b"%d" % slot, value)
        seeker.find(KEY)
        return seeker.health().dropped >= 3

    await wait_until(seen)
    assert set(found) <= {b"y" * 900}
    await hostile.stop()


async def test_nodes_without_a_listener_find_those_with_one(
    table: tuple[str, ...], topic: str, make_packet, wait_until
) -> None:
    wires: list[bytes] = []
    listening = BittorrentTransport(TorrentSession(SessionSettings(bootstrap=table)), MeshSettings(LOOPBACK))
    dialling = BittorrentTransport(TorrentSession(SessionSettings(bootstrap=table)), MeshSettings(LOOPBACK))
    await listening.start(topic, wires.append)
    await wait_until(lambda: listening.health().state == "up")
    await dialling.start(topic, lambda wire: None)
    dialling.publish(wire := make_packet())
    await wait_until(lambda: wire in wires)
    await wait_until(lambda: listening.peers() and dialling.peers())
    await dialling.stop()
    await listening.stop()
    assert (listening.health().state, listening.peers()) == ("down", [])


async def test_addresses_that_the_table_made_up_do_no_harm(
    table: tuple[str, ...], topic: str, wait_until
) -> None:
    liar = TorrentSession(SessionSettings(bootstrap=table))
    await liar.start()
    liar.announce(infohash_of(topic), 9)
    liar.announce(infohash_of(topic), 1)
    node = BittorrentTransport(TorrentSession(SessionSettings(bootstrap=table)), MeshSettings(LOOPBACK))
    await node.start(topic, lambda wire: None)
    await wait_until(lambda: node.health().state == "up")
    assert node.peers() == []
    await node.stop()
    await liar.stop()


async def test_without_anybody_it_waits_and_stops(topic: str, wait_until) -> None:
    session = TorrentSession(SessionSettings())
    node, finder = BittorrentTransport(session, MeshSettings(LOOPBACK)), BittorrentFinder(session)
    await finder.start(lambda record: None)
    finder.provide([KEY], b"record")
    finder.find(KEY)
    await node.start(topic, lambda wire: None)
    await wait_until(lambda: node.health().state == "up")
    assert finder.health().state == "degraded"
    await node.stop()
    assert session.port
    await finder.stop()
    await finder.stop()
    assert not session.port


@given(st.binary(max_size=RECORD_BYTES_MAX + 10))
def test_a_record_that_fits_comes_back_as_it_was(record: bytes) -> None:
    value = packed(record)
    if value is not None:
        assert len(value) <= VALUE_BYTES_MAX
        assert unpacked(value) == record
    assert value is not None or len(record) > VALUE_BYTES_MAX - 1


@given(st.binary(max_size=1200))
def test_whatever_the_table_holds_it_is_a_record_or_nothing(value: bytes) -> None:
    for some in (value, b"z" + value, b"r" + value):
        record = unpacked(some)
        assert record is None or len(record) <= max(RECORD_BYTES_MAX, len(some))


def test_a_bomb_is_not_inflated() -> None:
    import zlib

    assert unpacked(b"z" + zlib.compress(bytes(10_000_000))[:990]) is None
    assert unpacked(b"z" + zlib.compress(bytes(RECORD_BYTES_MAX + 1))) is None
