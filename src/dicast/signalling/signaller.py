"""A signaller: clients by WebSocket, other signallers by Zenoh, documents and introductions between them."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import assert_never

import httpx
import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

from dicast.base.errors import AdapterError, ConfigurationError, RemoteProtocolError
from dicast.queries.document import Document, document_topic, read_document
from dicast.queries.subscriptions import Delivery, Subscriptions
from dicast.signalling import frames
from dicast.signalling.access import Access
from dicast.signalling.member import Member
from dicast.signalling.pool import LINKS_DIALLED, Pool
from dicast.signalling.settings import (
    SignalSettings,
    check_settings,
    check_url,
    host_of,
    is_endpoint,
    origin_of,
    place,
)
from dicast.transports.background import described

CLIENTS_MAX = 1_000
"""Under the subscribers' bound; file descriptors are commonly limited to 1,024 or more."""
FRAMES_AHEAD_MAX = 8
HEARTBEAT_SECONDS = 10.0
"""A client that vanished is noticed within two of these."""
OPEN_SECONDS_MAX = 10.0
CLOSE_SECONDS_MAX = 0.5
ASK_SECONDS_MAX = 3.0
"""For a signaller that was named to say where its mesh is."""
POOL_BYTES_MAX = 256 * 1024
"""256 members at 500 bytes, and half as much again."""
PEERS_TOLD_MAX = 16
"""Pages named to one that asks; it links to six."""
PEERS_A_CARD_MAX = 8
BACKLOG_PERIOD_MS = 2_000
"""A signaller that comes gets the backlog once; one that asks again sooner gets nothing."""

LOGGER = logging.getLogger("dicast.signalling")  # the library logs a traceback for each port scan
LOGGER.addHandler(logging.NullHandler())
LOGGER.propagate = False
_CHOICE = secrets.SystemRandom()


class PoolView(msgspec.Struct, frozen=True):
    """What `/pool` says: this signaller's port for others, and the members that it knows."""

    id: str
    mesh_port: int
    members: tuple[frames.Card, ...] = ()


