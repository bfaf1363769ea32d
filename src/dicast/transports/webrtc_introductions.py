"""Who connects to whom: signals in, connections out, by the rules of trystero; bounded, whoever signals."""

from __future__ import annotations

import asyncio
import random
import secrets
import string
import time
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

import msgspec

from dicast.base.expiring import ExpiringMap
from dicast.transports.background import end_tasks, start_task
from dicast.transports.signalling import Offer, Party, Signaller
from dicast.transports.trystero import NODE_PREFIX, NONCE_BYTES, PEER_ID_CHARS, Room, Signal
from dicast.transports.webrtc_connection import ConnectingError, IceSettings, PeerConnection

ATTEMPTS_MAX = 8  # at a time; each holds sockets and up to a second of a core
ATTEMPTS_A_MINUTE = 120  # signals cost nothing, an attempt 20 ms: strangers get at most a twentieth of a core
CONNECT_SECONDS_MAX = 15.0  # the library itself would try for a minute
OFFER_SECONDS_MAX = 60.0  # an open offer at a tracker; then its addresses may be stale
OFFERS_OPEN = 3  # that trackers may hand out
ANNOUNCE_SECONDS = (0.25, 0.5, 1.5)  # after the first, while links are few: others may come at the same time
ANNOUNCE_ALONE_SECONDS = 10.0
ANNOUNCE_SECONDS_MAX = 60.0
OFFER_ID_CHARS = 20  # trackers take no other length
CALLERS_KNOWN_MAX = 512  # peers whose announcements are counted
CALLER_MS = 30_000
CALLS_BEFORE_ROOM = 3  # announcements of one peer within 30 s before a full node makes room for it
SIGNALS_WORKED_ON_MAX = 64  # more are dropped


class Attempt:
    """A connection in the making: ours to offer, or ours to answer. An open offer has no peer yet."""

    def __init__(self, peer_id: str, offer_id: str, connection: PeerConnection, *, is_ours: bool) -> None:
        self.peer_id = peer_id
        self.offer_id = offer_id
        self.connection = connection
        self.is_ours = is_ours
        self.is_answered = not is_ours
        self.sealed = ""
        self.made_at = time.monotonic()
        self.following: asyncio.Task[None] | None = None


class Links(Protocol):
    """What the introductions must know of the links, and whom they give a connection to."""

    def is_linked(self, peer_id: str) -> bool:
        """Whether there is a link to this peer."""
        ...

    def count(self) -> int:
        """How many there are."""
        ...

    def take(self, peer_id: str, connection: PeerConnection) -> None:
        """An open channel to a peer: a new link."""
        ...

    def make_room(self) -> None:
        """End one of many links, for somebody finds no other way in."""
        ...


class Limits(msgspec.Struct, frozen=True):
    """Links that are sought, and links that are taken."""

    wanted: int
    most: int


