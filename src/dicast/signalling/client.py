"""A program at a signaller: publishes, follows queries, turns to another signaller when one dies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from dicast.base.errors import AdapterError, ConfigurationError, RemoteProtocolError
from dicast.base.expiring import SeenIds
from dicast.queries.document import (
    DOCUMENT_AGE_MS_MAX,
    DOCUMENT_AHEAD_MS_MAX,
    Document,
    document_topic,
    read_document,
)
from dicast.queries.language import parse_query
from dicast.queries.matching import matches
from dicast.queries.subscriptions import SEEN_MAX
from dicast.signalling import frames
from dicast.signalling.settings import check_url
from dicast.transports.background import described
from dicast.transports.backoff import Backoff
from dicast.transports.dialling import Connect

ANSWER_SECONDS_MAX = 10.0
"""For a signaller to take one document, or the connection; it reads many at its pace."""
SIGNALLERS_MAX = 32
"""Addresses kept to turn to."""
TRIES_MAX = 3
"""Rounds through every address before publishing fails."""
CLOSE_SECONDS_MAX = 0.5
HEARTBEAT_SECONDS = 10.0


class Frame(msgspec.Struct, frozen=True):
    """What a signaller says, as far as a program reads it."""

    kind: str = msgspec.field(name="is", default="")
    event: msgspec.Raw = msgspec.Raw(b"")
    code: str = ""
    message: str = ""
    id: str = ""
    signallers: tuple[str, ...] = ()


class Signallers:
    """The addresses to turn to: those that were named, then those that signallers told of."""

    def __init__(self, urls: Sequence[str], key: str = "") -> None:
        self._named = list(dict.fromkeys(map(check_url, urls)))
        self._told: list[str] = []
        self._key = key
        self.problem = ""

    def addresses(self) -> list[str]:
        """In the order in which to try them."""
        return list(dict.fromkeys(self._named + self._told))

    def hear(self, frame: Frame) -> None:
        """Keep what a signaller says of others; its word is only a hint."""
        told: list[str] = []
        if not frame.signallers:
            return
        for url in frame.signallers:
            try:
                told.append(check_url(url))
            except ConfigurationError:
                continue
        self._told = told[:SIGNALLERS_MAX]

    def open(self, url: str) -> Connect:
        """A connection to be."""
        return Connect(
            url,
            subprotocols=[Subprotocol(frames.SUBPROTOCOL)],
            additional_headers={"Authorization": f"Bearer {self._key}"} if self._key else None,
            compression=None,
            max_size=2 * frames.FRAME_BYTES_MAX,
            open_timeout=ANSWER_SECONDS_MAX,
            close_timeout=CLOSE_SECONDS_MAX,
            ping_interval=HEARTBEAT_SECONDS,
            ping_timeout=HEARTBEAT_SECONDS,
            user_agent_header="dicast",
            proxy=None,
        )

    def failed(self, url: str, error: BaseException) -> None:
        """Remember why; raises ConfigurationError where another try cannot help."""
        self.problem = f"{url}: {described(error)}"
        if isinstance(error, InvalidStatus) and error.response.status_code == 401:
            raise ConfigurationError(
                "signal_key", f"{url} wants another key.", "Name a file that holds it: --key-file FILE."
            ) from error


FAILURES = (OSError, WebSocketException, EOFError, TimeoutError)


async def publish(signallers: Signallers, documents: Sequence[Document]) -> None:
    """Have each taken by a signaller. Raises AdapterError, or RemoteProtocolError for one that is refused."""
    waiting = list(documents)
    backoff = Backoff()
    for attempt in range(TRIES_MAX):
        for url in signallers.addresses():
            await _publish_at(url, signallers, waiting)
        if not waiting:
            return
        if attempt < TRIES_MAX - 1:
            await asyncio.sleep(backoff.next_seconds())
    raise nobody(signallers)


async def _publish_at(url: str, signallers: Signallers, waiting: list[Document]) -> None:
    """What this signaller takes leaves `waiting`."""
    if not waiting:
        return
    try:
        async with signallers.open(url) as connection:
            await _publish_on(connection, signallers, waiting)
    except FAILURES as error:
        signallers.failed(url, error)


async def _publish_on(connection: ClientConnection, signallers: Signallers, waiting: list[Document]) -> None:
    """One after the other; what is taken leaves `waiting`."""
    while waiting:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            await _publish_one(connection, signallers, waiting[0])
        del waiting[0]


async def _publish_one(connection: ClientConnection, signallers: Signallers, document: Document) -> None:
    await connection.send(b'{"do":"publish","event":%b}' % document.wire, text=True)
    while True:
        frame = _read(await connection.recv(decode=False))
        if frame.kind == "refused":
            raise RemoteProtocolError(frame.code, frame.message)
        signallers.hear(frame)
        if frame.kind == "published" and frame.id == document.id:
            return


async def subscribe(
    signallers: Signallers,
    query: bytes,
    network: str,
    backlog: bool = False,
    on_ready: Callable[[], None] = lambda: None,
) -> AsyncGenerator[Document]:
    """Documents that match, each once, for as long as the caller likes. Raises QueryError for a wrong query.

    While no signaller answers it goes on trying; after the first connection it asks each later one for what
    went by meanwhile. Raises AdapterError when none answered at the start.
    """
    asked = Followed(query, network, backlog, on_ready)
    backoff = Backoff()
    while True:
        async with aclosing(asked.around(signallers)) as found:
            async for document in found:
                yield document
        if not asked.is_ready:
            raise nobody(signallers)
        await asyncio.sleep(backoff.next_seconds())


class Followed:
    """One query over several connections: what was seen, and since when."""

    def __init__(self, query: bytes, network: str, backlog: bool, on_ready: Callable[[], None]) -> None:
        self.is_ready = False
        """Whether a signaller said that the backlog is over."""
        self._on_ready = on_ready
        self._test = parse_query(query)
        self._topic = document_topic(network)
        self._frame = b'{"do":"subscribe","id":"q","backlog":true,"query":%b}' % query
        self._since = 0 if backlog else int(time.time())
        self._seen = SeenIds(DOCUMENT_AGE_MS_MAX + DOCUMENT_AHEAD_MS_MAX, SEEN_MAX)

    async def around(self, signallers: Signallers) -> AsyncGenerator[Document]:
        """Documents from one signaller after the other, each as long as it lives."""
        for url in signallers.addresses():
            async with aclosing(self.at(url, signallers)) as found:
                async for document in found:
                    yield document

    async def at(self, url: str, signallers: Signallers) -> AsyncGenerator[Document]:
        """Documents from one signaller until the connection ends."""
        try:
            async with (
                signallers.open(url) as connection,
                aclosing(self._on(connection, signallers)) as found,
            ):
                async for document in found:
                    yield document
        except FAILURES as error:
            signallers.failed(url, error)

    async def _on(self, connection: ClientConnection, signallers: Signallers) -> AsyncGenerator[Document]:
        await _welcomed(connection, signallers)
        await connection.send(self._frame, text=True)
        is_live = False
        while True:
            frame = _read(await connection.recv(decode=False))
            match frame.kind:
                case "document":
                    document = self._document(frame, is_live)
                    if document is not None:
                        yield document
                case "caught_up":
                    is_live = True
                    self._caught_up()
                case "refused":
                    raise RemoteProtocolError(frame.code, frame.message)
                case "signallers":
                    signallers.hear(frame)
                case _:
                    continue

    def _caught_up(self) -> None:
        if not self.is_ready:
            self.is_ready = True
            self._on_ready()

    def _document(self, frame: Frame, is_live: bool) -> Document | None:
        """What a signaller says is checked: the signature, the query, and that it is new.

        Only of what went by before it matters when that was: a publisher's clock may be behind ours.
        """
        try:
            document = read_document(bytes(frame.event), self._topic, int(time.time() * 1000))
        except RemoteProtocolError:
            return None
        is_wanted = (is_live or document.created_at >= self._since) and matches(self._test, document.value)
        return document if is_wanted and self._seen.add(document.id, int(time.monotonic() * 1000)) else None


async def _welcomed(connection: ClientConnection, signallers: Signallers) -> None:
    """A signaller speaks first; whoever else takes WebSockets there would be waited for in vain."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            frame = _read(await connection.recv(decode=False))
    except TimeoutError:
        frame = Frame()
    if frame.kind != "welcome":
        raise EOFError("this is no signaller")
    signallers.hear(frame)


def nobody(signallers: Signallers) -> AdapterError:
    """No signaller answers."""
    return AdapterError(
        "signal_down",
        f"No signaller answers ({signallers.problem or 'none is named'}).",
        "Start one: `dicast signal`, or name one: --signaller ws://HOST:PORT.",
    )


def _read(data: bytes) -> Frame:
    """A frame of a signaller; an empty one when it is none."""
    try:
        return _FRAMES.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return Frame()


_FRAMES = msgspec.json.Decoder(Frame)
