"""One relay: connect, subscribe, send, read; and again for ever, whatever the relay does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import assert_never

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, WebSocketException

from dicast.base.crypto import KeyPair
from dicast.base.errors import LocalProtocolError
from dicast.base.events import sign_event
from dicast.transports.background import start_task
from dicast.transports.backoff import Backoff
from dicast.transports.nostr_frames import (
    ALL_KINDS,
    FETCH,
    LIVE,
    OLDER,
    Answered,
    Challenge,
    Notice,
    Relayed,
    RelayFrame,
    StoredEnd,
    SubscriptionClosed,
    auth_frame,
    close_frame,
    fetch_frame,
    parse_frame,
)
from dicast.transports.nostr_lists import LISTS, RelayLists, ask_again_seconds
from dicast.transports.nostr_outbox import Obstacle, Outbox
from dicast.transports.nostr_replay import Replay
from dicast.transports.nostr_socket import Trip, described, is_too_big, open_socket
from dicast.transports.nostr_terms import TOLD_AGAIN_SECONDS, UNTOLD, ask_terms

READY_SECONDS_MAX = 1.0  # how long to wait for a relay's first word before publishing
REPLAY_SECONDS_MAX = 2.0  # how long a relay may hold up new packets by not ending its stored ones
FIRST_LOOK_BACK_SECONDS = 70 * 60  # a round may last an hour: a node that restarts finds its packets again
SLACK_SECONDS = 300  # look-back after a reconnect: clocks differ by a minute, packets wait in outboxes
PAUSE_SECONDS_FIRST = 1.0  # after `rate-limited`
PAUSE_SECONDS_MAX = 60.0
GARBAGE_FRAMES_MAX = 64  # of one connection; then it is closed, and the back-off grows
CHALLENGES_MAX = 8  # of one connection: each costs a signature
AUTH_KIND = 22242

OnWire = Callable[[bytes, bool], None]  # the packet, and whether it was asked for by id


class RelayLink:
    """Keeps one relay connected. `on_wire` gets canonical packets; signature and id are not checked here."""

    def __init__(self, url: str, key: KeyPair, on_wire: OnWire) -> None:
        self.url = url
        self.outbox = Outbox()
        self.is_up = False
        self.problem = ""
        self.sent = 0
        self.received = 0
        self.garbage = 0
        self.refused = 0
        """Packets that the relay's limits leave to others."""
        self.lists: RelayLists | None = None
        self._host = ""
        self._terms = UNTOLD
        self._terms_at: float | None = None
        self._trip = Trip()
        self._key = key
        self._on_wire = on_wire
        self._topic = ""
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()
        self._control: dict[str, bytes] = {}
        self._replay: Replay | None = None
        self._last_heard: float | None = None
        self._backoff = Backoff()
        self._pause_seconds = PAUSE_SECONDS_FIRST
        self._obstacles: set[Obstacle] = set()
        self._challenges = 0
        self._skips_stored = False
        self._timers: set[asyncio.TimerHandle] = set()

    def start(self, topic: str) -> None:
        """Begin connecting; returns at once."""
        self._topic = topic
        self._task = start_task(self._run(), f"nostr {self.url}")

    async def visit(self, topic: str, host: str) -> None:
        """One connection to a relay that others told of, at the address that was checked."""
        self._topic, self._host = topic, host
        self.problem = await self._connect_and_converse()

    @property
    def was_up(self) -> bool:
        """Whether it has ever told what it stores."""
        return self._last_heard is not None

    @property
    def round_trip_ms(self) -> int | None:
        """To the relay and back, as last measured."""
        return self._trip.milliseconds if self.is_up else None

    def publish(self, event_id: str, frame: bytes, created_at: int) -> None:
        """Queue a frame for this relay, unless its limits leave that to others."""
        if not self._terms.takes(len(frame), created_at, int(time.time())):
            self.refused += 1
            return
        self.outbox.put(event_id, frame)
        self._drained.clear()
        self._wake.set()

    def fetch(self, ids: tuple[str, ...]) -> None:
        """Ask the relay for stored packets, if it is connected."""
        if self.is_up and self._terms.may_open(2 + (self._replay is not None)):
            self._say(FETCH, fetch_frame(ids))

    async def stop(self, flush_seconds: float) -> None:
        """Wait a moment for what is queued, then disconnect."""
        if self.is_up and len(self.outbox):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._drained.wait(), flush_seconds)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            try:
                self.problem = await self._connect_and_converse()
            except (OSError, WebSocketException, EOFError, ValueError) as error:
                self.problem = described(error)
            await asyncio.sleep(self._backoff.next_seconds())

    async def _connect_and_converse(self) -> str:
        """One connection from its opening to its end; why it ended."""
        asking = asyncio.create_task(self._ask_terms())
        try:
            socket = await open_socket(self.url, self._host)
        except BaseException:
            asking.cancel()
            raise
        writer = asyncio.create_task(self._write(socket))
        self._trip = Trip(socket)
        try:
            self._begin()
            return await self._read(socket)
        finally:
            self._end()
            writer.cancel()
            asking.cancel()
            try:
                await asyncio.gather(writer, asking, return_exceptions=True)
                await socket.close()
            finally:
                socket.transport.abort()  # closing waits for the relay; cancelled there, it would stay open

    async def _ask_terms(self) -> None:
        """Once an hour; what was not known yet is made good."""
        now = time.monotonic()
        if self._host or (self._terms_at is not None and now - self._terms_at < TOLD_AGAIN_SECONDS):
            return
        terms = await ask_terms(self.url)
        self._terms_at = now
        if terms is None:
            return
        self._terms = terms
        if terms.message_bytes_max is not None:
            self.refused += self.outbox.drop_larger(terms.message_bytes_max)
        if terms.is_payment_required and not self.sent:
            self.problem = "it takes packets from those who pay"
        if terms.is_auth_required and not self.is_up:
            self._obstacles.add(Obstacle.UNKNOWN)

    def _begin(self) -> None:
        self._control.clear()
        self._challenges = 0
        self._obstacles = {Obstacle.UNHEARD}
        self._later(READY_SECONDS_MAX, partial(self._clear, Obstacle.UNHEARD))
        self._subscribe()

    def _end(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self.is_up = False
        self._release_stored()
        self.outbox.send_all_again()

    async def _write(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                frame = self._next_frame()
                if frame is None:
                    self._wake.clear()
                    await self._wake.wait()
                else:
                    await socket.send(frame, text=True)

    def _next_frame(self) -> bytes | None:
        if self._control:
            return self._control.pop(next(iter(self._control)))
        if self._obstacles:
            return None
        frame = self.outbox.take()
        self.sent += frame is not None
        return frame

    async def _read(self, socket: ClientConnection) -> str:
        garbage = 0
        while garbage < GARBAGE_FRAMES_MAX:
            try:
                frame = parse_frame(await socket.recv(decode=False))
            except ConnectionClosed as closed:
                self._skips_stored = is_too_big(closed)
                return described(closed)
            if self.is_up:
                self._last_heard = time.time()
            if frame is None or not self._take(frame):
                garbage += 1
                self.garbage += 1
        return "it sent too much that no relay sends"

    def _take(self, frame: RelayFrame) -> bool:
        """Do what a frame asks for; False when it is out of place."""
        match frame:
            case Relayed():
                return self._take_packet(frame)
            case StoredEnd(subscription):
                self._take_stored_end(subscription)
            case Answered():
                self._take_answer(frame)
            case SubscriptionClosed(subscription, reason):
                self._take_closed(subscription, reason)
            case Notice(text):
                self._take_notice(text)
            case Challenge(challenge):
                return self._take_challenge(challenge)
            case _:
                assert_never(frame)
        return True

    def _take_packet(self, packet: Relayed) -> bool:
        if packet.subscription == LISTS and self.lists is not None:
            return self.lists.answer(packet)
        if packet.subscription not in {LIVE, OLDER, FETCH} or packet.kind not in ALL_KINDS:
            return False
        self.received += 1
        is_fetched = packet.subscription == FETCH
        if is_fetched or self._replay is None:
            self._on_wire(packet.wire, is_fetched)
        elif not self._replay.hold(packet):
            self._release_stored()
        return True

    def _take_stored_end(self, subscription: str) -> None:
        if subscription in (FETCH, LISTS):
            self._say(subscription, close_frame(subscription))
        elif subscription == OLDER:
            self._ask_for_older(self._replay)
        elif subscription == LIVE:
            self._trip.ended()
            self.is_up = True
            self._backoff.connected()
            self._last_heard = time.time()
            self.problem = ""
            self._skips_stored = False
            self._clear(Obstacle.UNHEARD)
            self._clear(Obstacle.UNKNOWN)
            self._ask_for_older(self._replay)
            self._exchange_lists(0)

    def _exchange_lists(self, turn: int) -> None:
        """Say which relays we are on, once; ask again and again which others are on."""
        if self.lists is not None:
            frame = self.lists.question() if turn else self.lists.own_frame()
            if frame is not None and (not turn or self._terms.may_open(3)):
                self._say(LISTS if turn else "own list", frame)
            self._later(ask_again_seconds(turn), partial(self._exchange_lists, turn + 1))

    def _ask_for_older(self, replay: Replay | None) -> None:
        """The relay cut its answer short: ask for what is older, until all is there."""
        may_ask = self._terms.may_open(2)
        frame = replay.next_page() if replay is not None and may_ask else None
        if frame is not None:
            self._say(OLDER, frame)
            return
        if replay is not None and replay.pages > 1:
            self._say(OLDER, close_frame(OLDER))
        self._release_stored()

    def _take_answer(self, answer: Answered) -> None:
        if answer.accepted or answer.reason.startswith("duplicate:"):
            self.outbox.confirm(answer.event_id)
            self._pause_seconds = PAUSE_SECONDS_FIRST
            self.problem = ""
        elif answer.reason.startswith("rate-limited:"):
            self.outbox.send_again(answer.event_id)
            self._pause(answer.reason)
        elif answer.reason.startswith("auth-required:"):
            self.outbox.send_again(answer.event_id)
            self._obstacles.add(Obstacle.UNKNOWN)
        else:
            self.outbox.confirm(answer.event_id)
            self.problem = answer.reason
        if not len(self.outbox):
            self._drained.set()

    def _take_closed(self, subscription: str, reason: str) -> None:
        self.problem = reason
        if subscription == LIVE:
            self.is_up = False
            self._pause_seconds = min(2 * self._pause_seconds, PAUSE_SECONDS_MAX)
            self._later(self._pause_seconds, self._subscribe_unless_up)
        elif subscription == OLDER:
            self._release_stored()

    def _take_notice(self, text: str) -> None:
        self.problem = text
        if "rate" in text.lower() and "limit" in text.lower():
            self._pause(text)

    def _take_challenge(self, challenge: str) -> bool:
        """Answer with our key, ask again for the subscription, and send again what was refused (NIP-42)."""
        self._challenges += 1
        if self._challenges > CHALLENGES_MAX:
            return False
        try:
            tags = (("relay", self.url), ("challenge", challenge))
            event = sign_event(self._key, int(time.time()), AUTH_KIND, tags, "")
        except LocalProtocolError:
            return False
        self._say("AUTH", auth_frame(event))
        self.outbox.send_all_again()
        self._subscribe()
        return True

    def _subscribe(self) -> None:
        now = int(time.time())
        look_back = (
            FIRST_LOOK_BACK_SECONDS if self._last_heard is None else now - self._last_heard + SLACK_SECONDS
        )
        since = now if self._skips_stored else now - int(min(look_back, FIRST_LOOK_BACK_SECONDS))
        self._release_stored()
        self._replay = Replay(self._topic, now, since)
        self._later(REPLAY_SECONDS_MAX, partial(self._give_up_on, self._replay))
        self._control.pop(LIVE, None)  # it must follow an answer to a challenge
        self._say(LIVE, self._replay.first_page())
        self._trip.began()

    def _subscribe_unless_up(self) -> None:
        if not self.is_up:
            self._subscribe()

    def _give_up_on(self, replay: Replay) -> None:
        if self._replay is replay:
            self.problem = "it does not end its stored packets"
            self._release_stored()

    def _release_stored(self) -> None:
        replay, self._replay = self._replay, None
        if replay is not None:
            for wire in replay.take():
                self._on_wire(wire, False)

    def _clear(self, obstacle: Obstacle) -> None:
        self._obstacles.discard(obstacle)
        self._wake.set()

    def _pause(self, reason: str) -> None:
        """The relay wants less of us: nothing is published for a while, each time longer."""
        self.problem = reason
        if Obstacle.PAUSE not in self._obstacles:
            self._obstacles.add(Obstacle.PAUSE)
            self._later(self._pause_seconds, partial(self._clear, Obstacle.PAUSE))
            self._pause_seconds = min(2 * self._pause_seconds, PAUSE_SECONDS_MAX)

    def _say(self, purpose: str, frame: bytes) -> None:
        """Send a frame before any packet; a newer one of the same purpose replaces it."""
        self._control[purpose] = frame
        self._wake.set()

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something on this connection, unless it has ended by then."""

        def act() -> None:
            self._timers.discard(timer)
            action()

        timer = asyncio.get_running_loop().call_later(seconds, act)
        self._timers.add(timer)
