"""Many transports as one: out over all that can carry it, in once, none in another's way."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.base.errors import AdapterError
from dicast.daemon.logs import Log
from dicast.daemon.multiplexer import Arrivals, LaneCounts, Multiplexer
from dicast.ports import TransportHealth
from dicast.transports.memory import MemoryHub

pytestmark = pytest.mark.anyio
WAIT_S = 10


async def until(condition: Callable[[], bool]) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(WAIT_S):
        while not condition():
            looked = asyncio.Event()
            loop.call_later(0.005, looked.set)
            await looked.wait()


class Scripted:
    """A transport that does what a test says."""

    def __init__(self, name: str, limit: int = 65_536, failures: int = 0) -> None:
        self.name = name
        self.payload_bytes_max = limit
        self.failures = failures
        self.starts = 0
        self.sent: list[bytes] = []
        self.hang: asyncio.Event | None = None
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
    assert [one.sent for one in (a, b, c)] == [[b"own"]] * 3
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
    assert (small.sent, large.sent) == ([], [b"x" * 11])
    assert [lane.counts.oversized for lane in many.lanes] == [1, 0]


async def test_one_that_fails_is_tried_again_and_harms_no_other(make, delivered) -> None:
    broken, well = Scripted("broken", failures=2), Scripted("well")
    many = make(broken, well)
    await many.start("topic")
    many.publish(b"own")
    assert (well.sent, many.lanes[0].counts.failed) == ([b"own"], 1)
    await until(lambda: broken.starts == 3 and not many.lanes[0].problem.startswith("it does not start"))
    broken.on_packet(b"theirs")
    assert delivered == [(b"theirs", "broken")]


async def test_one_that_hangs_while_starting_is_not_waited_for(make, monkeypatch) -> None:
    monkeypatch.setattr("dicast.daemon.multiplexer.START_WAIT_S", 0.01)
    hanging, well = Scripted("hanging"), Scripted("well")
    hanging.hang = asyncio.Event()
    many = make(hanging, well)
    async with asyncio.timeout(WAIT_S):
        await many.start("topic")
    many.publish(b"own")
    assert well.sent == [b"own"]


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


@given(st.lists(st.tuples(st.binary(max_size=2), st.integers(0, 400)), max_size=40))
def test_within_the_window_every_packet_is_handed_on_once_and_a_second_later_again(arrivals) -> None:
    known, now, handed = Arrivals(), 1_000_000, dict[bytes, int]()
    for wire, wait in arrivals:
        now += wait
        is_new, _ = known.note(wire, now)
        last = handed.get(wire)
        if last is None or now - last >= 900:
            assert is_new
        elif now - last < 450:
            assert not is_new
        if is_new:
            handed[wire] = now
