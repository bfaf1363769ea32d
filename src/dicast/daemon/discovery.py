"""Tells the node what its transports are connected to, and lets transports and finders do what it asks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import assert_never, cast

from dicast.daemon.logs import Log
from dicast.ports import Finder, Reachable, Transport
from dicast.protocol.inputs import Input, LinksSeen, PlaceGiven, RecordFound
from dicast.protocol.outputs import Errand, Find, Provide, TryPlace
from dicast.protocol.places import Place

LOOK_S = 1.0
"""How often transports are looked at: a lost link is missed within a second."""
LINKS_SEEN_MAX = 256
"""Links told to the node; it stops looking for more at eight."""
RECORDS_A_SECOND_MAX = 50
"""Each may cost a signature check; a table under attack holds thousands."""
FINDER_START_S = 10.0
"""A finder that does not start in this time is given up for a minute; nobody waits for it."""
FINDER_RETRY_S = 60.0
STOP_S = 3.0
"""As for transports."""


def reachable(transport: Transport) -> Reachable | None:
    """The other face of a transport that can be dialled, or dials."""
    is_one = callable(getattr(transport, "suggest", None)) and callable(getattr(transport, "addresses", None))
    return cast("Reachable", transport) if is_one else None


def finders_of(transports: Sequence[Transport]) -> tuple[Finder, ...]:
    """Finders that live inside a transport, as its `finder`."""
    found = (getattr(transport, "finder", None) for transport in transports)
    return tuple(cast("Finder", one) for one in found if one is not None)


class Discovery:
    """Between the node and the world's addresses. A finder or transport that raises harms itself."""

    def __init__(
        self,
        transports: Sequence[Transport],
        finders: Sequence[Finder],
        given: Sequence[Place],
        submit: Callable[[Input], None],
        log: Log,
    ) -> None:
        self._transports = tuple(transports)
        self._finders = (*finders, *finders_of(transports))
        self._given = tuple(given)
        self._submit = submit
        self._log = log
        self._seen = LinksSeen()
        self._started: dict[str, Finder] = {}
        self._asked: dict[str, Errand] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._second, self._records = 0, 0
        self._complaints: dict[str, str] = {}

    def start(self) -> None:
        """Tell the node what a person gave and what is there, and begin to look; finders start alone."""
        for place in self._given:
            self._submit(PlaceGiven(place))
        self.look()
        self._tasks = [asyncio.create_task(self._run_finder(finder)) for finder in self._finders]
        if self._transports:
            self._tasks.append(asyncio.create_task(self._follow()))

    def perform(self, errand: Errand) -> None:
        """Do what the node asks."""
        match errand:
            case TryPlace(place):
                self._suggest(place)
            case Provide() | Find():
                self._asked[type(errand).__name__] = errand  # for a finder that is not up yet
                for finder in tuple(self._started.values()):
                    self._ask(finder, errand)
            case _:
                assert_never(errand)

    def look(self) -> None:
        """Tell the node about links and own addresses, if they changed."""
        own: dict[str, tuple[str, ...]] = {}
        dialling: list[str] = []
        links: list[Place] = []
        for transport in self._transports:
            try:
                face = reachable(transport)
                addresses = tuple(face.addresses()) if face is not None else None
                peers = transport.peers()[:LINKS_SEEN_MAX]
            except Exception as error:
                self._complain(transport.name, repr(error)[:200])
                continue
            if addresses is not None:
                dialling.append(transport.name)
                own[transport.name] = addresses
            links += [Place(transport.name, peer) for peer in peers]
        seen = LinksSeen(
            own=own,
            dialling=tuple(dialling),
            links=tuple(sorted(links)[:LINKS_SEEN_MAX]),
            finders=tuple(finder.name for finder in self._finders),
        )
        if seen != self._seen:
            self._seen = seen
            self._submit(seen)

    @property
    def paths(self) -> dict[str, int]:
        """Connections by transport: what a packet could go over now."""
        names = [transport.name for transport in self._transports]
        counts = {name: sum(place.transport == name for place in self._seen.links) for name in names}
        return {name: count for name, count in counts.items() if count}

    @property
    def addresses(self) -> dict[str, tuple[str, ...]]:
        """Where others reach this node, by transport."""
        return {name: some for name, some in self._seen.own.items() if some}

    async def stop(self) -> None:
        """Stop looking, and every finder."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(self._stop_finder(finder) for finder in self._finders))

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    async def _run_finder(self, finder: Finder) -> None:
        while finder.name not in self._started:
            try:
                async with asyncio.timeout(FINDER_START_S):
                    await finder.start(lambda record: self._found(record, finder.name))
            except Exception as error:
                self._log.warning("finder_start_failed", finder=finder.name, reason=repr(error)[:200])
                await asyncio.sleep(FINDER_RETRY_S)
            else:
                self._started[finder.name] = finder
                for errand in tuple(self._asked.values()):
                    self._ask(finder, errand)

    async def _stop_finder(self, finder: Finder) -> None:
        try:
            async with asyncio.timeout(STOP_S):
                await finder.stop()
        except Exception as error:
            self._log.warning("finder_stop_failed", finder=finder.name, reason=repr(error)[:200])

    def _found(self, record: bytes, finder: str) -> None:
        """On the loop. A table may hand over anything, as often as it likes."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._records = second, 0
        self._records += 1
        if self._records <= RECORDS_A_SECOND_MAX:
            self._submit(RecordFound(record, finder))

    def _complain(self, transport: str, reason: str) -> None:
        """Once for each reason: it is looked at every second."""
        if self._complaints.get(transport) != reason:
            self._complaints[transport] = reason
            self._log.warning("look_failed", transport=transport, reason=reason)

    def _suggest(self, place: Place) -> None:
        for transport in self._transports:
            face = reachable(transport)
            if face is not None and transport.name == place.transport:
                try:
                    face.suggest(place.address)
                except Exception as error:
                    self._log.warning("suggest_failed", transport=transport.name, reason=repr(error)[:200])

    def _ask(self, finder: Finder, errand: Errand) -> None:
        try:
            if isinstance(errand, Provide) and len(errand.record) <= finder.record_bytes_max:
                finder.provide(errand.keys, errand.record)
            elif isinstance(errand, Find):
                finder.find(errand.key)
        except Exception as error:
            self._log.warning("finder_failed", finder=finder.name, reason=repr(error)[:200])
