"""Records over libp2p: who has one says so in Kademlia's table, and gives it to whoever asks by a stream."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from importlib import import_module
from itertools import chain, repeat
from typing import Any

from dicast.ports import TransportHealth
from dicast.transports.background import described
from dicast.transports.libp2p_host import DIAL_SECONDS_MAX, LOOK_SECONDS, Libp2pHost
from dicast.transports.libp2p_table import AT_ONCE, PROVIDERS_MAX, ProviderTable

RECORD_PROTOCOL = "/dicast/record/1"  # nothing is asked: the record comes, behind its length as a varint
RECORD_BYTES_MAX = 1000
RECORD_SECONDS_MAX = 5.0  # for a thousand bytes; connecting has a limit of its own
KEYS_MAX = 4  # provided at once; a table takes ten a peer in ten seconds
LOOKUPS_MAX = 256  # waiting; what is asked beyond is asked again by whoever wants it
LOOKUP_SECONDS_MAX = 30.0  # for one key, with all records under it
REFRESH_SECONDS = (4.0, 32.0, 128.0)  # after a start the table is still finding itself
EXPLORE_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)  # while there are few connections
REFRESH_SECONDS_MAX = 1800.0  # tables forget after a day or two, but those who keep it leave sooner
RETRY_SECONDS = 5.0  # after the package raised what it should not
CONNECTIONS_KEPT = 8  # with fewer, whoever gave a record stays connected: perhaps there is more to talk about
STRANGERS_FROM = 64  # connections: with more, those who share nothing but the table are hung up on
HANDED_MAX = 64  # streams of others at once that are being given the record


class Libp2pFinder:
    """Lives in a transport: `serve` runs on its trio loop, all else on ours."""

    record_bytes_max = RECORD_BYTES_MAX

    def __init__(self, name: str) -> None:
        self.name = name
        self._keys: tuple[str, ...] = ()
        self._record = b""
        self._changed = False
        self._wanted: deque[str] = deque(maxlen=LOOKUPS_MAX)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_record: Callable[[bytes], None] | None = None
        self._known = 0
        self._problem = ""
        self._is_serving = False
        self._counts = {"sent": 0, "received": 0, "dropped": 0}

    async def start(self, on_record: Callable[[bytes], None]) -> None:
        """Found records go there from now on; the table is joined when the transport is up."""
        self._loop, self._on_record = asyncio.get_running_loop(), on_record

    def provide(self, keys: Sequence[str], record: bytes) -> None:
        """Have `record` to be found under the first few `keys`; one that is too long is counted."""
        if len(record) > RECORD_BYTES_MAX:
            self._counts["dropped"] += 1
            return
        chosen = tuple(dict.fromkeys(keys))[:KEYS_MAX]
        self._record = record  # who asked before for a former one gets this one
        if chosen != self._keys:
            self._keys, self._changed = chosen, True

    def find(self, key: str) -> None:
        """Look once; what comes of it goes to `on_record`."""
        if key not in self._wanted:
            self._wanted.append(key)

    def health(self) -> TransportHealth:
        """`up` while somebody of the table is known."""
        detail = self._problem or f"{self._known} nodes of the table"
        if self._on_record is None or not self._is_serving:
            return TransportHealth("starting" if self._on_record else "down", detail, **self._counts)
        return TransportHealth("up" if self._known else "degraded", detail, **self._counts)

    async def stop(self) -> None:
        """Find and give no more; the table forgets what was provided in its time."""
        self._on_record, self._keys, self._record = None, (), b""
        self._wanted.clear()

    def join(self, host: Libp2pHost, friends: Callable[[], Collection[str]]) -> Serving:
        """On the trio loop, before anybody is connected: they are told once what a host speaks."""
        return Serving(self, host, friends)

    async def serve(self, serving: Serving) -> None:
        """On the trio loop, until cancelled: whatever the package raises is the end of this try alone."""
        trio: Any = import_module("trio")
        while True:
            try:
                await serving.run()
            except Exception as error:  # the package has errors of many families
                self._problem = described(error)
            finally:
                self._is_serving, self._known = False, 0
            await trio.sleep(RETRY_SECONDS)
            serving = serving.anew()

    def see(self, known: int) -> None:
        """From the trio loop: so many nodes of the table are known."""
        self._is_serving, self._known, self._problem = True, known, ""

    def take_changed(self) -> bool:
        """Whether the keys are others than when this was asked last."""
        changed, self._changed = self._changed, False
        return changed

    def take_wanted(self) -> str | None:
        """The key to look for next."""
        return self._wanted.popleft() if self._wanted else None

    @property
    def offer(self) -> tuple[tuple[str, ...], bytes]:
        """What is to be found, and under which keys."""
        return self._keys, self._record

    def gave(self) -> None:
        """From the trio loop: somebody got the record."""
        self._counts["sent"] += 1

    def found(self, record: bytes) -> None:
        """From the trio loop: a record came, unchecked."""
        if not 0 < len(record) <= RECORD_BYTES_MAX:
            self._counts["dropped"] += 1
        elif self._loop is not None and record != self._record:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._hand_over, record)

    def _hand_over(self, record: bytes) -> None:
        if self._on_record is not None:
            self._counts["received"] += 1
            self._on_record(record)


class Serving:
    """One try on one host; everything here runs on the trio loop."""

    def __init__(
        self, finder: Libp2pFinder, host: Libp2pHost, friends: Callable[[], Collection[str]]
    ) -> None:
        self._trio: Any = import_module("trio")
        self._finder = finder
        self._host = host
        self._friends = friends
        self._table = ProviderTable(host)
        self._handing = 0
        self._round = 0
        self._due = 0.0
        host.host.set_stream_handler(RECORD_PROTOCOL, self._give)

    def anew(self) -> Serving:
        """The next try."""
        return Serving(self._finder, self._host, self._friends)

    async def run(self) -> None:
        """Until cancelled, or until the package raises."""
        async with self._table.running(), self._trio.open_nursery() as nursery:
            nursery.start_soon(self._provide)
            nursery.start_soon(self._explore)
            while True:
                await self._table.meet()
                self._finder.see(self._table.size)
                key = self._finder.take_wanted()
                if key is not None:
                    await self._find(key)
                await self._hang_up()
                await self._trio.sleep(LOOK_SECONDS)

    async def _explore(self) -> None:
        """While few are connected, hear who else is there: soon after the start, then ever less."""
        for pause in chain(EXPLORE_SECONDS, repeat(EXPLORE_SECONDS[-1])):
            while not self._table.size:
                await self._trio.sleep(LOOK_SECONDS)
            if len(self._host.host.get_connected_peers()) < CONNECTIONS_KEPT:
                await self._table.explore()
            await self._trio.sleep(pause)

    async def _hang_up(self) -> None:
        """The table dials whom it asks, and may not take the places of those we are here for."""
        connected = list(self._host.host.get_connected_peers())
        if len(connected) <= STRANGERS_FROM:
            return
        friends = self._friends()
        strangers = [peer for peer in connected if str(peer) not in friends]
        for peer in strangers[: len(connected) - STRANGERS_FROM]:
            with suppress(Exception), self._trio.move_on_after(1):
                await self._host.host.disconnect(peer)

    async def _give(self, stream: Any) -> None:
        """Somebody asks for our record."""
        if self._handing >= HANDED_MAX:
            await stream.reset()
            return
        self._handing += 1
        try:
            with self._trio.move_on_after(RECORD_SECONDS_MAX):
                _, record = self._finder.offer
                if record:
                    await stream.write(import_module("varint").encode(len(record)) + record)
                    self._finder.gave()
                await stream.close()
        except Exception:  # they left
            with suppress(Exception):
                await stream.reset()
        finally:
            self._handing -= 1

    async def _provide(self) -> None:
        while True:
            keys, record = self._finder.offer
            if self._finder.take_changed():
                self._round, self._due = 0, 0.0
            if record and self._table.size and self._trio.current_time() >= self._due:
                with self._trio.move_on_after(KEYS_MAX * LOOKUP_SECONDS_MAX):
                    await self._table.provide(keys)
                self._due = self._trio.current_time() + self._pause()
            await self._trio.sleep(LOOK_SECONDS)

    def _pause(self) -> float:
        few = self._round < len(REFRESH_SECONDS)
        pause = REFRESH_SECONDS[self._round] if few else REFRESH_SECONDS_MAX
        self._round += 1
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 (jitter)

    async def _find(self, key: str) -> None:
        """Ask everybody who says to have a record under a key, each once."""
        with self._trio.move_on_after(LOOKUP_SECONDS_MAX):
            providers = await self._table.providers(key)
            limiter = self._trio.CapacityLimiter(AT_ONCE)
            async with self._trio.open_nursery() as nursery:
                for provider in providers[:PROVIDERS_MAX]:
                    nursery.start_soon(self._fetch, provider, limiter)

    async def _fetch(self, provider: Any, limiter: Any) -> None:
        with suppress(Exception):  # the package has errors of many families
            async with limiter:
                was_connected = self._host.is_connected(str(provider.peer_id))
                with self._trio.fail_after(DIAL_SECONDS_MAX):
                    await self._host.host.connect(provider)
                with self._trio.fail_after(RECORD_SECONDS_MAX):
                    self._finder.found(await self._read(provider.peer_id))
                if not was_connected and len(self._host.host.get_connected_peers()) > CONNECTIONS_KEPT:
                    await self._host.host.disconnect(provider.peer_id)

    async def _read(self, peer: Any) -> bytes:
        too_large = import_module("libp2p.io.exceptions").MessageTooLarge
        read = import_module("libp2p.utils.varint").read_varint_prefixed_bytes_limited
        stream = await self._host.host.new_stream(peer, [RECORD_PROTOCOL])
        try:
            return await read(stream, RECORD_BYTES_MAX)
        except too_large:
            return b""
        finally:
            with self._trio.CancelScope(shield=True), self._trio.move_on_after(1), suppress(Exception):
                await stream.reset()
