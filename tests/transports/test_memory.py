"""The in-memory twin: what the conformance suite does not ask of every transport."""

from __future__ import annotations

import asyncio

import pytest

from dicast.transports.memory import WAITING_PACKETS_MAX, MemoryHub

pytestmark = pytest.mark.anyio


async def test_packets_arrive_in_order_on_a_later_turn_and_not_at_their_sender() -> None:
    hub, mine, yours = MemoryHub(), list[bytes](), list[bytes]()
    here, there = hub.transport(), hub.transport()
    await here.start("topic", mine.append)
    await there.start("topic", yours.append)
    for wire in (b"1", b"2", b"3"):
        here.publish(wire)
    assert yours == []
    loop_turned = asyncio.Event()
    asyncio.get_running_loop().call_soon(loop_turned.set)
    await loop_turned.wait()
    assert (mine, yours) == ([], [b"1", b"2", b"3"])
    assert (here.peers(), there.peers()) == ([there.address], [here.address])


async def test_what_waits_for_the_start_is_bounded() -> None:
    hub, yours = MemoryHub(), list[bytes]()
    here, there = hub.transport(), hub.transport()
    await there.start("topic", yours.append)
    for number in range(WAITING_PACKETS_MAX + 3):
        here.publish(b"%d" % number)
    assert here.health().dropped == 3
    await here.start("topic", lambda _wire: None)
    loop_turned = asyncio.Event()
    asyncio.get_running_loop().call_soon(loop_turned.set)
    await loop_turned.wait()
    assert yours == [b"%d" % number for number in range(3, WAITING_PACKETS_MAX + 3)]
