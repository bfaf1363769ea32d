"""Signallers among themselves: a Zenoh router each, a handful of links, messages to all or to one."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import zenoh

from dicast.base.expiring import ExpiringMap
from dicast.base.hashing import tagged
from dicast.ports import TransportHealth
from dicast.signalling.frames import Card
from dicast.signalling.settings import place
from dicast.transports.background import described, end_tasks, start_task
from dicast.transports.backoff import Backoff
from dicast.transports.inlet import Inlet
from dicast.transports.packet_queue import PacketQueue

LINKS_DIALLED = 3
"""Besides those that were named: a random graph of this degree holds together when every second one dies."""
LINKS_MAX = 64
"""Taken in from others."""
MEMBERS_MAX = 256
"""Signallers heard of."""
MEMBER_MS_MAX = 12_000
"""A signaller says its card every 3 s; three may be lost."""
LOOK_SECONDS = 3.0
"""Between two cards, and two looks at the links."""
EARLY_LOOKS, EARLY_LOOK_SECONDS = 4, 0.5
"""After opening: a card that was said before the first link stood reached nobody."""
LONELY_LOOKS_MAX = 1
"""Looks that find no link before others are dialled."""
MESSAGE_BYTES_MAX = 128 * 1024
MESSAGES_A_HOP = 64
CLOSE_SECONDS_MAX = 1.0
EVERYBODY = "0" * 16


class Pool:
    """`on_message` gets every message of others, on the loop. Messages are bytes of at most 64 KiB."""

    def __init__(
        self, root: str, mesh: tuple[str, int], key: str, on_message: Callable[[bytes], None]
    ) -> None:
        self.id = secrets.token_hex(8)
        self.port = 0
        """Where other signallers reach this one, once it is open."""
        self._root = root
        self._mesh = mesh
        self._key = key
        self._on_message = on_message
        self._queue = PacketQueue()
        self._members: ExpiringMap[str, Card] = ExpiringMap(MEMBERS_MAX)
        self._greeted: dict[str, None] = {}
        self._dialable: dict[str, str] = {}
        self._thread = ThreadPoolExecutor(1, "pool")
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._session: Any = None
        self._inlet: Inlet | None = None
        self._task: asyncio.Task[None] | None = None
        self._links = 0
        self._problem = ""
        self._sent = 0
        self._is_stopped = False

    async def start(self, find: Callable[[], Any], on_look: Callable[[], None]) -> None:
        """Open the session; `find` names endpoints to dial, `on_look` is called every three seconds."""
        self._inlet = Inlet(self._on_message)
        await self._open(await find())
        self._task = start_task(self._run(find, on_look), "pool")

    def send(self, message: bytes, to: str = EVERYBODY) -> None:
        """Queue a message for every other signaller, or for one; never blocks."""
        self._queue.put(to.encode() + message)

    def met(self, card: Card, now_ms: int) -> bool:
        """Remember another signaller; True when it was not known."""
        self._members.put(card.id, card, now_ms + MEMBER_MS_MAX)
        if card.id in self._greeted:
            return False
        while len(self._greeted) >= MEMBERS_MAX:
            del self._greeted[next(iter(self._greeted))]
        self._greeted[card.id] = None
        self._dialable.pop(card.id, None)
        while len(self._dialable) >= MEMBERS_MAX:
            del self._dialable[next(iter(self._dialable))]
        self._dialable[card.id] = card.mesh
        return True

    def dialable(self) -> Sequence[str]:
        """Where the mesh of others was, those that fell silent included: they may be behind a cut."""
        return list(self._dialable.values())

    def members(self, now_ms: int) -> Sequence[Card]:
        """The other signallers that were heard of lately."""
        self._members.expire(now_ms)
        return [card for _, card in self._members.items()]

    def health(self) -> TransportHealth:
        """How many links stand."""
        state = "up" if self._session is not None else "down"
        dropped = self._queue.dropped + (self._inlet.dropped if self._inlet else 0)
        received = self._inlet.received if self._inlet else 0
        detail = self._problem or f"{self._links} links"
        return TransportHealth(state, detail, self._sent, received, dropped)

    async def stop(self) -> None:
        """Say what is queued, for at most a second; then close. Harmless when repeated."""
        if self._is_stopped:
            return
        self._is_stopped = True
        if self._session is not None:
            await self._queue.flush(CLOSE_SECONDS_MAX)
        task, self._task = self._task, None
        await end_tasks(task)
        if self._inlet is not None:
            self._inlet.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                await self._on_thread(self._close)
        self._thread.shutdown(wait=False)
        if self._folder is not None:
            self._folder.cleanup()

    async def _run(self, find: Callable[[], Any], on_look: Callable[[], None]) -> None:
        """Keep the session, and open it anew where no link stands and somebody could be dialled."""
        lonely, looks, backoff = 0, 0, Backoff()
        writing = asyncio.create_task(self._write())
        try:
            while True:
                on_look()
                looks += 1
                await asyncio.sleep(LOOK_SECONDS if looks > EARLY_LOOKS else EARLY_LOOK_SECONDS)
                self._links = await self._on_thread(self._count)
                lonely = 0 if self._links or looks <= EARLY_LOOKS else lonely + 1
                if lonely < LONELY_LOOKS_MAX:
                    continue
                endpoints = await find()
                if endpoints or self._session is None:
                    await self._on_thread(self._close)
                    await self._open(endpoints)
                    self._greeted.clear()  # met anew, they say what went by meanwhile
                    await asyncio.sleep(backoff.next_seconds())
                lonely, looks = 0, 0
        finally:
            await end_tasks(writing)

    async def _open(self, endpoints: list[str]) -> None:
        """A session; one that cannot be opened is tried again at the next look."""
        loop = asyncio.get_running_loop()
        self._problem = ""
        try:
            await loop.run_in_executor(self._thread, self._open_session, endpoints)
        except (zenoh.ZError, OSError, ValueError, RuntimeError) as error:
            self._session, self._problem = None, described(error)

    def _open_session(self, endpoints: list[str]) -> None:
        """On the thread. The port stays the same from session to session: others were told it."""
        host, port = self._mesh
        self.port = self.port or port or _free_port(host)
        session: Any = zenoh.open(self._configured(f"tcp/{place(host, self.port)}", endpoints))
        inlet = self._inlet
        assert inlet is not None, "the inlet is made before the session"

        def take(sample: Any) -> None:
            inlet.put(sample.payload.to_bytes())

        for key in (f"{self._root}/{EVERYBODY}", f"{self._root}/{self.id}"):
            session.declare_subscriber(key, take, allowed_origin=zenoh.Locality.REMOTE)
        self._session = session

    def _configured(self, listen: str, endpoints: list[str]) -> zenoh.Config:
        config: Any = zenoh.Config()
        values: dict[str, object] = {
            "mode": "router",  # routers pass messages on: a handful of links each reaches everybody
            "listen/endpoints": [listen],
            "connect/endpoints": endpoints,
            "connect/timeout_ms": -1,
            "connect/exit_on_failure": False,
            "scouting/delay": 0,
            "scouting/multicast/enabled": False,
            "scouting/gossip/enabled": False,
            "transport/unicast/max_sessions": LINKS_MAX,
            "transport/link/rx/max_message_size": MESSAGE_BYTES_MAX,
            **self._credentials(),
        }
        for name, value in values.items():
            config.insert_json5(name, json.dumps(value))
        return config

    def _credentials(self) -> dict[str, object]:
        """Who does not know the key becomes no link; Zenoh proves it without sending it."""
        if not self._key:
            return {}
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="dicast-signal-")
        password = tagged("dicast/signal/1", self._key.encode()).hex()
        users = Path(self._folder.name) / "users"
        users.touch(mode=0o600)
        users.write_text(f"pool:{password}\n")
        where = "transport/auth/usrpwd"
        return {
            f"{where}/user": "pool",
            f"{where}/password": password,
            f"{where}/dictionary_file": str(users),
        }

    async def _write(self) -> None:
        while True:
            messages = await self._queue.take(MESSAGES_A_HOP)
            await self._on_thread(lambda wires=messages: self._put_all(wires))
            self._queue.done()

    def _put_all(self, messages: list[bytes]) -> None:
        """On the thread; a link that is full drops."""
        session: Any = self._session
        if session is None:
            return
        for message in messages:
            self._sent += 1
            key = f"{self._root}/{message[:16].decode()}"
            with suppress(zenoh.ZError):
                session.put(key, message[16:], congestion_control=zenoh.CongestionControl.DROP)

    def _count(self) -> int:
        return 0 if self._session is None else len(list(self._session.info.routers_zid()))

    def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with suppress(zenoh.ZError):
                session.close()

    async def _on_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _free_port(host: str) -> int:
    """Zenoh does not tell which port it took."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