class Signaller:
    """Serves until it is stopped. `url` is where clients reach it, once it is started."""

    def __init__(self, settings: SignalSettings) -> None:
        check_settings(settings)
        self.url = ""
        self._settings = settings
        self.topic = document_topic(settings.network)
        self.pool = Pool(f"dicast/signal/{self.topic}", settings.mesh, settings.key, self._hear)
        self.subscriptions = Subscriptions()
        self._members: dict[int, Member] = {}
        self._count = 0
        self._access = Access(settings, self._pool_view, lambda: len(self._members) >= CLIENTS_MAX)
        self._server: Server | None = None
        self._answered_ms: dict[str, int] = {}
        self._told: list[str] = []

    async def start(self) -> None:
        """Listen, then find the others. Raises AdapterError when the port cannot be had."""
        host, port = self._settings.listen
        try:
            self._server = await self._serve(host, port)
        except OSError as error:
            raise AdapterError(
                "signal_port",
                f"The signaller cannot listen on {place(host, port)}: {described(error)}.",
                "Choose another --listen, or port 0 for any free one.",
            ) from error
        bound = next(iter(self._server.sockets)).getsockname()[1]
        self.url = self._settings.announce and check_url(self._settings.announce)
        self.url = self.url or f"ws://{place(host, bound)}"
        self._access.allow_pages_of(self.url)
        await self.pool.start(self._find, self._look)

    async def stop(self) -> None:
        """Close every link."""
        await self.pool.stop()
        server, self._server = self._server, None
        if server is not None:
            server.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(2 * CLOSE_SECONDS_MAX):
                    await server.wait_closed()

    def addresses(self) -> list[str]:
        """Where clients reach this signaller, and the others that it knows."""
        return [self.url, *sorted(card.url for card in self.pool.members(_now_ms()) if card.url)]

    async def _serve(self, host: str, port: int) -> Server:
        return await serve(
            self._accept,
            host,
            port,
            process_request=self._access.check,
            subprotocols=[Subprotocol(frames.SUBPROTOCOL)],
            select_subprotocol=_choose,
            compression=None,
            max_size=frames.FRAME_BYTES_MAX,
            max_queue=FRAMES_AHEAD_MAX,
            open_timeout=OPEN_SECONDS_MAX,
            close_timeout=CLOSE_SECONDS_MAX,
            ping_interval=HEARTBEAT_SECONDS,
            ping_timeout=HEARTBEAT_SECONDS,
            server_header="dicast",
            logger=LOGGER,
        )

    async def _accept(self, connection: ServerConnection) -> None:
        self._count += 1
        member = Member(self._count, self._answer)
        is_full = len(self._members) >= CLIENTS_MAX  # some came in at the same time
        subscriber = None if is_full else self.subscriptions.join(member.wake)
        if subscriber is None:
            return
        member.subscriber = subscriber
        member.catch_up = lambda name: self.subscriptions.catch_up(subscriber, name, _now_ms())
        self._members[member.number] = member
        member.say(
            frames.say(
                "welcome",
                address=self._address(member),
                topic=self.topic,
                signallers=self.addresses(),
                ice=self._settings.stun,
            )
        )
        try:
            await member.run(connection)
        finally:
            del self._members[member.number]
            self.subscriptions.leave(subscriber)

    def _answer(self, member: Member, call: frames.Call) -> None:
        """What a client asks of the signaller itself. Raises RemoteProtocolError."""
        match call:
            case frames.Publish():
                document = self._offer(bytes(call.event))
                member.say(frames.say("published", id=document.id))
            case frames.Want():
                found = [self.subscriptions.find(name) for name in call.ids]
                for one in found:
                    if one is not None:
                        member.deliver(Delivery(one, ("",), ()))
            case frames.Introduce():
                self._introduce(member, call)
            case frames.Peers() | frames.Hello():
                member.say(frames.say("peers", peers=self._peers(member)))
            case frames.Subscribe() | frames.Unsubscribe():
                raise AssertionError("a member answers these itself")
            case _:
                assert_never(call)

    def _offer(self, wire: bytes) -> Document:
        """A client's document: to its own clients, and to every other signaller."""
        document = read_document(wire, self.topic, int(time.time() * 1000))
        if self.subscriptions.offer(document, _now_ms()):
            self.pool.send(b"D" + document.wire)
        return document

    def _introduce(self, member: Member, call: frames.Introduce) -> None:
        signaller, _, number = call.to.partition(".")
        name = member.hello.name if member.hello is not None else ""
        handed = frames.Handed(int(number), self._address(member), name, call.body)
        if signaller == self.pool.id:
            self._hand(handed)
        else:
            self.pool.send(b"I" + msgspec.json.encode(handed), signaller)

    def _hand(self, handed: frames.Handed) -> None:
        member = self._members.get(handed.client)
        if member is not None:
            introduction = {"from": handed.sender, "name": handed.name, "body": handed.body}
            member.say(frames.say("introduction", **introduction))

    def _peers(self, member: Member) -> list[frames.Peer]:
        """Some pages to be introduced to, of this signaller and of others."""
        own = [peer for peer in self._own_peers() if peer.address != self._address(member)]
        others = [peer for card in self.pool.members(_now_ms()) for peer in card.peers]
        every = own + others
        return _CHOICE.sample(every, min(PEERS_TOLD_MAX, len(every)))

    def _own_peers(self) -> list[frames.Peer]:
        return [
            frames.Peer(self._address(member), member.hello.name, member.hello.uplink_kbps)
            for member in self._members.values()
            if member.hello is not None
        ]

    def _address(self, member: Member) -> str:
        return f"{self.pool.id}.{member.number}"

    def _look(self) -> None:
        """Say who we are, and tell clients whom they could turn to."""
        self._say_card()
        addresses = self.addresses()
        if addresses != self._told:
            self._told = addresses
            for member in self._members.values():
                member.say(frames.say("signallers", signallers=addresses))

    def _say_card(self) -> None:
        self.pool.send(b"C" + msgspec.json.encode(self._card()))

    def _card(self) -> frames.Card:
        own = self._own_peers()
        chosen = tuple(_CHOICE.sample(own, min(PEERS_A_CARD_MAX, len(own))))
        host = host_of(self.url) if self._settings.announce else self._settings.mesh[0]
        mesh = f"tcp/{place(host, self.pool.port)}"
        return frames.Card(self.pool.id, self.url, mesh, len(self._members), chosen)

    def _pool_view(self) -> bytes:
        members = tuple(self.pool.members(_now_ms()))
        return msgspec.json.encode(PoolView(self.pool.id, self.pool.port, members))

    def _hear(self, message: bytes) -> None:
        """A message of another signaller: a document, an introduction, a card, a wish for the backlog."""
        kind, rest = message[:1], message[1:]
        if kind == b"D":
            self._hear_document(rest)
        elif kind == b"I" and (handed := frames.read_handed(rest)) is not None:
            self._hand(handed)
        elif kind == b"C" and (card := frames.read_card(rest)) is not None:
            self._meet(card)
        elif kind == b"B":
            self._say_backlog(rest)

    def _hear_document(self, wire: bytes) -> None:
        with suppress(RemoteProtocolError):
            document = read_document(wire, self.topic, int(time.time() * 1000))
            self.subscriptions.offer(document, _now_ms())

    def _meet(self, card: frames.Card) -> None:
        try:
            url = check_url(card.url)
        except ConfigurationError:
            return
        if card.id != self.pool.id and self.pool.met(card, _now_ms()):
            self._access.allow_pages_of(url)
            self._look()  # first: only to those whom it knows does the other say its backlog
            self.pool.send(b"B" + self.pool.id.encode(), card.id)

    def _say_backlog(self, asker: bytes) -> None:
        """What went by lately, to a signaller that came; known documents are dropped there by id."""
        name, now_ms = asker.decode("ascii", "replace"), _now_ms()
        known = {card.id for card in self.pool.members(now_ms)}
        if name not in known or now_ms - self._answered_ms.get(name, -BACKLOG_PERIOD_MS) < BACKLOG_PERIOD_MS:
            return
        self._answered_ms = {one: at for one, at in self._answered_ms.items() if one in known}
        self._answered_ms[name] = now_ms
        for document in self.subscriptions.backlog(now_ms):
            self.pool.send(b"D" + document.wire, name)
        self.pool.send(b"B" + self.pool.id.encode(), name)  # after a cut both sides missed something

    async def _find(self) -> list[str]:
        """Endpoints to dial: the signallers that were named, and a few that they or we know."""
        views = await asyncio.gather(*(self._ask(check_url(url)) for url in self._settings.join))
        named = [endpoint for endpoint, _ in views if endpoint]
        known = {card.mesh for _, members in views for card in members}
        known |= set(self.pool.dialable())
        others = sorted(known - set(named) - {self._card().mesh})
        others = [one for one in others if is_endpoint(one)]  # one that Zenoh cannot read would stop it
        return named + _CHOICE.sample(others, min(LINKS_DIALLED, len(others)))

    async def _ask(self, url: str) -> tuple[str, tuple[frames.Card, ...]]:
        """Where the mesh of a signaller is, and whom it knows; nothing when it does not answer."""
        host = httpx.URL(origin_of(url)).host
        headers = {"Authorization": f"Bearer {self._settings.key}"} if self._settings.key else {}
        path = url.partition("://")[2].partition("/")[2]
        target = "/".join([origin_of(url), *([path] if path else []), "pool"])
        try:
            async with asyncio.timeout(ASK_SECONDS_MAX):
                view = msgspec.json.decode(await _fetched(target, headers), type=PoolView)
        except (httpx.HTTPError, msgspec.MsgspecError, UnicodeError, TimeoutError):
            return "", ()
        endpoint = f"tcp/{place(host, view.mesh_port)}"
        return (endpoint if is_endpoint(endpoint) else ""), view.members


async def run_signaller(
    settings: SignalSettings, stop: asyncio.Event, ready: Callable[[Signaller], None]
) -> None:
    """Serve until `stop` is set; `ready` is called once clients are taken."""
    signaller = Signaller(settings)
    try:
        await signaller.start()
        ready(signaller)
        await stop.wait()
    finally:
        await signaller.stop()


async def _fetched(url: str, headers: dict[str, str]) -> bytes:
    """What a page says, as far as it is wanted: whoever answers may never come to an end."""
    taken = bytearray()
    async with (
        httpx.AsyncClient(timeout=ASK_SECONDS_MAX, trust_env=False) as client,
        client.stream("GET", url, headers=headers) as answer,
    ):
        async for piece in answer.aiter_raw():
            taken += piece
            if len(taken) > POOL_BYTES_MAX:
                break
    return bytes(taken[:POOL_BYTES_MAX])


def _choose(connection: ServerConnection, offered: object) -> Subprotocol | None:
    """Our own where it is offered; a program that offers none is taken, too."""
    del connection
    wanted = Subprotocol(frames.SUBPROTOCOL)
    return wanted if isinstance(offered, list | tuple) and wanted in offered else None


def _now_ms() -> int:
    return int(time.monotonic() * 1000)
