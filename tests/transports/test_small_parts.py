"""What the transports share: bounded queues, the way in from threads, what newcomers are told."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.base.limits import PACKET_BYTES_MAX
from dicast.protocol.messages import Kind
from dicast.transports.backoff import (
    RETRY_SECONDS_FIRST,
    RETRY_SECONDS_MAX,
    RETRY_SECONDS_SOON,
    SOON_SECONDS,
    Backoff,
)
from dicast.transports.inlet import INLET_BYTES_MAX, INLET_PACKETS_MAX, Inlet
from dicast.transports.newcomers import RECENT_BYTES_MAX, RECENT_PACKETS_MAX, Recent, head_of
from dicast.transports.packet_queue import PacketQueue
from dicast.transports.websocket_link import BYTES_A_SECOND, PACKETS_A_SECOND, Pace

pytestmark = pytest.mark.anyio


@given(st.lists(st.binary(max_size=12), max_size=60))
def test_theorem_20_5_a_queue_never_holds_more_than_its_bounds_and_keeps_the_newest(packets) -> None:
    queue = PacketQueue(packets_max=8, bytes_max=40)
    for packet in packets:
        queue.put(packet)
        assert len(queue) <= 8
        assert queue.packet_bytes <= 40
    kept = asyncio.run(queue.take(100)) if packets else []
    assert kept == packets[len(packets) - len(kept) :]
    assert queue.dropped == len(packets) - len(kept)
    queue.put_back(kept)
    assert queue.packet_bytes == sum(map(len, kept))


async def test_a_queue_is_drained_once_what_was_taken_is_written() -> None:
    queue = PacketQueue()
    await queue.flush(0)
    queue.put(b"a")
    assert await queue.take() == [b"a"]
    assert not queue.drained.is_set()
    queue.done()
    assert queue.drained.is_set()


async def test_threads_hand_over_in_order_and_a_flood_is_dropped(wait_until) -> None:
    taken: list[bytes] = []
    inlet = Inlet(taken.append)
    wires = [number.to_bytes(4) for number in range(INLET_PACKETS_MAX + 50)]
    thread = threading.Thread(target=lambda: [inlet.put(wire) for wire in wires])
    thread.start()
    thread.join()
    inlet.put(b"x" * (PACKET_BYTES_MAX + 1))
    await wait_until(lambda: len(taken) == INLET_PACKETS_MAX)
    assert (taken, inlet.dropped) == (wires[:INLET_PACKETS_MAX], 51)
    inlet.put(b"waiting")
    inlet.close()
    await asyncio.sleep(0)
    assert taken[-1] != b"waiting"


async def test_a_mistake_of_whoever_takes_packets_does_not_close_the_way_in(wait_until) -> None:
    taken: list[bytes] = []

    def take(wire: bytes) -> None:
        taken.append(wire)
        if wire == b"bad":
            raise ValueError("a mistake")

    inlet = Inlet(take)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    wires = [b"bad", *(b"%d" % number for number in range(200))]
    for wire in wires:
        inlet.put(wire)
    await wait_until(lambda: wires[-1] in taken)
    loop.set_exception_handler(None)


async def test_large_packets_of_threads_are_bounded_by_bytes() -> None:
    inlet = Inlet(lambda wire: None)
    for _ in range(INLET_BYTES_MAX // PACKET_BYTES_MAX + 3):
        inlet.put(bytes(PACKET_BYTES_MAX))
    assert inlet.dropped == 3


def test_newcomers_hear_the_latest_announcement_and_the_last_moments(make_packet) -> None:
    now = [100.0]
    recent = Recent(clock=lambda: now[0])
    first, second = (make_packet(f"offer {n}", Kind.ANNOUNCEMENT) for n in range(2))
    old, new = make_packet("old"), make_packet("new")
    for wire in (first, old, second):
        recent.add(wire)
    now[0] += 1.5
    recent.add(new)
    assert recent.again() == [second, old, new]
    now[0] += 1.0
    assert recent.again() == [second, new]


@given(st.lists(st.integers(0, RECENT_BYTES_MAX // 4), max_size=100))
def test_what_newcomers_hear_is_bounded(sizes) -> None:
    recent = Recent(clock=lambda: 0.0)
    for size in sizes:
        recent.add(bytes(size))
    again = recent.again()
    assert len(again) <= RECENT_PACKETS_MAX
    assert sum(map(len, again)) <= RECENT_BYTES_MAX


@given(st.binary(max_size=200))
def test_theorem_20_6_no_bytes_make_a_reader_of_heads_raise(data) -> None:
    head_of(data)
    head_of(b'{"kind":1,"pubkey":"' + data + b'"}')


def test_the_pause_doubles_to_its_limit_and_starts_over_after_a_stable_connection() -> None:
    now = [0.0]
    backoff = Backoff(clock=lambda: now[0])
    pauses = [backoff.next_seconds() for _ in range(12)]
    for tries, pause in enumerate(pauses):
        longest = min(RETRY_SECONDS_FIRST * 2**tries, RETRY_SECONDS_MAX)
        assert longest / 2 <= pause <= longest
    backoff.connected()
    now[0] += 1
    assert backoff.next_seconds() >= RETRY_SECONDS_MAX / 2
    backoff.connected()
    now[0] += 11
    assert backoff.next_seconds() <= RETRY_SECONDS_FIRST


def test_while_a_restart_may_be_under_way_a_good_server_is_tried_every_second() -> None:
    now = [0.0]
    backoff = Backoff(clock=lambda: now[0])
    backoff.connected()
    now[0] += 60
    lost = now[0]
    while now[0] - lost < SOON_SECONDS:
        pause = backoff.next_seconds()
        assert pause <= RETRY_SECONDS_SOON
        now[0] += pause
    pauses = [backoff.next_seconds() for _ in range(10)]
    assert pauses[-1] >= RETRY_SECONDS_MAX / 2


@given(st.lists(st.tuples(st.integers(1, 65_537), st.integers(0, 50)), max_size=200))
def test_theorem_20_7_a_link_takes_at_most_a_second_more_than_its_pace(frames) -> None:
    now = [0.0]
    pace = Pace(clock=lambda: now[0])
    for count, (size, idle_ms) in enumerate(frames, 1):
        now[0] += idle_ms / 1000 + pace.pause_seconds(size)
        assert count <= PACKETS_A_SECOND * (now[0] + 1) + 1
    assert sum(size for size, _ in frames) <= BYTES_A_SECOND * (now[0] + 1) + 65_537
