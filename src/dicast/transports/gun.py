"""Packets as values of a GunDB graph: a peer of any number of relays, and a relay for its own topic."""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from http import HTTPStatus

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import WebSocketException
from websockets.http11 import Request, Response

from dicast.base.errors import LocalProtocolError
from dicast.base.expiring import SeenIds
from dicast.base.limits import PACKET_BYTES_MAX
from dicast.ports import TransportHealth
from dicast.transports import gun_frames as frames
from dicast.transports import websocket_link as links
from dicast.transports.background import described, end_tasks, start_task
from dicast.transports.backoff import Backoff
from dicast.transports.dialling import Connect
from dicast.transports.gun_frames import Get, Hi, Put, Spoken
from dicast.transports.gun_memory import GunMemory
from dicast.transports.newcomers import SETTLE_SECONDS, Greeter, Recent, Repeated
from dicast.transports.websocket_link import Link
from dicast.transports.websocket_opening import url_of

FLUSH_SECONDS_MAX = 1.0  # what `stop` gives to packets on their way
LINKS_MAX = 64  # peers that may dial in; each holds at most a megabyte that waits
COPY_WINDOW_MS = 5_000  # a value with its time never comes twice but over two ways
COPIES_KNOWN_MAX = 32_768
KEYS_AN_ANSWER = 16  # of what somebody asked for: a megabyte at most


class GunSettings(msgspec.Struct, frozen=True):
    """`writer` names the node, the same at every start; `pages` lets browsers in where it listens."""

    writer: str
    peers: tuple[str, ...] = ()
    listen: tuple[str, int] | None = None
    pages: bool = False


class GunLink(Link):
    """A link to a peer of GunDB, which speaks text."""

    is_text = True


