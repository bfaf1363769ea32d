"""A mesh of WebSockets between nodes that know an address: every packet floods, once over each node."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import secrets
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.http11 import Request, Response

from dicast.base.errors import LocalProtocolError
from dicast.base.expiring import SeenIds
from dicast.base.limits import PACKET_BYTES_MAX
from dicast.ports import TransportHealth
from dicast.protocol.messages import Kind
from dicast.transports import websocket_link as links
from dicast.transports import websocket_opening as opening
from dicast.transports.background import described, end_tasks, start_task
from dicast.transports.backoff import Backoff
from dicast.transports.dialling import Connect
from dicast.transports.newcomers import Recent, head_of
from dicast.transports.websocket_hearsay import HEARSAY_LINKS_MAX, Hearsay
from dicast.transports.websocket_link import HOPS_MAX, Link

FLUSH_SECONDS_MAX = 1.0  # what `stop` gives to packets on their way
COPY_WINDOW_MS = 450  # kept for one to two of these: a repetition comes after a second, and must get through
COPIES_KNOWN_MAX = 32_768  # about 6 MB; when full, copies pass, and hops end them
NODE_HEADER, ADDRESS_HEADER = "Dicast-Node", "Dicast-Address"
_FOLLOWING = "websocket hearsay"


class MeshSettings(msgspec.Struct, frozen=True):
    """`listen` is host and port, or None; `announce` is the address that others can reach it by."""

    listen: tuple[str, int] | None = None
    announce: str = ""
    peers: tuple[str, ...] = ()
    is_hub: bool = False
    links_max: int = 64


Pages = Callable[[str, str], Awaitable[tuple[int, dict[str, str], bytes] | None]]
"""(path behind the topic, Range) -> status, headers and body of a page; None where there is none."""


class WebSocketTransport:
    """A node of the mesh. A hub carries every topic and takes browsers; others only their own topic."""

    payload_bytes_max = PACKET_BYTES_MAX

    def __init__(self, settings: MeshSettings, name: str = "websocket", pages: Pages | None = None) -> None:
        self.name = name
        self._pages = pages
        self.address = ""
        """Where it listens, once it does."""
        self._settings = settings
        self._node = secrets.token_hex(8)
        self._topic = ""
        self._on_packet: Callable[[bytes], None] | None = None
        self._outbound: list[Link] = []
        self._inbound: dict[Link, ServerConnection] = {}
        self._found: list[Link] = []
        self._hearsay = Hearsay(with_loopback=_stays_here(settings))
        self._heard = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._waiting: deque[bytes] = deque(maxlen=links.LINK_PACKETS_MAX)
        self._recent = Recent()
        self._copies = SeenIds(COPY_WINDOW_MS, COPIES_KNOWN_MAX)
        self._state = "new"
        self._problem = ""
        self._received = 0
        self._sent_before = 0
        self._dropped_before = 0

    async def start(self, topic: str, on_packet: Callable[[bytes], None]) -> None:
        """Begin to listen and to dial; returns at once."""
        if self._state != "new":
            return
        self._state, self._topic, self._on_packet = "running", topic, on_packet
        self._outbound = [Link(url, topic, self._take) for url in dict.fromkeys(self._settings.peers)]
        self._tasks = [start_task(self._dial(link), f"websocket {link.address}") for link in self._outbound]
        if self._settings.listen is not None:
            self._tasks.append(start_task(self._listen(*self._settings.listen), "websocket"))
        if len(self._hearsay):
            self._follow_hearsay()
        while self._waiting:
            self.publish(self._waiting.popleft())

    def publish(self, wire: bytes) -> None:
        """Queue one packet for every link; never blocks. A dialled link that is down gets it once up."""
        if len(wire) > PACKET_BYTES_MAX:
            raise LocalProtocolError("not_a_packet", "Only packets of at most 64 KiB can be published.")
        if self._state == "new":
            self._waiting.append(wire)
        if self._state != "running":
            return
        self._recent.add(wire)
        self._is_copy(self._topic, wire)
        frame = bytes([HOPS_MAX]) + wire
        for link in (*self._outbound, *self._inbound, *self._found):
            if link.topic == self._topic:
                link.queue.put(frame)

    def addresses(self) -> Sequence[str]:
        """The address to tell others: the announced one, or where it listens if that names one machine."""
        if self._settings.announce:
            return [self._settings.announce]
        listen = self._settings.listen
        is_one = listen is not None and not ipaddress.ip_address(listen[0]).is_unspecified
        return [self.address] if self.address and is_one else []

    def suggest(self, address: str) -> None:
        """Somebody may be there: dialled when there is room, forgotten when nobody is. Never raises."""
        own = (self.address, self._settings.announce, *self._settings.peers)
        if self._state != "stopped" and address not in own and self._hearsay.add(address):
            self._heard.set()
            if self._state == "running":
                self._follow_hearsay()

    def peers(self) -> Sequence[str]:
        """Addresses dialled, and addresses that those who dialled us gave or have."""
        return [link.address for link in self._links()]

    def health(self) -> TransportHealth:
        """Whether it listens, how many links stand, and what is wrong with the others."""
        down = [
            f"{link.address}: {link.problem or 'connecting'}" for link in self._outbound if not link.is_up
        ]
        listening = [f"listening on {self.address}"] if self.address else []
        problems = [self._problem] if self._problem else []
        every = (*self._outbound, *self._inbound, *self._found)
        trips = [trip for link in self._links() if (trip := link.round_trip_ms) is not None]
        return TransportHealth(
            state=self._state_now(),
            detail="; ".join([f"{sum(1 for _ in self._links())} links", *listening, *problems, *down]),
            sent=self._sent_before + sum(link.sent for link in every),
            received=self._received,
            dropped=self._dropped_before + sum(link.queue.dropped + link.garbage for link in every),
            round_trip_ms=min(trips, default=None),
        )

    async def stop(self) -> None:
        """Give packets on their way a second, then close every link."""
        was_running, self._state = self._state == "running", "stopped"
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
        if not wanted and not any(self._links()):
            return "starting"
        if all(wanted):
            return "up"
        if any(wanted) or any(self._links()):
            return "degraded"
        has_problem = self._problem or any(link.problem for link in self._outbound)
        return "down" if has_problem else "starting"

    def _links(self) -> Iterator[Link]:
        yield from (link for link in self._outbound if link.is_up)
        yield from (link for link in self._found if link.is_up)
        yield from self._inbound

    async def _dial(self, link: Link) -> None:
        """Keep one known address connected."""
        backoff = Backoff()
        while True:
            try:
                connection = await self._connected(link)
                backoff.connected()
                self._welcome(link)
                await link.run(connection)
            except InvalidStatus as error:
                link.problem = opening.refusal(error)
            except (OSError, WebSocketException, EOFError, ValueError) as error:
                link.problem = described(error)
            await asyncio.sleep(backoff.next_seconds())

    def _follow_hearsay(self) -> None:
        """Start to dial what was suggested, if that is not going on."""
        if not any(task.get_name() == _FOLLOWING for task in self._tasks):
            self._tasks += [start_task(self._follow(), _FOLLOWING) for _ in range(HEARSAY_LINKS_MAX)]

    async def _follow(self) -> None:
        """One suggested address after another: a link for as long as it stands."""
        while True:
            self._heard.clear()
            address = self._hearsay.take(link.address for link in self._links())
            if address is None:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._heard.wait(), self._hearsay.next_seconds())
                continue
            await self._try(address)

    async def _try(self, address: str) -> None:
        link, for_good = Link(address, self._topic, self._take), False
        self._found.append(link)
        try:
            connection = await self._connected(link, await self._checked_host(address))
            self._welcome(link)
            await link.run(connection)
        except InvalidStatus as error:
            for_good = error.response.status_code != HTTPStatus.SERVICE_UNAVAILABLE
        except (OSError, WebSocketException, EOFError, ValueError):
            pass  # hearsay: nobody is there
        finally:
            self._found.remove(link)
            self._sent_before += link.sent
            self._dropped_before += link.queue.dropped + link.garbage
            if link.was_up and not link.is_rude:
                self._hearsay.ended(address)
            else:
                self._hearsay.failed(address, for_good=for_good or link.is_rude)

    async def _checked_host(self, address: str) -> str:
        """The IP address behind a suggested one; a name must not lead where a number may not."""
        parts = urlsplit(address)
        async with asyncio.timeout(links.OPEN_SECONDS_MAX):
            found = await asyncio.get_running_loop().getaddrinfo(
                parts.hostname, parts.port, type=socket.SOCK_STREAM
            )
        host = str(found[0][4][0]).partition("%")[0]
        if not self._hearsay.resolved(address, ipaddress.ip_address(host)):
            raise ValueError(f"{host} is not for hearsay")
        return host

    async def _connected(self, link: Link, host: str = "") -> ClientConnection:
        options = links.dialled(links.FRAME_BYTES_MAX)
        if host:
            options["host"] = host
        return await Connect(
            f"{link.address.rstrip('/')}/{link.topic}",
            additional_headers={NODE_HEADER: self._node, ADDRESS_HEADER: self._settings.announce},
            **options,
        )

    async def _listen(self, host: str, port: int) -> None:
        backoff = Backoff()
        while True:
            try:
                server = await self._served(host, port)
            except OSError as error:
                self._problem = described(error)
                await asyncio.sleep(backoff.next_seconds())
                continue
            try:
                self._problem = ""
                self.address = opening.url_of(host, next(iter(server.sockets)).getsockname()[1])
                await server.wait_closed()
            finally:
                self.address = ""
                await self._close(server)

    async def _close(self, server: Server) -> None:
        server.close()
        try:
            async with asyncio.timeout(2 * links.CLOSE_SECONDS_MAX):
                await server.wait_closed()
        except TimeoutError:
            for connection in self._inbound.values():
                connection.transport.abort()

    async def _served(self, host: str, port: int) -> Server:
        options = links.served(links.FRAME_BYTES_MAX)
        return await serve(self._accept, host, port, process_request=self._answer, **options)

    async def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """A page for those who ask for one on our own topic; a link, or a refusal, for the others."""
        _, is_ours, place = request.path.partition(f"/{self._topic}/")
        if is_ours and self._pages is not None and self._state == "running":
            asked_range = (request.headers.get_all("Range") or [""])[0]
            page = await self._pages("/" + place, asked_range)
            return opening.page_of(*page) if page is not None else self._check(connection, request)
        return self._check(connection, request)

    def _check(self, connection: ServerConnection, request: Request) -> Response | None:
        """Who may come in: only our topic unless we are a hub, no page of a browser, not ourselves."""
        topic = opening.topic_of(request)
        if not topic or (topic != self._topic and not self._settings.is_hub):
            return connection.respond(HTTPStatus.NOT_FOUND, "No such topic here.\n")
        if "Origin" in request.headers and not self._settings.is_hub:
            return connection.respond(HTTPStatus.FORBIDDEN, "Not for pages.\n")
        if opening.header(request, NODE_HEADER) == self._node:
            return connection.respond(HTTPStatus.CONFLICT, "This is you.\n")
        if len(self._inbound) >= self._settings.links_max or self._state != "running":
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "Full.\n")
        return None

    async def _accept(self, connection: ServerConnection) -> None:
        request = connection.request
        assert request is not None, "the opening is over"
        if len(self._inbound) >= self._settings.links_max:  # some came in at the same time
            return
        address = opening.header(request, ADDRESS_HEADER) or opening.remote_of(connection)
        link = Link(address, opening.topic_of(request), self._take)
        self._welcome(link)
        self._inbound[link] = connection
        try:
            await link.run(connection)
        finally:
            del self._inbound[link]
            self._sent_before += link.sent
            self._dropped_before += link.queue.dropped + link.garbage

    def _welcome(self, link: Link) -> None:
        """Say to a new link what it may have missed: our own latest words, and everybody's announcements."""
        if link.topic == self._topic:
            for wire in self._recent.again():
                link.queue.put(bytes([HOPS_MAX]) + wire)
        for other in self._links():
            if other.topic == link.topic and other is not link:
                for frame in other.announcements.all():
                    link.queue.put(frame)

    def _take(self, link: Link, frame: bytes) -> bool:
        """A frame of a link: ours to hear and to pass on, unless it went through a moment ago."""
        hops, wire = min(frame[0], HOPS_MAX) if frame else 0, frame[1:]
        if not hops:
            return False
        if self._is_copy(link.topic, wire):
            return True
        head = head_of(wire)
        if head is None:
            return False
        passed_on = bytes([hops - 1]) + wire
        if head.kind == Kind.ANNOUNCEMENT and hops > 1:
            link.announcements.remember(head.pubkey, passed_on)
        if hops > 1:
            for other in self._links():
                if other.topic == link.topic and other is not link:
                    other.queue.put(passed_on)
        if link.topic == self._topic and self._state == "running" and self._on_packet is not None:
            self._received += 1
            self._on_packet(wire)
        return True

    def _is_copy(self, topic: str, wire: bytes) -> bool:
        """Whether the same bytes went through a moment ago; a forged copy differs, and shadows nothing."""
        digest = hashlib.sha256(topic.encode() + wire).digest()
        return not self._copies.add(digest, int(time.monotonic() * 1000))


def _stays_here(settings: MeshSettings) -> bool:
    """Whether it listens on this machine only: then those whom it may find are on this machine too."""
    return settings.listen is not None and ipaddress.ip_address(settings.listen[0]).is_loopback
