"""Packets between Zenoh peers: a LAN finds itself by multicast, others by a known peer or router."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import zenoh

from dicast.base.errors import LocalProtocolError
from dicast.base.limits import PACKET_BYTES_MAX
from dicast.ports import TransportHealth
from dicast.transports.background import described, end_tasks, start_task
from dicast.transports.backoff import Backoff
from dicast.transports.inlet import Inlet
from dicast.transports.newcomers import SETTLE_SECONDS, Greeter, Recent, Repeated
from dicast.transports.packet_queue import PacketQueue
from dicast.transports.queued import first_to_end
from dicast.transports.zenoh_places import Suggestions, tellable, with_ports

FLUSH_SECONDS_MAX = 1.0  # what `stop` gives to packets on their way
CLOSE_SECONDS_MAX = 1.0  # closing says goodbye to every peer
PACKETS_A_HOP = 64  # handed to the writing thread together: a hop to it costs 50 us, a packet 10
LINK_BATCHES = 8  # of 64 KiB each that wait on one link: a burst to a peer that is busy for a moment
WAIT_BEFORE_DROP_US = 50_000  # for a link that is full, on the writing thread, once; then drops at once
RETRY_MS_FIRST = 200  # a router that was restarted is back at once
RETRY_MS_MAX = 1_000  # Zenoh's own cap of 4 s would be longer than a round takes
CLIENT_OPEN_MS_MAX = 5_000  # a client has no session without its router: opening waits, on the thread
LOOK_SECONDS = 1.0  # how soon it is noticed that nobody is there
LONELY_LOOKS = 3  # with nobody there: then the session is opened again with what was suggested
TRY_LOOKS = 10  # what suggested endpoints get to answer before others are tried
PING_LOOKS = 15  # one peer is asked for its time so often
PING_SECONDS_MAX = 2.0
PEERS_KNOWN_MAX = 1024  # tokens remembered: as many peers as a node keeps


class ZenohSettings(msgspec.Struct, frozen=True):
    """Endpoints such as `tcp/192.0.2.1:7447`; multicast looks for peers on `interface`, "" for nowhere.

    A node that listens nowhere and connects somewhere is a client: all it says goes through that router.
    `port` is taken where an endpoint leaves it open and it is free: then a ticket is good after a restart.
    `ca_file` vouches for the certificates of `tls/` endpoints, in place of the usual authorities.
    """

    listen: tuple[str, ...] = ("tcp/127.0.0.1:0",)
    connect: tuple[str, ...] = ()
    interface: str = ""
    ca_file: Path | None = None
    port: int = 0

    @property
    def is_client(self) -> bool:
        """Whether others reach this node through a router only."""
        return bool(self.connect) and not self.listen


class ZenohTransport:
    """One Zenoh session; its threads never touch the loop but through an inlet."""

    payload_bytes_max = PACKET_BYTES_MAX

    def __init__(self, settings: ZenohSettings, name: str = "zenoh") -> None:
        self.name = name
        self._settings = settings
        self._queue = PacketQueue()
        self._recent = Recent()
        self._thread: ThreadPoolExecutor | None = None
        self._inlet: Inlet | None = None
        self._session: Any = None  # the bindings' sessions are closed by hand, on the thread
        self._task: asyncio.Task[None] | None = None
        self._greeter = Greeter(self._recent, self._queue.put)
        self._is_open = False
        self._peers: dict[str, None] = {}
        self._listening = settings.listen
        self._port = settings.port
        self._suggestions = Suggestions(settings.listen)
        self._dialled: dict[str, str] = {}
        """Endpoints of ours that lead to a peer, by its id."""
        self._round_trip_ms: int | None = None
        self._state = "starting"
        self._problem = ""
        self._sent = 0

    async def start(self, topic: str, on_packet: Callable[[bytes], None]) -> None:
        """Begin to open the session; returns at once."""
        if self._task is not None or self._state == "stopped":
            return
        self._thread = ThreadPoolExecutor(1, "zenoh")
        self._inlet = Inlet(on_packet)
        self._task = start_task(self._run(f"dicast/{topic}", self._inlet), "zenoh")

    def publish(self, wire: bytes) -> None:
        """Queue one packet; never blocks."""
        if len(wire) > PACKET_BYTES_MAX:
            raise LocalProtocolError("not_a_packet", "Only packets of at most 64 KiB can be published.")
        if self._state != "stopped":
            self._recent.add(wire)
            self._queue.put(wire)

    def peers(self) -> Sequence[str]:
        """Nodes on the topic: the endpoint where we dialled them, or their Zenoh id."""
        return [self._dialled.get(peer, peer) for peer in self._peers]

    def addresses(self) -> Sequence[str]:
        """Endpoints where it listens, while it does, that name one machine."""
        return tellable(self._listening) if self._is_open else ()

    def suggest(self, address: str) -> None:
        """Somebody may listen there: tried while nobody is on the topic. Never raises."""
        if address not in (*self._listening, *self._settings.connect) and not self._settings.is_client:
            self._suggestions.add(address)

    def health(self) -> TransportHealth:
        """Whether the session stands, and how many are on the topic."""
        received, dropped = (0, 0) if self._inlet is None else (self._inlet.received, self._inlet.dropped)
        return TransportHealth(
            state="down" if self._state == "stopped" else self._state,
            detail=self._problem or f"{len(self._peers)} peers",
            sent=self._sent,
            received=received,
            dropped=self._queue.dropped + dropped,
            round_trip_ms=self._round_trip_ms if self._peers else None,
        )

    async def stop(self) -> None:
        """Give what is queued a second, then close the session."""
        self._state = "stopped"
        if self._is_open:
            await self._queue.flush(FLUSH_SECONDS_MAX)
        self._is_open = False
        if self._inlet is not None:
            self._inlet.close()
        self._greeter.stop()
        task, self._task = self._task, None
        await end_tasks(task)
        thread, self._thread = self._thread, None
        if thread is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS_MAX):
                    await asyncio.get_running_loop().run_in_executor(thread, self._close)
            thread.shutdown(wait=False)
        self._peers.clear()

    async def _run(self, key: str, inlet: Inlet) -> None:
        loop, backoff = asyncio.get_running_loop(), Backoff()
        while True:
            try:
                publisher = await loop.run_in_executor(self._thread, self._open, key, inlet, loop)
                self._is_open, self._problem = True, ""
                backoff.connected()
                settling = loop.call_later(SETTLE_SECONDS, self._settled)
                try:
                    await first_to_end(self._write(publisher), self._watch(key))
                finally:
                    settling.cancel()
            except (zenoh.ZError, OSError, ValueError, RuntimeError) as error:
                self._problem = described(error)
            self._is_open, self._state = False, "down" if self._problem else "starting"
            await loop.run_in_executor(self._thread, self._close)
            self._peers.clear()
            if self._problem:
                await asyncio.sleep(backoff.next_seconds())

    def _open(self, key: str, inlet: Inlet, loop: asyncio.AbstractEventLoop) -> Any:
        """On the thread: a session, who is there, what they say, and a token that says that we are there."""
        self._listening = with_ports(self._listening, self._port)
        try:
            session: Any = zenoh.open(_config(self._settings, self._listening, self._suggestions.tried))
        except zenoh.ZError:
            self._listening, self._port = self._settings.listen, 0  # somebody may have taken the port
            raise
        self._session = session
        own = f"{key}/at/{session.zid()}"

        def take(sample: Any) -> None:
            inlet.put(sample.payload.to_bytes())

        def see(sample: Any) -> None:
            place, is_there = str(sample.key_expr), sample.kind == zenoh.SampleKind.PUT
            with suppress(RuntimeError):  # the loop has ended
                if place != own:
                    loop.call_soon_threadsafe(self._see, place.rpartition("/")[2], is_there)

        session.declare_subscriber(f"{key}/packet", take, allowed_origin=zenoh.Locality.REMOTE)
        session.liveliness().declare_subscriber(f"{key}/at/*", see, history=True)
        publisher = session.declare_publisher(
            f"{key}/packet", congestion_control=zenoh.CongestionControl.DROP
        )
        session.declare_queryable(f"{key}/ping/{session.zid()}", _answer)
        self._token = session.liveliness().declare_token(own)
        return publisher

    def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with suppress(zenoh.ZError):
                session.close()

    async def _watch(self, key: str) -> None:
        """Until nobody is there and somebody was suggested; meanwhile now and then one peer is asked."""
        loop, looks, lonely = asyncio.get_running_loop(), 0, 0
        patience = TRY_LOOKS if self._suggestions.tried else LONELY_LOOKS
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            looks, lonely = looks + 1, 0 if self._peers else lonely + 1
            if lonely >= patience and self._suggestions.take():
                return
            if self._peers and looks % PING_LOOKS == 1:
                peer = random.choice(list(self._peers))  # noqa: S311 (any will do)
                await loop.run_in_executor(self._thread, self._ping, f"{key}/ping/{peer}", loop)

    def _ping(self, place: str, loop: asyncio.AbstractEventLoop) -> None:
        """On the thread: how long a peer takes to answer; one that does not says nothing."""
        began = time.monotonic()

        def answered(reply: Any) -> None:
            with suppress(RuntimeError):  # the loop has ended
                if reply.ok is not None:
                    loop.call_soon_threadsafe(self._time, time.monotonic() - began)

        with suppress(zenoh.ZError):
            self._session.get(place, answered, timeout=PING_SECONDS_MAX)

    def _time(self, seconds: float) -> None:
        self._round_trip_ms = max(1, round(seconds * 1000))

    def _find_dialled(self) -> None:
        """On the thread: which peers are behind endpoints that we dialled."""
        own = {*self._settings.connect, *self._suggestions.tried}
        links: Any = self._session.info.links() if self._session is not None else ()
        self._dialled = {str(link.zid): str(link.dst) for link in links if str(link.dst) in own}

    async def _write(self, publisher: Any) -> None:
        loop = asyncio.get_running_loop()
        while True:
            wires = await self._queue.take(PACKETS_A_HOP)
            await loop.run_in_executor(self._thread, self._put_all, publisher, wires)
            self._queue.done()

    def _put_all(self, publisher: Any, wires: list[bytes]) -> None:
        """On the thread; a link that is full drops, for a slow peer must not hold up the others."""
        for wire in wires:
            self._sent += not isinstance(wire, Repeated)
            publisher.put(wire)

    def _settled(self) -> None:
        """Who is there has said so by now: whoever asks knows whom to ask."""
        if self._state != "stopped":
            self._state = "up"

    def _see(self, peer: str, is_there: bool) -> None:
        """Somebody came or went; who came hears what they may have missed."""
        if self._state == "stopped":
            return
        if not is_there:
            self._peers.pop(peer, None)
            return
        if len(self._peers) < PEERS_KNOWN_MAX:
            self._peers[peer] = None
        if self._thread is not None:
            self._thread.submit(self._find_dialled)
        self._greeter.somebody_came()


def _answer(query: Any) -> None:
    """On a thread of Zenoh's: somebody asks how far away we are."""
    query.reply(query.key_expr, b"")


