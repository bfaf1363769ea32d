"""Two nodes of the WebRTC mesh that meet at a tracker: whoever comes last, whoever's offer is first."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest

from dicast.transports.signalling import Offer, Party, Signaller
from dicast.transports.trystero import Signal
from dicast.transports.webrtc import WebRtcSettings, WebRtcTransport
from waiting import until

pytestmark = pytest.mark.anyio
TOPIC = "ab" * 32
LOW, HIGH = (f"node{letter * 16}" for letter in "az")


class Tracker:
    """Keeps no offer: each goes to whoever is there. What is said waits while it is told to hold it."""

    def __init__(self) -> None:
        self.places: list[Place] = []
        self.is_holding = False
        self.held: deque[Callable[[], None]] = deque()

    def pass_on(self, deliver: Callable[[], None]) -> None:
        if self.is_holding:
            self.held.append(deliver)
        else:
            asyncio.get_running_loop().call_soon(deliver)

    def let_go(self) -> None:
        self.is_holding = False
        while self.held:
            self.pass_on(self.held.popleft())


class Place:
    """The tracker as one node sees it; only the first announcement is heard."""

    takes_offers = True

    def __init__(self, tracker: Tracker) -> None:
        self.url, self.problem, self.is_up = "memory", "", False
        self.has_announced = False
        self.party: Party | None = None
        self._tracker = tracker

    def start(self, party: Party, on_up: Callable[[Signaller], None]) -> None:
        self.party, self.is_up = party, True
        self._tracker.places.append(self)
        on_up(self)

    def announce(self, offers: Sequence[Offer]) -> None:
        if self.has_announced or not offers or self.party is None:
            return
        self.has_announced = True
        own = self.party.peer_id
        others = [place for place in self._tracker.places if place is not self]
        for place, offer in zip(others, offers, strict=False):
            self._say(place, Signal(own, offer=offer.sealed, offer_id=offer.id))

    def tell(self, peer_id: str, signal: Signal) -> None:
        for place in self._tracker.places:
            if place.party is not None and place.party.peer_id == peer_id and signal.answer:
                self._say(place, signal)

    def _say(self, place: Place, signal: Signal) -> None:
        assert place.party is not None
        hear = place.party.heard
        self._tracker.pass_on(lambda: hear(place, signal))

    async def stop(self) -> None:
        self.is_up = False


Join = Callable[[Tracker, str], Awaitable[WebRtcTransport]]


@pytest.fixture
async def join() -> AsyncIterator[Join]:
    """Nodes with chosen ids, once they have announced themselves."""
    nodes: list[WebRtcTransport] = []

    async def started(tracker: Tracker, peer_id: str) -> WebRtcTransport:
        place = Place(tracker)
        nodes.append(WebRtcTransport(WebRtcSettings(), [place]))
        nodes[-1]._introductions.peer_id = peer_id
        await nodes[-1].start(TOPIC, lambda _: None)
        await until(lambda: place.has_announced)
        return nodes[-1]

    yield started
    await asyncio.gather(*(node.stop() for node in nodes))


@pytest.mark.parametrize(("first", "last"), [(LOW, HIGH), (HIGH, LOW)])
async def test_whoever_comes_last_is_linked_by_its_own_offer(join: Join, first: str, last: str) -> None:
    """The offers of the first went to nobody, and it does not announce itself again."""
    tracker = Tracker()
    former, latter = await join(tracker, first), await join(tracker, last)
    await until(lambda: (former.peers(), latter.peers()) == ([last], [first]))


@pytest.mark.parametrize("is_turned", [False, True])
async def test_offers_that_cross_make_one_link(join: Join, is_turned: bool) -> None:
    tracker = Tracker()
    tracker.is_holding = True
    low, high = await join(tracker, LOW), await join(tracker, HIGH)
    tracker.places[0].has_announced = False  # now that the high one is there
    low._introductions.look_again()
    await until(lambda: len(tracker.held) == 2)
    tracker.held.rotate(is_turned)
    tracker.let_go()
    await until(lambda: (low.peers(), high.peers()) == ([HIGH], [LOW]))
    assert (low._mesh.count(), high._mesh.count()) == (1, 1)
