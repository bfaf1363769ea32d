"""Places follow the nodes' room: nobody is lost in the queue, and nobody takes two places."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.gateway.errors import GatewayError
from dicast.gateway.places import START, WAITING_MAX, Place, Places


class Nodes:
    """Slots, and questions that take one for some turns of the loop; who finds none is told so."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.busy = 0
        self.refusals = 0

    async def ask(self, place: Place, turns: int) -> None:
        while self.busy >= self.slots:
            self.refusals += 1
            await asyncio.sleep(0)
            await place.again(0)
        self.busy += 1
        try:
            for _ in range(turns):
                await asyncio.sleep(0)
        finally:
            self.busy -= 1
        place.answered()


async def asked(places: Places, nodes: Nodes, turns: int, room: int = 1_000) -> None:
    async with places.one(room) as place:
        await nodes.ask(place, turns)


@pytest.mark.anyio
async def test_the_width_grows_while_there_is_room_and_shrinks_to_the_slots() -> None:
    places, nodes = Places(256), Nodes(256)
    await asyncio.gather(*(asked(places, nodes, 3) for _ in range(1_000)))
    assert (nodes.refusals, places.asking, places.waiting) == (0, 0, 0)
    grown = places.width
    nodes.slots = 4
    await asyncio.gather(*(asked(places, nodes, 50) for _ in range(300)))
    assert grown > 4 * START
    assert 4 <= places.width <= 6
    assert (
        nodes.refusals < 300 + grown
    )  # each who finds no slot narrows the width by one; then probes are rare


@pytest.mark.anyio
async def test_who_knows_of_less_room_waits_for_it() -> None:
    places, nodes = Places(256), Nodes(256)
    most = 0

    async def watched() -> None:
        nonlocal most
        async with places.one(3) as place:
            most = max(most, places.asking)
            await nodes.ask(place, 2)

    await asyncio.gather(*(watched() for _ in range(30)))
    assert (most, places.asking) == (3, 0)


@pytest.mark.anyio
async def test_the_queue_is_bounded_and_fixed_places_stay_as_many() -> None:
    places = Places(2, is_fixed=True)
    held = [asyncio.create_task(asked(places, Nodes(9), 10**6)) for _ in range(2 + WAITING_MAX)]
    await asyncio.sleep(0)
    assert (places.asking, places.waiting) == (2, WAITING_MAX)
    with pytest.raises(GatewayError, match="wait already"):
        await asked(places, Nodes(9), 1)
    places.note_busy()
    assert places.width == 2
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    assert (places.asking, places.waiting) == (0, 0)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(1, 20)), max_size=40))
def test_whoever_leaves_whenever_takes_no_place_with_them(questions: list[tuple[int, int, int]]) -> None:
    async def run() -> tuple[int, int]:
        places, nodes = Places(4), Nodes(2)
        tasks: list[asyncio.Task[None]] = []
        for turns, leaves_after, room in questions:
            task = asyncio.create_task(asked(places, nodes, turns, room))
            tasks.append(task)
            for _ in range(leaves_after):
                await asyncio.sleep(0)
            if leaves_after % 2:
                task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        return places.asking, places.waiting

    assert asyncio.run(run()) == (0, 0)
