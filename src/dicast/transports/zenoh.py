"""Packets between Zenoh peers: a LAN finds itself by multicast, others by a known peer or router."""

from __future__ import annotations

import asyncio
import json
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

FLUSH_SECONDS_MAX = 1.0  # what `stop` gives to packets on their way
CLOSE_SECONDS_MAX = 1.0  # closing says goodbye to every peer
PACKETS_A_HOP = 64  # handed to the writing thread together: a hop to it costs 50 us, a packet 10
LINK_BATCHES = 8  # of 64 KiB each that wait on one link: a burst to a peer that is busy for a moment
WAIT_BEFORE_DROP_US = 50_000  # for a link that is full, on the writing thread, once; then drops at once
RETRY_MS_FIRST = 200  # a router that was restarted is back at once
RETRY_MS_MAX = 1_000  # Zenoh's own cap of 4 s would be longer than a round takes
CLIENT_OPEN_MS_MAX = 5_000  # a client has no session without its router: opening waits, on the thread
PEERS_KNOWN_MAX = 1024  # tokens remembered: as many peers as a node keeps


class ZenohSettings(msgspec.Struct, frozen=True):
    """Endpoints such as `tcp/192.0.2.1:7447`; multicast looks for peers on `interface`, "" for nowhere.

    A node that listens nowhere and connects somewhere is a client: all it says goes through that router.
    `ca_file` vouches for the certificates of `tls/` endpoints, in place of the usual authorities.
    """

    listen: tuple[str, ...] = ("tcp/127.0.0.1:0",)
    connect: tuple[str, ...] = ()
    interface: str = ""
    ca_file: Path | None = None

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
        """Zenoh ids of the nodes on the topic."""
        return list(self._peers)

    def health(self) -> TransportHealth:
        """Whether the session stands, and how many are on the topic."""
        received, dropped = (0, 0) if self._inlet is None else (self._inlet.received, self._inlet.dropped)
        return TransportHealth(
            state="down" if self._state == "stopped" else self._state,
            detail=self._problem or f"{len(self._peers)} peers",
            sent=self._sent,
            received=received,
            dropped=self._queue.dropped + dropped,
        )

    async def stop(self) -> None:
        """Give what is queued a second, then close the session."""
        self._state = "stopped"
        if self._is_open:
            await self._queue.flush(FLUSH_SECONDS_MAX)
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
                    await self._write(publisher)
                finally:
                    settling.cancel()
            except (zenoh.ZError, OSError, ValueError, RuntimeError) as error:
                self._problem = described(error)
            self._is_open, self._state = False, "down"
            await loop.run_in_executor(self._thread, self._close)
            await asyncio.sleep(backoff.next_seconds())

    def _open(self, key: str, inlet: Inlet, loop: asyncio.AbstractEventLoop) -> Any:
        """On the thread: a session, who is there, what they say, and a token that says that we are there."""
        session: Any = zenoh.open(_config(self._settings))
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
        self._token = session.liveliness().declare_token(own)
        return publisher

    def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with suppress(zenoh.ZError):
                session.close()

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
        self._greeter.somebody_came()


def _config(settings: ZenohSettings) -> zenoh.Config:
    config: Any = zenoh.Config()
    has_multicast = bool(settings.interface)
    values: dict[str, object] = {
        "mode": "client" if settings.is_client else "peer",
        "listen/endpoints": settings.listen,
        "connect/endpoints": settings.connect,
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