class GunTransport:
    """Every value goes to every link, and from each link on to the others; nothing is asked of relays."""

    payload_bytes_max = PACKET_BYTES_MAX

    def __init__(self, settings: GunSettings, name: str = "gun") -> None:
        self.name = name
        self.address = ""
        """Where it listens, once it does."""
        self._settings = settings
        self._own = secrets.token_hex(6)
        self._soul = self._writer = ""
        self._on_packet: Callable[[bytes], None] | None = None
        self._outbound: dict[Link, ClientConnection | None] = {}
        self._inbound: dict[Link, ServerConnection] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._waiting: deque[bytes] = deque(maxlen=links.LINK_PACKETS_MAX)
        self._recent = Recent()
        self._greeter = Greeter(self._recent, self._say)
        self._memory = GunMemory()
        self._copies = SeenIds(COPY_WINDOW_MS, COPIES_KNOWN_MAX)
        self._slots = itertools.count(random.randrange(frames.SLOTS))  # noqa: S311 (where a ring begins)
        self._written_at = 0.0
        self._settled: set[Link] = set()
        self._state = "new"
        self._problem = ""
        self._sent = self._received = self._dropped_before = 0

    async def start(self, topic: str, on_packet: Callable[[bytes], None]) -> None:
        """Begin to dial and to listen; returns at once."""
        if self._state != "new":
            return
        self._state, self._on_packet = "running", on_packet
        self._soul, self._writer = frames.soul_of(topic), frames.writer_of(topic, self._settings.writer)
        self._outbound = {
            GunLink(url, topic, self._take): None for url in dict.fromkeys(self._settings.peers)
        }
        self._tasks = [start_task(self._dial(link), f"gun {link.address}") for link in self._outbound]
        if self._settings.listen is not None:
            self._tasks.append(start_task(self._listen(*self._settings.listen), "gun"))
        while self._waiting:
            self.publish(self._waiting.popleft())

    def publish(self, wire: bytes) -> None:
        """Queue one packet for every link; never blocks. A relay that is down gets it once it is up."""
        if len(wire) > PACKET_BYTES_MAX:
            raise LocalProtocolError("not_a_packet", "Only packets of at most 64 KiB can be published.")
        if self._state == "new":
            self._waiting.append(wire)
        if self._state == "running":
            self._recent.add(wire)
            self._say(wire)

    def peers(self) -> Sequence[str]:
        """Relays dialled, and where those who dialled us come from."""
        return [] if self._state == "stopped" else [link.address for link in self._links()]

    def health(self) -> TransportHealth:
        """Whether it listens, how many links stand, and what is wrong with the others."""
        down = [
            f"{link.address}: {link.problem or 'connecting'}" for link in self._outbound if not link.is_up
        ]
        listening = [f"listening on {self.address}"] if self.address else []
        problems = [self._problem] if self._problem else []
        connections = (*self._outbound.values(), *self._inbound.values())
        trips = [one.latency for one in connections if one is not None and one.latency > 0]
        every = (*self._outbound, *self._inbound)
        return TransportHealth(
            state=self._state_now(),
            detail="; ".join([f"{sum(1 for _ in self._links())} links", *listening, *problems, *down]),
            sent=self._sent,
            received=self._received,
            dropped=self._dropped_before + sum(link.queue.dropped + link.garbage for link in every),
            round_trip_ms=round(min(trips) * 1000) if trips else None,
        )

    async def stop(self) -> None:
        """Give packets on their way a second, then close every link."""
        was_running, self._state = self._state == "running", "stopped"
        self._greeter.stop()
        if was_running:
            await asyncio.gather(*(link.queue.flush(FLUSH_SECONDS_MAX) for link in self._links()))
        tasks, self._tasks = self._tasks, []
        await end_tasks(*tasks)

    def _state_now(self) -> str:
        if self._state in ("new", "stopped"):
            return "starting" if self._state == "new" else "down"
        wanted = [link.is_up for link in self._outbound]
        if self._settings.listen is not None:
            wanted.append(bool(self.address))
        if all(wanted):  # whoever is there has answered by now: whoever asks knows whom to ask
            return "up" if self._settled.issuperset(self._outbound) else "starting"
        if any(wanted) or self._inbound:
            return "degraded"
        has_problem = self._problem or any(link.problem for link in self._outbound)
        return "down" if has_problem else "starting"

    def _links(self) -> Iterator[Link]:
        yield from (link for link in self._outbound if link.is_up)
        yield from self._inbound

    def _say(self, wire: bytes) -> None:
        """Tell every link."""
        put = self._written(wire)
        if put is not None:
            self._sent += not isinstance(wire, Repeated)
            self._pass_on([put], None)

    def _written(self, wire: bytes) -> Put | None:
        """A packet in the next slot of the ring: a relay holds as many packets of a node as it has slots."""
        try:
            return self._put(str(next(self._slots) % frames.SLOTS), wire.decode())
        except UnicodeDecodeError:  # no text, so no value: the other transports carry it
            self._dropped_before += 1
            return None

    def _put(self, slot: str, value: str) -> Put:
        self._written_at = max(self._written_at + 1, int(time.time() * 1000))
        return Put(secrets.token_hex(6), f"{self._writer}.{slot}", value, self._written_at)

    def _pass_on(self, puts: list[Put], via: Link | None) -> None:
        frame = frames.put_frame(self._soul, puts)
        for put in puts:
            self._copies.add(put.digest, _now_ms())
            self._memory.keep(put)
        for link in (*self._outbound, *self._inbound):
            if link is not via and (link.is_up or via is None):
                link.queue.put(frame)

    def _take(self, link: Link, frame: bytes) -> bool:
        """A frame of a link; False when it is nothing that a peer says."""
        spoken = frames.read_frame(frame, self._soul)
        if spoken is None or self._state != "running":
            return spoken is not None
        puts = [put for put in spoken if isinstance(put, Put)]
        for name in dict.fromkeys(put.message for put in puts):
            fresh = [put for put in puts if put.message == name and self._is_new(put)]
            if fresh:
                self._pass_on(fresh, link)
        for one in spoken:
            self._answer(link, one)
        return True

    def _is_new(self, put: Put) -> bool:
        """Whether the same did not come a moment ago; if so it is ours to hear."""
        if not self._copies.add(put.digest, _now_ms()):
            return False
        if put.is_hello:
            self._greeter.somebody_came()
        elif self._on_packet is not None:
            self._received += 1
            self._on_packet(put.value.encode())
        return True

    def _answer(self, link: Link, one: Spoken) -> None:
        match one:
            case Hi(message):
                link.queue.put(frames.hi_frame(secrets.token_hex(6), self._own, message))
            case Get(message, key):
                held = self._memory.under(key)
                if not held:
                    link.queue.put(frames.nothing_frame(secrets.token_hex(6), message))
                for start in range(0, len(held), KEYS_AN_ANSWER):
                    named = [
                        msgspec.structs.replace(put, message=secrets.token_hex(6))
                        for put in held[start : start + KEYS_AN_ANSWER]
                    ]
                    link.queue.put(frames.put_frame(self._soul, named, message))
            case Put():
                pass

    async def _dial(self, link: Link) -> None:
        """Keep one known relay connected."""
        backoff = Backoff()
        while True:
            try:
                connection = await self._connected(link)
                backoff.connected()
                self._outbound[link] = connection
                await self._run(link, connection)
            except (OSError, WebSocketException, EOFError, ValueError) as error:
                link.problem = described(error)
            finally:
                self._outbound[link] = None
            await asyncio.sleep(backoff.next_seconds())

    async def _run(self, link: Link, connection: Connection) -> None:
        """Greet whoever is behind a link, and carry frames until it ends."""
        link.queue.put(frames.hi_frame(secrets.token_hex(6), self._own))
        for put in (self._put(frames.HELLO, secrets.token_hex(4)), *map(self._written, self._recent.again())):
            if put is not None:  # to this link alone: coming and going must not make us talk to everybody
                link.queue.put(frames.put_frame(self._soul, [put]))
        await connection.ping()  # the answer says how long it took
        loop = asyncio.get_running_loop()
        settling = loop.call_later(SETTLE_SECONDS, self._settled.add, link)
        try:
            await link.run(connection)
        finally:
            settling.cancel()
            self._settled.discard(link)

    async def _connected(self, link: Link) -> ClientConnection:
        return await Connect(link.address, **links.dialled(frames.FRAME_BYTES_MAX))

    async def _listen(self, host: str, port: int) -> None:
        backoff = Backoff()
        while True:
            try:
                options = links.served(frames.FRAME_BYTES_MAX)
                async with serve(self._accept, host, port, process_request=self._check, **options) as server:
                    self._problem = ""
                    port_taken = next(iter(server.sockets)).getsockname()[1]
                    self.address = f"{url_of(host, port_taken)}/gun"
                    await asyncio.Future()
            except OSError as error:
                self._problem = described(error)
            finally:
                self.address = ""
                for connection in self._inbound.values():
                    connection.transport.abort()
            await asyncio.sleep(backoff.next_seconds())

    def _check(self, connection: ServerConnection, request: Request) -> Response | None:
        """Who may come in: no page of a browser unless that was asked for, and not too many."""
        if "Origin" in request.headers and not self._settings.pages:
            return connection.respond(HTTPStatus.FORBIDDEN, "Not for pages.\n")
        if len(self._inbound) >= LINKS_MAX or self._state != "running":
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "Full.\n")
        return None

    async def _accept(self, connection: ServerConnection) -> None:
        if len(self._inbound) >= LINKS_MAX:  # some came in at the same time
            return
        remote = connection.remote_address
        link = GunLink(f"{remote[0]}:{remote[1]}" if remote else "unknown", self._soul, self._take)
        self._inbound[link] = connection
        try:
            with suppress(OSError, WebSocketException, EOFError):
                await self._run(link, connection)
        finally:
            del self._inbound[link]
            self._dropped_before += link.queue.dropped + link.garbage


def _now_ms() -> int:
    return int(time.monotonic() * 1000)