def _config(settings: ZenohSettings, listening: Sequence[str], suggested: Sequence[str]) -> zenoh.Config:
    config: Any = zenoh.Config()
    has_multicast = bool(settings.interface)
    values: dict[str, object] = {
        "mode": "client" if settings.is_client else "peer",
        "listen/endpoints": listening,
        "connect/endpoints": [*settings.connect, *suggested],
        # As a peer Zenoh goes on trying by itself, and opening does not wait for it.
        "connect/timeout_ms": CLIENT_OPEN_MS_MAX if settings.is_client else -1,
        "connect/exit_on_failure": settings.is_client,
        "connect/retry": {
            "period_init_ms": RETRY_MS_FIRST,
            "period_max_ms": RETRY_MS_MAX,
            "period_increase_factor": 2,
        },
        "scouting/delay": 0,
        "transport/link/tx/queue/size/data": LINK_BATCHES,
        "transport/link/tx/queue/congestion_control/drop/wait_before_drop": WAIT_BEFORE_DROP_US,
        "scouting/multicast/enabled": has_multicast,
        "scouting/multicast/interface": settings.interface or "lo",
    }
    if settings.ca_file is not None:
        values["transport/link/tls/root_ca_certificate"] = str(settings.ca_file)
    for key, value in values.items():
        config.insert_json5(key, json.dumps(value))
    return config
