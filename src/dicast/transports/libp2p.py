"""Packets by libp2p's gossipsub: peers that know an address pass them on to those who share the topic."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

import msgspec

from dicast.base.limits import PACKET_BYTES_MAX
from dicast.ports import TransportHealth
from dicast.transports.inlet import Inlet
from dicast.transports.libp2p_finder import Libp2pFinder
from dicast.transports.libp2p_host import LOOK_SECONDS, Libp2pHost, Libp2pSettings, Seen, check_packages
from dicast.transports.queued import QueuedTransport, first_to_end
from dicast.transports.trio_thread import TrioThread

RPC_BYTES_MAX = 256 * 1024  # what a peer may say at once: a packet, or several small ones
PACKETS_A_SECOND = 200  # of ours: the package's queue to a peer drops what is over
PEER_PACKETS_A_SECOND = 5_000.0  # of one peer: those of many nodes; the default, 10, loses every round
HEARTBEAT_SECONDS = 1  # the mesh mends itself as other implementations do; the default is 120
MESH_SECONDS_MAX = 3.0  # a peer of the topic that takes us into no mesh for so long is not waited for
DEGREE, DEGREE_LOW, DEGREE_HIGH = 6, 4, 12  # neighbours of a topic, as in the specification
PROTOCOLS = ("/meshsub/1.1.0", "/meshsub/1.0.0")
NEIGHBOUR_WAITING_MAX = 8  # messages; the package drops new ones at 32
SLOW_NEIGHBOUR_SECONDS = 0.1  # a neighbour that takes nothing costs the others so much a packet
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
        thread = TrioThread(lambda: gossip.run(lambda look: thread.tell(self._see, look)), self.name)
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

            async def write(wire: bytes) -> None:
                earliest = loop.time() + 1 / PACKETS_A_SECOND
                await gossip.say(thread, wire)
                await asyncio.sleep(earliest - loop.time())

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
    """Pubsub on a host; everything runs on the trio loop, but `say`."""

    def __init__(
        self, topic: str, host: Libp2pHost, take: Callable[[bytes], None], finder: Libp2pFinder
    ) -> None:
        self._trio: Any = import_module("trio")
        self._topic = topic
        self._host = host
        self._finder = finder
        self._take = take
        self._pubsub: Any = None
        self._router: Any = None
        self._outbound: Any = None

    async def run(self, tell: Callable[[Look], None]) -> None:
        """Until cancelled."""
        service = import_module("libp2p.tools.anyio_service").background_trio_service
        async with self._host.running() as nursery:
            self._build()
            serving = self._finder.join(self._host, self._friends)
            async with service(self._pubsub), service(self._router):
                await self._pubsub.wait_until_ready()
                own, subscription = str(self._host.host.get_id()), await self._pubsub.subscribe(self._topic)
                nursery.start_soon(self._drain, subscription)
                nursery.start_soon(self._write)
                nursery.start_soon(self._finder.serve, serving)
                while True:
                    on_topic = self._pubsub.peer_topics.get(self._topic, ())
                    others = tuple(sorted(str(peer) for peer in on_topic if str(peer) != own))
                    tell(Look(self._host.seen(), others, len(self._router.mesh.get(self._topic, ()))))
                    await self._trio.sleep(LOOK_SECONDS)

    def _friends(self) -> set[str]:
        """Whom we are here for: the topic, and those we were given; for a relay, everybody."""
        on_topic = {str(peer) for peer in self._pubsub.peer_topics.get(self._topic, ())}
        return on_topic | self._host.friends()

    async def say(self, thread: TrioThread, wire: bytes) -> None:
        """From our loop: publish, once what was said before is on its way."""
        said: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def done(problem: str) -> None:
            if not said.done():
                said.set_result(problem)

        def tell(problem: str) -> None:
            thread.tell(done, problem)

        thread.soon(self._queue, wire, tell)
        if problem := await said:
            raise ConnectionError(problem)

    async def drained(self, thread: TrioThread) -> None:
        """From our loop: wait a moment until the neighbours have what was said."""
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(DRAIN_SECONDS_MAX):
                await self.say(thread, b"")

    def _build(self) -> None:
        self._router = import_module("libp2p.pubsub.gossipsub").GossipSub(
            protocols=list(PROTOCOLS),
            degree=DEGREE,
            degree_low=DEGREE_LOW,
            degree_high=DEGREE_HIGH,
            heartbeat_interval=HEARTBEAT_SECONDS,
            max_messages_per_topic_per_second=PEER_PACKETS_A_SECOND,
        )
        self._pubsub = import_module("libp2p.pubsub.pubsub").Pubsub(
            self._host.host, self._router, strict_signing=True, max_inbound_rpc_size=RPC_BYTES_MAX
        )
        self._outbound, self._inbound = self._trio.open_memory_channel(16)
        own = self._host.host.get_id().to_bytes()

        def take(_: object, message: Any) -> bool:
            """Every new message passes here once; the package's own queue would drop the 33rd of a burst."""
            is_small = len(message.data) <= PACKET_BYTES_MAX
            if is_small and message.from_id != own and self._topic in message.topicIDs:
                self._take(bytes(message.data))
            return is_small

        self._pubsub.set_topic_validator(self._topic, take, False)

    def _queue(self, wire: bytes, done: Callable[[str], None]) -> None:
        try:
            self._outbound.send_nowait((wire, done))
        except (self._trio.WouldBlock, self._trio.BrokenResourceError, AttributeError):
            done("libp2p takes nothing")

    async def _write(self) -> None:
        async for wire, done in self._inbound:
            if wire:
                done("")
                with suppress(Exception):  # the package has errors of many families; others carry it
                    await self._pubsub.publish(self._topic, wire)
                await self._until_waiting(NEIGHBOUR_WAITING_MAX)
            else:
                await self._until_waiting(0, LAST_WRITE_SECONDS)
                await self._trio.sleep(LAST_WRITE_SECONDS)
                done("")

    async def _until_waiting(self, count: int, seconds: float = SLOW_NEIGHBOUR_SECONDS) -> None:
        """Wait until every neighbour's queue is as short as that, though not for one that takes nothing."""
        with self._trio.move_on_after(seconds):
            while any(len(queue) > count for queue in self._pubsub.peer_queues.values()):
                await self._trio.sleep(0.002)

    async def _drain(self, subscription: Any) -> None:
        async for _ in subscription:
            pass