class Introductions:
    """Answers signals with offers and answers until channels are open."""

    def __init__(
        self, ice: IceSettings, signallers: Sequence[Signaller], links: Links, limits: Limits
    ) -> None:
        self.called = asyncio.Event()
        """Set once the first signaller was told that we are there."""
        self.idle = asyncio.Event()
        """Set while nobody is about to be connected."""
        self.idle.set()
        self.peer_id = NODE_PREFIX + _random_text(PEER_ID_CHARS - len(NODE_PREFIX))
        self.problem = ""
        self._ice = ice
        self._signallers = signallers
        self._links = links
        self._limits = limits
        self._room: Room | None = None
        self._attempts: dict[str, Attempt] = {}
        self._open_offers: dict[str, Attempt] = {}
        self._calls: ExpiringMap[str, int] = ExpiringMap(CALLERS_KNOWN_MAX)
        self._working: set[asyncio.Task[None]] = set()
        self._announcing: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._connections_made = 0
        self._minute, self._this_minute = 0, 0

    def start(self, room: Room) -> None:
        """Go to where the others meet."""
        self._room = room
        party = Party(self.peer_id, room, self.heard)
        for signaller in self._signallers:
            signaller.start(party, self._greet)
        self._announcing = start_task(self._announce(room), "webrtc announcing")

    async def stop(self) -> None:
        """Leave, and give up what is under way."""
        self._room = None
        await asyncio.gather(*(signaller.stop() for signaller in self._signallers))
        await end_tasks(self._announcing, *self._working)
        attempts = [*self._attempts.values(), *self._open_offers.values()]
        self._attempts.clear()
        self._open_offers.clear()
        await asyncio.gather(*(attempt.connection.close() for attempt in attempts))

    def look_again(self) -> None:
        """A link was lost: say that we are there, soon."""
        self._hurry.set()

    def _greet(self, _: Signaller) -> None:
        self._hurry.set()

    def heard(self, signaller: Signaller, signal: Signal) -> None:
        """A signal came. Never raises or waits, whatever it says."""
        peer, room = signal.peer_id, self._room
        if room is None or peer == self.peer_id or self._links.is_linked(peer):
            return
        if signal.is_announcement:
            self._heard_announcement(signaller, room, peer)
            return
        text = room.open(signal.offer or signal.answer or signal.candidate)
        attempt = self._attempts.get(peer)
        if text is None or len(self._working) >= SIGNALS_WORKED_ON_MAX:
            return
        if signal.offer:
            self._heard_offer(signaller, signal, text)
        elif signal.answer:
            self._heard_answer(signal, text)
        elif attempt is not None and signal.offer_id in ("", attempt.offer_id):
            self._work(attempt.connection.add_candidate(text))

    def _heard_announcement(self, signaller: Signaller, room: Room, peer: str) -> None:
        calls, attempt = self._note_call(peer), self._attempts.get(peer)
        if attempt is not None:
            if not attempt.is_answered and attempt.sealed:
                self._tell_offer(signaller, attempt)  # the peer may not have listened yet
        elif self._links.count() >= self._limits.most:
            if calls >= CALLS_BEFORE_ROOM:
                self._links.make_room()
        elif self._links.count() >= self._limits.wanted and calls < 2:
            pass  # others have more room; if not, the peer calls again
        elif self.peer_id > peer:
            signaller.tell(peer, Signal(self.peer_id))  # the lower id offers
        elif self._may_try():
            attempt = Attempt(peer, _random_text(OFFER_ID_CHARS), self._new_connection(), is_ours=True)
            self._follow(attempt)
            self._work(self._offer(signaller, room, attempt))

    def _heard_offer(self, signaller: Signaller, signal: Signal, text: str) -> None:
        attempt = self._attempts.get(signal.peer_id)
        if attempt is not None and attempt.is_answered:
            return
        if attempt is not None and self.peer_id < signal.peer_id:
            return  # ours counts, and the peer thinks so too
        if self._links.count() < self._limits.most and self._may_try():
            if attempt is not None:
                self._forget(attempt)
            attempt = Attempt(signal.peer_id, signal.offer_id, self._new_connection(), is_ours=False)
            self._follow(attempt)
            self._work(self._answer(signaller, attempt, text))

    def _heard_answer(self, signal: Signal, text: str) -> None:
        attempt = self._attempts.get(signal.peer_id)
        opened = self._open_offers.get(signal.offer_id)
        if opened is not None and (attempt is None or self._gives_way(attempt)):
            if attempt is not None:
                self._forget(attempt)
            del self._open_offers[signal.offer_id]
            opened.peer_id = signal.peer_id
            self._follow(opened)
            attempt = opened
        if attempt is None or attempt.is_answered or signal.offer_id not in ("", attempt.offer_id):
            return
        attempt.is_answered = True
        self._work(self._accept(attempt, text))

    def _gives_way(self, attempt: Attempt) -> bool:
        """Whether it ends for an open offer of ours that the peer answered: offers may have crossed.

        Whether the tracker brings the peer any of ours is not known before, so both answer.
        """
        return not attempt.is_answered if attempt.is_ours else self.peer_id < attempt.peer_id

    async def _offer(self, signaller: Signaller, room: Room, attempt: Attempt) -> None:
        try:
            await self._describe(attempt, room)
        except ConnectingError as error:
            self._fail(attempt, error)
        else:
            self._tell_offer(signaller, attempt)

    async def _answer(self, signaller: Signaller, attempt: Attempt, text: str) -> None:
        try:
            answer = await attempt.connection.answer(text)
        except ConnectingError as error:
            self._fail(attempt, error)
            return
        if self._room is not None and self._attempts.get(attempt.peer_id) is attempt:
            sealed = self._room.seal(answer, secrets.token_bytes(NONCE_BYTES))
            answered = Signal(self.peer_id, answer=sealed, offer_id=attempt.offer_id)
            signaller.tell(attempt.peer_id, answered)

    async def _accept(self, attempt: Attempt, text: str) -> None:
        try:
            await attempt.connection.accept(text)
        except ConnectingError as error:
            self._fail(attempt, error)

    async def _describe(self, attempt: Attempt, room: Room) -> None:
        attempt.sealed = room.seal(await attempt.connection.offer(), secrets.token_bytes(NONCE_BYTES))

    def _follow(self, attempt: Attempt) -> None:
        self._attempts[attempt.peer_id] = attempt
        self.idle.clear()
        attempt.following = self._work(self._until_open(attempt))

    async def _until_open(self, attempt: Attempt) -> None:
        """Wait until the channel is open, and hand it over; or give up."""
        connection = attempt.connection
        waits = [asyncio.ensure_future(event.wait()) for event in (connection.opened, connection.lost)]
        try:
            await asyncio.wait(waits, timeout=CONNECT_SECONDS_MAX, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        is_wanted = self._attempts.get(attempt.peer_id) is attempt and not connection.lost.is_set()
        if is_wanted and connection.opened.is_set() and self._links.count() < self._limits.most:
            self.problem = ""
            self._links.take(attempt.peer_id, connection)
        else:
            if is_wanted and attempt.is_answered and not connection.opened.is_set():
                self.problem = f"no way to {attempt.peer_id} in {CONNECT_SECONDS_MAX:.0f} s"
            await connection.close()
        self._forget(attempt)

    def _fail(self, attempt: Attempt, error: ConnectingError) -> None:
        self.problem = f"{attempt.peer_id or 'offering'}: {error}"
        self._forget(attempt)

    def _forget(self, attempt: Attempt) -> None:
        """Whoever follows it closes it."""
        if self._attempts.get(attempt.peer_id) is attempt:
            del self._attempts[attempt.peer_id]
            if not self._links.is_linked(attempt.peer_id):
                attempt.connection.lost.set()
        if not self._attempts:
            self.idle.set()

    def _tell_offer(self, signaller: Signaller, attempt: Attempt) -> None:
        offer = Signal(self.peer_id, offer=attempt.sealed, offer_id=attempt.offer_id)
        signaller.tell(attempt.peer_id, offer)

    async def _announce(self, room: Room) -> None:
        pauses = list(ANNOUNCE_SECONDS)
        while True:
            self._hurry.clear()
            signallers = [one for one in self._signallers if one.is_up]
            offers = await self._offers(room) if any(one.takes_offers for one in signallers) else []
            for signaller in signallers:
                signaller.announce(offers)
            if signallers:
                self.called.set()
            later = ANNOUNCE_SECONDS_MAX if self._links.count() else ANNOUNCE_ALONE_SECONDS
            pause = pauses.pop(0) if pauses and self._wants_more() else later
            try:
                async with asyncio.timeout(pause * random.uniform(0.8, 1.2)):  # noqa: S311 (jitter)
                    await self._hurry.wait()
                pauses = list(ANNOUNCE_SECONDS)
            except TimeoutError:
                pass

    def _wants_more(self) -> bool:
        return self._links.count() < self._limits.wanted

    async def _offers(self, room: Room) -> list[Offer]:
        """What trackers may hand out: a few offers, new ones for those that are old or gone."""
        oldest = time.monotonic() - OFFER_SECONDS_MAX
        for offer_id, attempt in list(self._open_offers.items()):
            if attempt.made_at < oldest or attempt.connection.lost.is_set():
                del self._open_offers[offer_id]
                await attempt.connection.close()
        while self._wants_more() and len(self._open_offers) < OFFERS_OPEN:
            attempt = Attempt("", _random_text(OFFER_ID_CHARS), self._new_connection(), is_ours=True)
            try:
                await self._describe(attempt, room)
            except ConnectingError as error:
                self._fail(attempt, error)
                await attempt.connection.close()
                break
            self._open_offers[attempt.offer_id] = attempt
        return [Offer(one.offer_id, one.sealed) for one in self._open_offers.values() if self._wants_more()]

    def _note_call(self, peer: str) -> int:
        now_ms = int(time.monotonic() * 1000)
        calls = (self._calls.get(peer, now_ms) or 0) + 1
        self._calls.put(peer, calls, now_ms + CALLER_MS)
        return calls

    def _may_try(self) -> bool:
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute, self._this_minute = minute, 0
        if len(self._attempts) >= ATTEMPTS_MAX or self._this_minute >= ATTEMPTS_A_MINUTE:
            return False
        self._this_minute += 1
        return True

    def _new_connection(self) -> PeerConnection:
        self._connections_made += 1
        return PeerConnection(self._ice, self._connections_made)

    def _work(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        return task


def _random_text(count: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(count))


_LETTERS = string.digits + string.ascii_letters
