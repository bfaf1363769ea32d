"""Packets by libp2p's gossipsub: peers that know an address pass them on to those who share the topic."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

import msgspec

from dicast.ports import TransportHealth
from dicast.transports.inlet import Inlet
from dicast.transports.libp2p_finder import Libp2pFinder
from dicast.transports.libp2p_host import LOOK_SECONDS, Libp2pHost, Libp2pSettings, Seen, check_packages
from dicast.transports.queued import QueuedTransport, first_to_end
from dicast.transports.trio_thread import TrioThread

PACKETS_A_SECOND = 1_000  # of ours: half of what a core signs, seals and writes
PAUSE_SECONDS = 0.04  # a pause is worth a timer from here
WAITING_MAX = 32  # packets on their way to the other thread
MESH_SECONDS_MAX = 3.0  # a peer of the topic that takes us into no mesh for so long is not waited for
NEIGHBOUR_WAITING_MAX = 32  # messages of ours and others; it drops new ones at 256
TAKEN_MIN = 8  # messages in the time below: a neighbour that takes as many is waited for
SLOW_NEIGHBOUR_SECONDS = 0.1  # a neighbour that takes nothing costs the others so much, once
DRAIN_SECONDS_MAX = 0.8
LAST_WRITE_SECONDS = 0.3  # until the neighbours have read it: what they have not is lost with the connection
HELLO = b"hello"  # no packet: it says that somebody came


class Look(msgspec.Struct, frozen=True):
    """What the transport is told every moment."""

    seen: Seen
    on_topic: tuple[str, ...]
    in_mesh: int


class Libp2pTransport(QueuedTransport):
    """One host; its thread reaches the loop through an inlet and a look every moment."""

    failures = (OSError, ValueError, EOFError, TimeoutError, ConnectionError)

    def __init__(self, settings: Libp2pSettings, name: str = "libp2p") -> None:
        check_packages()
        super().__init__(name, "gossipsub")
        self.finder = Libp2pFinder(name)
        self._settings = settings
        self._look = Look(Seen(), (), 0)
        self._looked = asyncio.Event()
        self._thread: TrioThread | None = None
        self._host: Libp2pHost | None = None
        self._inlet: Inlet | None = None

    def addresses(self) -> Sequence[str]:
        """Multiaddrs where it listens, and those of the relays where it has a place."""
        return [] if self._state == "stopped" else list(self._look.seen.addresses)

    def suggest(self, address: str) -> None:
        """Somebody may be at a multiaddr; tried while there are few connections."""
        if self._thread is not None and self._host is not None and len(address) <= 300:
            self._thread.soon(self._host.suggest, address)

    def peers(self) -> Sequence[str]:
        """Peer ids of connected hosts."""
        return list(self._look.seen.connected) if self._is_connected and self._state != "stopped" else []

    def health(self) -> TransportHealth:
        """Whether it listens, who is connected, and what is wrong with those it should dial."""
        seen, health = self._look.seen, super().health()
        wrong = [f"{address}: {problem}" for address, problem in seen.problems.items()]
        known = len({*self._settings.peers, *self._settings.relays})
        state = health.state
        if state == "up" and wrong:
            state = "degraded" if len(wrong) < known or seen.connected else "down"
        counts = f"{len(seen.connected)} connected, {len(self._look.on_topic)} on the topic"
        dropped = health.dropped + (self._inlet.dropped if self._inlet is not None else 0)
        return msgspec.structs.replace(
            health,
            state=state,
            detail="; ".join([counts, *([self._problem] if self._problem else []), *wrong]),
            dropped=dropped,
            round_trip_ms=seen.round_trip_ms if health.state == "up" else None,
        )

    async def stop(self) -> None:
        """Give what is queued a second, then leave."""
        await super().stop()
        self._look = Look(Seen(), (), 0)

    async def _converse(self, topic: str) -> None:
        inlet = Inlet(self._take)
        host = Libp2pHost(self._settings)
        gossip = _Gossip(f"dicast/{topic}", host, inlet.put, self.finder)
        thread = TrioThread(lambda: gossip.run(thread, lambda look: thread.tell(self._see, look)), self.name)
        self._inlet, self._host, self._thread = inlet, host, thread
        thread.start()
        try:
            await first_to_end(self._carry(gossip, thread), self._until_ended(thread))
        finally:
            if self._state == "stopped":
                inlet.close()
                await gossip.drained(thread)
            await thread.stop()
            inlet.close()
            self._thread = self._host = None

    async def _until_ended(self, thread: TrioThread) -> None:
        raise ConnectionError(await asyncio.shield(thread.ended) or "libp2p ended")

    async def _carry(self, gossip: _Gossip, thread: TrioThread) -> None:
        """Wait until who is there listens to us, then write what is queued at a pace."""
        loop = asyncio.get_running_loop()
        await self._until(lambda: bool(self._look.seen.addresses) or not self._settings.listen)
        began = loop.time()
        await self._until(lambda: self._is_meshed() or loop.time() - began > MESH_SECONDS_MAX)
        with self._standing():
            await gossip.say(thread, HELLO)

            due = loop.time()

            async def write(wire: bytes) -> None:
                nonlocal due
                due = max(due, loop.time() - PAUSE_SECONDS) + 1 / PACKETS_A_SECOND
                await gossip.say(thread, wire)
                if due - loop.time() > PAUSE_SECONDS:
                    await asyncio.sleep(due - loop.time())

            await self._write_queue(write)

    def _is_meshed(self) -> bool:
        """Whether every known peer is connected, and one of the topic, where there is any, listens to us."""
        seen = self._look.seen
        known = [*self._settings.peers, *self._settings.relays]
        is_linked = len(seen.connected) >= len(set(known)) and not seen.problems
        return is_linked and (not self._look.on_topic or self._look.in_mesh > 0)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._looked.clear()
            await self._looked.wait()

    def _see(self, look: Look) -> None:
        came = set(look.on_topic) - set(self._look.on_topic)
        self._look = look
        self._looked.set()
        if came and self._is_connected:
            self._greeter.somebody_came()

    def _take(self, wire: bytes) -> None:
        if wire == HELLO:
            self._greeter.somebody_came()
        else:
            super()._take(wire)


class _Gossip:
    """Pubsub on a host; everything runs on the trio loop, but `say` and `drained`."""

    def __init__(
        self, topic: str, host: Libp2pHost, take: Callable[[bytes], None], finder: Libp2pFinder
    ) -> None:
        self._trio: Any = import_module("trio")
        self._topic = topic
        self._host = host
        self._finder = finder
        self._take = take
        self._pubsub: Any = None
        self._outbound: Any = None
        self._slow = set[Any]()
        self._room = asyncio.Semaphore(WAITING_MAX)

    async def run(self, thread: TrioThread, tell: Callable[[Look], None]) -> None:
        """Until cancelled."""
        service = import_module("libp2p.tools.anyio_service").background_trio_service
        gossip = import_module("dicast.transports.libp2p_gossip")
        async with self._host.running() as nursery:
            self._outbound, inbound = self._trio.open_memory_channel(WAITING_MAX + 1)
            self._pubsub = pubsub = gossip.Gossip(self._host.host, self._topic, self._take)
            serving = self._finder.join(self._host, self._friends)
            async with pubsub.closing(), service(pubsub), service(pubsub.router):
                await pubsub.wait_until_ready()
                nursery.start_soon(self._drain, await pubsub.subscribe(self._topic))
                nursery.start_soon(self._write, inbound, thread)
                nursery.start_soon(self._finder.serve, serving)
                while True:
                    tell(self._look())
                    pubsub.tidy()
                    await self._trio.sleep(LOOK_SECONDS)

    def _look(self) -> Look:
        on_topic = set(map(str, self._pubsub.peer_topics.get(self._topic, ())))
        in_mesh = len(self._pubsub.router.mesh.get(self._topic, ()))
        return Look(self._host.seen(), tuple(sorted(on_topic - {str(self._host.host.get_id())})), in_mesh)

    def _friends(self) -> set[str]:
        """Whom we are here for: the topic, and those we were given; for a relay, everybody."""
        on_topic = {str(peer) for peer in self._pubsub.peer_topics.get(self._topic, ())}
        return on_topic | self._host.friends()

    async def say(self, thread: TrioThread, wire: bytes) -> None:
        """From our loop: publish, once there is room for it on its way."""
        await self._room.acquire()
        thread.soon(self._queue, wire, None)

    async def drained(self, thread: TrioThread) -> None:
        """From our loop: wait a moment until the neighbours have what was said."""
        is_drained = asyncio.Event()
        thread.soon(self._queue, b"", lambda: thread.tell(is_drained.set))
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS_MAX):
                await is_drained.wait()

    def _queue(self, wire: bytes, done: Callable[[], None] | None) -> None:
        with suppress(self._trio.WouldBlock, self._trio.BrokenResourceError, AttributeError):
            self._outbound.send_nowait((wire, done))

    async def _write(self, inbound: Any, thread: TrioThread) -> None:
        """What is said, at the neighbours' pace; how much was taken is told when it is worth a wake-up."""
        taken = 0
        async for wire, done in inbound:
            if done is not None:
                await self._until_waiting(0, LAST_WRITE_SECONDS)
                await self._trio.sleep(LAST_WRITE_SECONDS)
                done()
                continue
            with suppress(Exception):  # the package has errors of many families; others carry it
                await self._pubsub.publish(self._topic, wire)
            await self._until_waiting(NEIGHBOUR_WAITING_MAX)
            taken += 1
            if taken >= WAITING_MAX // 2 or not inbound.statistics().current_buffer_used:
                thread.tell(self._make_room, taken)
                taken = 0

    def _make_room(self, count: int) -> None:
        for _ in range(count):
            self._room.release()

    async def _until_waiting(self, count: int, seconds: float = SLOW_NEIGHBOUR_SECONDS) -> None:
        """Wait until every neighbour's queue is as short as that; for one that takes nothing, once."""
        behind = self._behind(count)
        waiting = {peer: len(queue) for peer, queue in self._pubsub.peer_queues.items()}
        self._slow &= behind
        with self._trio.move_on_after(seconds):
            while behind - self._slow:
                await self._trio.sleep(0.002)
                behind = self._behind(count)
        left = {peer: len(queue) for peer, queue in self._pubsub.peer_queues.items()}
        self._slow |= {peer for peer in behind if left.get(peer, 0) > waiting.get(peer, 0) - TAKEN_MIN}

    def _behind(self, count: int) -> set[Any]:
        return {peer for peer, queue in self._pubsub.peer_queues.items() if len(queue) > count}

    async def _drain(self, subscription: Any) -> None:
        async for _ in subscription:
            pass
