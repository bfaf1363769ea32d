"""Who may ask now and who waits: no more questions at a time than the nodes were seen to have room for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from dicast.gateway.errors import GatewayError

START = 16
"""Questions that are asked before anything is known of the nodes; who finds them busy asks again."""
WAITING_MAX = 1_024
"""Questions that wait for a place: each holds its prompt (`bodies.HELD_BYTES_MAX` bounds them all) and a
connection."""
ANSWERS_A_PROBE = 4
"""Once the nodes were full, one question more is tried after so many answers for each that may be asked."""


class Places:
    """Places for questions, first come, first served: never more than `most`, always as many if `is_fixed`.

    The width follows the nodes: it grows with every answer until they are busy, shrinks to what they took,
    and then tries one more from time to time.
    """

    def __init__(self, most: int, *, is_fixed: bool = False) -> None:
        self._most = most
        self.is_fixed = is_fixed
        self._width = float(most if is_fixed else min(START, most))
        self._was_full = False
        self._queue: deque[tuple[asyncio.Future[None], int]] = deque()
        self.asking = 0

    @property
    def waiting(self) -> int:
        """Questions that wait for a place."""
        return len(self._queue)

    @property
    def width(self) -> int:
        """Questions that may be asked at a time."""
        return int(self._width)

    @asynccontextmanager
    async def one(self, room: int) -> AsyncGenerator[Place]:
        """A place, once fewer than `room` ask. Raises GatewayError `overloaded` where too many wait."""
        if len(self._queue) >= WAITING_MAX:
            raise GatewayError("overloaded", f"{WAITING_MAX} questions wait already. Ask again in a while.")
        place = Place(self, room)
        await self.take(room)
        try:
            yield place
        finally:
            if place.is_held:
                self.give_back()

    async def take(self, room: int, *, is_first: bool = False) -> None:
        """Wait for a place, behind all who wait or before them."""
        if not self._queue and self._has_room(room):
            self.asking += 1
            return
        turn = asyncio.get_running_loop().create_future(), room
        (self._queue.appendleft if is_first else self._queue.append)(turn)
        self._call()
        try:
            await turn[0]
        except asyncio.CancelledError:
            if turn in self._queue:
                self._queue.remove(turn)
                self._call()
            elif not turn[0].cancelled():  # its turn had come
                self.give_back()
            raise

    def give_back(self) -> None:
        """One question less is asked."""
        self.asking -= 1
        self._call()

    def note_answer(self) -> None:
        """The nodes had room; while others wait there may be more."""
        if self._queue and not self.is_fixed:
            more = 1 / (ANSWERS_A_PROBE * self._width) if self._was_full else 1.0
            self._width = min(float(self._most), self._width + more)

    def note_busy(self) -> None:
        """The nodes had no room for one of those that are asked."""
        if not self.is_fixed:
            self._was_full = True
            self._width = float(max(1, min(int(self._width), self.asking - 1)))

    def _has_room(self, room: int) -> bool:
        return self.asking < min(int(self._width), room)

    def _call(self) -> None:
        """Let in who has room now, in order; a question that is called off takes no place."""
        while self._queue and self._has_room(self._queue[0][1]):
            turn, _ = self._queue.popleft()
            if not turn.done():
                self.asking += 1
                turn.set_result(None)


class Place:
    """The place of one question."""

    def __init__(self, places: Places, room: int) -> None:
        self._places = places
        self._room = room
        self.is_held = True

    async def again(self, pause_s: float) -> None:
        """The nodes were busy: give the place up for a moment, then be the first to get one."""
        self.is_held = False
        self._places.note_busy()
        self._places.give_back()
        await asyncio.sleep(pause_s)
        await self._places.take(self._room, is_first=True)
        self.is_held = True

    def answered(self) -> None:
        """The nodes had room for it."""
        self._places.note_answer()
