"""Many transports as one: out over all that can carry it, in once, none in another's way."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.base.errors import AdapterError
from dicast.daemon.arrivals import DIGESTS_KNOWN_MAX, Arrival, Arrivals, Lag
from dicast.daemon.lane import PACKET_BYTES_WAITING_MAX, PACKETS_WAITING_MAX, Lane, LaneCounts
from dicast.daemon.logs import Log
from dicast.daemon.multiplexer import Multiplexer
from dicast.ports import TransportHealth
from dicast.transports.memory import MemoryHub
from waiting import WAIT_SECONDS_MAX, until

pytestmark = pytest.mark.anyio


class Scripted:
    """A transport that does what a test says."""

    def __init__(self, name: str, limit: int = 65_536, failures: int = 0) -> None:
        self.name = name
        self.payload_bytes_max = limit
        self.failures = failures
        self.starts = 0
        self.sent: list[bytes] = []
        self.hang: asyncio.Event | None = None
        self.blocks_s = 0.0
        self.on_packet: Callable[[bytes], None] = lambda wire: None

    async def start(self, topic: str, on_packet: Callable[[bytes], None]) -> None:
        self.starts += 1
        if self.hang is not None:
            await self.hang.wait()
        if self.starts <= self.failures:
            raise AdapterError("no_broker", "Nobody answers.")
        self.on_packet = on_packet

    def publish(self, wire: bytes) -> None:
        if self.failures:
            raise RuntimeError("a bug in a plugin")
        end = time.perf_counter() + self.blocks_s
        while time.perf_counter() < end:  # a plugin that keeps the loop, against its contract
            pass
        self.sent.append(wire)

    def peers(self) -> list[str]:
        return []

    def health(self) -> TransportHealth:
        return TransportHealth("up")

    async def stop(self) -> None:
        if self.failures:
            raise RuntimeError("a bug in a plugin")


MakeMultiplexer = Callable[..., Multiplexer]


@pytest.fixture
def delivered() -> list[tuple[bytes, str]]:
    return []


@pytest.fixture
async def make(delivered, monkeypatch) -> AsyncIterator[MakeMultiplexer]:
    monkeypatch.setattr("dicast.daemon.multiplexer.RETRY_FIRST_S", 0.001)
    made: list[Multiplexer] = []

    def build(*transports) -> Multiplexer:
        made.append(
            Multiplexer(transports, lambda wire, by: delivered.append((wire, by)), Log(stream=io.StringIO()))
        )
        return made[-1]

    yield build
    for one in made:
        await one.stop()


async def test_a_packet_goes_out_over_all_and_comes_in_once(make, delivered) -> None:
    a, b, c = Scripted("a"), Scripted("b"), Scripted("c")
    many = make(a, b, c)
    await many.start("topic")
    many.publish(b"own")
    await until(lambda: [one.sent for one in (a, b, c)] == [[b"own"]] * 3)
    for one in (b, a, c):
        one.on_packet(b"theirs")
    c.on_packet(b"own")
    assert delivered == [(b"theirs", "b")]
    assert [lane.counts for lane in many.lanes] == [
        LaneCounts(published=1, copies=1),
        LaneCounts(published=1, first=1),
        LaneCounts(published=1, copies=2),
    ]


async def test_a_forged_copy_shadows_nothing(make, delivered) -> None:
    a, b = Scripted("a"), Scripted("b")
    many = make(a, b)
    await many.start("topic")
    a.on_packet(b'{"id":"1","sig":"forged"}')
    b.on_packet(b'{"id":"1","sig":"good"}')
    assert [by for _, by in delivered] == ["a", "b"]


async def test_a_packet_over_the_limit_of_one_is_left_to_the_others(make) -> None:
    small, large = Scripted("small", limit=10), Scripted("large")
    many = make(small, large)
    await many.start("topic")
    many.publish(b"x" * 11)
    await until(lambda: large.sent == [b"x" * 11])
    assert small.sent == []
    assert [lane.counts.oversized for lane in many.lanes] == [1, 0]


async def test_one_that_fails_is_tried_again_and_harms_no_other(make, delivered) -> None:
    broken, well = Scripted("broken", failures=2), Scripted("well")
    many = make(broken, well)
    await many.start("topic")
    many.publish(b"own")
    await until(lambda: (well.sent, many.lanes[0].counts.failed) == ([b"own"], 1))
    await until(lambda: broken.starts == 3 and not many.lanes[0].start_problem)
    assert many.lanes[0].health().detail == "publish failed: RuntimeError('a bug in a plugin')"
    broken.failures = 0
    many.publish(b"again")
    await until(lambda: many.lanes[0].health().state == "up")
    broken.on_packet(b"theirs")
    assert delivered == [(b"theirs", "broken")]


async def test_one_that_hangs_while_starting_is_not_waited_for(make, monkeypatch) -> None:
    monkeypatch.setattr("dicast.daemon.multiplexer.START_WAIT_S", 0.01)
    hanging, well = Scripted("hanging"), Scripted("well")
    hanging.hang = asyncio.Event()
    many = make(hanging, well)
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        await many.start("topic")
    many.publish(b"own")
    await until(lambda: well.sent == [b"own"])


async def test_one_transport_alone_hands_over_what_it_hands_over(make, delivered) -> None:
    hub = MemoryHub()
    alone = make(one := hub.transport())
    await alone.start("topic")
    other = hub.transport()
    await other.start("topic", lambda wire: None)
    for _ in range(2):
        other.publish(b"again")
    await until(lambda: len(delivered) == 2)
    assert (delivered, alone.lanes[0].counts.first) == ([(b"again", one.name)] * 2, 2)


async def test_one_that_blocks_rests_and_the_others_go_on(make, monkeypatch) -> None:
    monkeypatch.setattr("dicast.daemon.lane.BLOCKED_S", 0.3)
    monkeypatch.setattr("dicast.daemon.lane.REST_TIMES", 5)
    blocking, well = Scripted("blocking"), Scripted("well")
    blocking.blocks_s = 0.4
    many = make(blocking, well)
    await many.start("topic")
    wires = [b"%d" % number for number in range(20)]
    for wire in wires:
        many.publish(wire)
    await until(lambda: well.sent == wires)
    assert blocking.sent == wires[:1]
    assert "it rests" in many.lanes[0].health().detail
    blocking.blocks_s = 0.0
    await until(lambda: blocking.sent == wires)
    assert many.lanes[0].health().state == "up"


async def test_what_waits_for_one_that_rests_is_bounded_and_the_newest() -> None:
    lane = Lane(Scripted("resting"))
    wires = [b"%05d" % number for number in range(PACKETS_WAITING_MAX + 10)]
    for wire in wires:
        lane.put(wire)
    lane.flush()
    assert lane.transport.sent == wires[10:]
    for _ in range(10):
        lane.put(bytes(PACKET_BYTES_WAITING_MAX // 4))
    assert lane.counts.dropped == 10 + 6
    lane.close()


async def test_what_waits_when_the_node_stops_is_still_handed_over(make) -> None:
    a = Scripted("a")
    many = make(a)
    await many.start("topic")
    many.publish(b"goodbye")
    await many.stop()
    assert a.sent == [b"goodbye"]


async def test_a_plugin_that_cannot_say_how_it_does_is_down(make) -> None:
    broken = Scripted("broken")
    broken.health = broken.peers = lambda: 1 // 0
    [lane] = make(broken).lanes
    assert (lane.health().state, list(lane.peers())) == ("down", [])


async def test_a_network_that_is_always_late_is_seen_to_be(make) -> None:
    fast, slow = Scripted("fast"), Scripted("slow")
    many = make(fast, slow)
    await many.start("topic")
    loop = asyncio.get_running_loop()
    for number in range(4):
        fast.on_packet(b"%d" % number)
        loop.call_later(0.05, slow.on_packet, b"%d" % number)
    await until(lambda: many.lanes[1].counts.copies == 4)
    assert (many.lanes[0].lag(), many.lanes[0].counts.first) == (Lag(0, 0), 4)
    lag = many.lanes[1].lag()
    assert lag is not None
    assert 49 <= lag.median_ms <= lag.p95_ms < 500


def test_a_packet_of_ones_own_is_no_news_and_has_no_lag() -> None:
    known = Arrivals()
    known.note_own(b"own", 1000)
    assert known.note(b"own", 1010) == Arrival(False, None)


def test_arrivals_are_bounded_and_forget() -> None:
    known = Arrivals()
    for number in range(3 * DIGESTS_KNOWN_MAX):
        known.note(b"%d" % number, 1000)
    assert len(known) <= 2 * DIGESTS_KNOWN_MAX
    assert known.note(b"%d" % (3 * DIGESTS_KNOWN_MAX - 1), 1200) == Arrival(False, 200)
    assert known.note(b"later", 10**9) == Arrival(True, 0)
    assert len(known) == 1


@given(st.lists(st.tuples(st.binary(max_size=2), st.integers(0, 400)), max_size=40))
def test_within_the_window_every_packet_is_handed_on_once_and_a_second_later_again(arrivals) -> None:
    known, now, handed = Arrivals(), 1_000_000, dict[bytes, int]()
    for wire, wait in arrivals:
        now += wait
        is_new = known.note(wire, now).is_new
        last = handed.get(wire)
        if last is None or now - last >= 900:
            assert is_new
        elif now - last < 450:
            assert not is_new
        if is_new:
            handed[wire] = now
