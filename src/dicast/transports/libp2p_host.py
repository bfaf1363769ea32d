"""A libp2p host on a trio loop: keeps the peers it knows connected, and says what it sees."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

import msgspec

from dicast.transports.background import described
from dicast.transports.backoff import Backoff

DIAL_SECONDS_MAX = 10.0
LOOK_SECONDS = 0.2  # between two looks at who is connected
PING_SECONDS = 10.0
LEAVE_SECONDS_MAX = 0.5
CONNECTIONS_MAX = 128  # as many as a busy node has; the package prunes what is over
SUGGESTED_MAX = 64  # addresses that others told us of and that were not tried yet
CONNECTIONS_WANTED = 8  # with fewer, suggested addresses are tried
RELAY_CIRCUIT_SECONDS = 3600  # a relay ends circuits of others after this
RELAY_CIRCUIT_BYTES = 1 << 30  # and after this much


class Libp2pSettings(msgspec.Struct, frozen=True):
    """`listen`, `peers` and `relays` are multiaddrs, the latter two ending in `/p2p/<peer id>`."""

    seed: bytes
    listen: tuple[str, ...] = ("/ip4/127.0.0.1/tcp/0",)
    peers: tuple[str, ...] = ()
    relays: tuple[str, ...] = ()
    is_relay: bool = False

    def __repr__(self) -> str:
        return f"Libp2pSettings({self.listen!r}, {self.peers!r})"


class Seen(msgspec.Struct, frozen=True):
    """What a host sees: where it listens, who is connected, what is wrong with those it dials."""

    addresses: tuple[str, ...] = ()
    connected: tuple[str, ...] = ()
    problems: dict[str, str] = {}
    round_trip_ms: int | None = None


def check_packages() -> None:
    """Raises `ImportError` where libp2p is not installed."""
    for name in ("trio", "multiaddr", "libp2p"):
        import_module(name)
    for name in ("libp2p", "trio_websocket"):  # they log a traceback for each port scan
        logging.getLogger(name).addHandler(logging.NullHandler())
        logging.getLogger(name).propagate = False


def peer_of(address: str) -> str:
    """The peer id at the end of a multiaddr; raises `ValueError` where that is not what it is."""
    try:
        info = import_module("libp2p.peer.peerinfo").info_from_p2p_addr(
            import_module("multiaddr").Multiaddr(address)
        )
    except Exception as error:  # the package has errors of many families
        raise ValueError(f"{address!r} is no multiaddr with a peer id") from error
    return str(info.peer_id)


class Libp2pHost:
    """Everything here runs on the trio loop, but `suggest`."""

    def __init__(self, settings: Libp2pSettings) -> None:
        self._trio: Any = import_module("trio")
        self._multiaddr: Any = import_module("multiaddr").Multiaddr
        self._settings = settings
        self._problems: dict[str, str] = {}
        self._suggested: dict[str, None] = {}
        self._round_trip_ms: int | None = None
        self._relaying: Any = None
        self._nursery: Any = None
        self.host: Any = None

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Any]:
        """The host listens and dials while this lasts; gives a nursery for what else should run meanwhile."""
        key = import_module("libp2p.crypto.ed25519").create_new_key_pair(self._settings.seed)
        listen = [self._multiaddr(address) for address in self._settings.listen]
        limits = import_module("libp2p.network.config").ConnectionConfig(
            max_connections=CONNECTIONS_MAX,
            high_watermark=CONNECTIONS_MAX,
            low_watermark=0,
            min_connections=0,  # whom to dial is ours to say
        )
        self.host = import_module("libp2p").new_host(
            key_pair=key, enable_tcp=True, enable_websocket=True, connection_config=limits
        )
        async with self.host.run(listen), self._trio.open_nursery() as nursery:
            if len(self.host.get_addrs()) < len(listen):  # the package says nothing of that
                raise OSError(f"cannot listen on {', '.join(self._settings.listen)}")
            self._nursery = nursery
            await self._start_relaying(nursery)
            for address in (*self._settings.peers, *self._settings.relays):
                nursery.start_soon(self._keep, address)
            nursery.start_soon(self._try_suggested)
            nursery.start_soon(self._ping)
            try:
                yield nursery
            finally:
                await self._leave()
                nursery.cancel_scope.cancel()

    async def _leave(self) -> None:
        """Close what is open, so that the others know at once."""
        with self._trio.CancelScope(shield=True), self._trio.move_on_after(LEAVE_SECONDS_MAX):
            for peer in list(self.host.get_connected_peers()):
                with _Tolerant():
                    await self.host.disconnect(peer)

    def seen(self) -> Seen:
        """How it is now."""
        addresses = tuple(map(str, self.host.get_addrs()))
        circuits = tuple(
            f"{relay}/p2p-circuit/p2p/{self.host.get_id()}"
            for relay in self._settings.relays
            if relay not in self._problems
        )
        connected = tuple(map(str, self.host.get_connected_peers()))
        return Seen(addresses + circuits, connected, dict(self._problems), self._round_trip_ms)

    def friends(self) -> set[str]:
        """Peers that must not be hung up on, whatever they talk about."""
        if self._settings.is_relay:
            return {str(peer) for peer in self.host.get_connected_peers()}
        return {peer_of(address) for address in (*self._settings.peers, *self._settings.relays)}

    def suggest(self, address: str) -> None:
        """Somebody may be there; called on the trio loop."""
        if len(self._suggested) < SUGGESTED_MAX:
            self._suggested[address] = None

    async def connect(self, address: str) -> None:
        """Dial, over a relay where the address says so; raises what the package raises."""
        info = import_module("libp2p.peer.peerinfo").info_from_p2p_addr(self._multiaddr(address))
        with self._trio.fail_after(DIAL_SECONDS_MAX):
            if "/p2p-circuit" in address:
                await self._relaying.dial(self._multiaddr(address))
            else:
                await self.host.connect(info)

    async def _keep(self, address: str) -> None:
        """Keep one known address connected; at a relay, keep a place reserved."""
        backoff = Backoff()
        peer = peer_of(address)
        while True:
            try:
                await self.connect(address)
                if address in self._settings.relays:
                    await self._reserve(peer)
                self._problems.pop(address, None)
                backoff.connected()
                while self.is_connected(peer):
                    await self._trio.sleep(LOOK_SECONDS)
                self._problems[address] = "the connection ended"
            except Exception as error:  # the package has errors of many families
                self._problems[address] = described(error)
            await self._trio.sleep(backoff.next_seconds())

    def is_connected(self, peer: str) -> bool:
        """Whether a connection to a peer stands."""
        return any(str(each) == peer for each in self.host.get_connected_peers())

    async def _try_suggested(self) -> None:
        """While there are few connections, try what others said."""
        while True:
            await self._trio.sleep(LOOK_SECONDS)
            if not self._suggested or len(self.host.get_connected_peers()) >= CONNECTIONS_WANTED:
                continue
            address = random.choice(list(self._suggested))  # noqa: S311 (no order that others choose)
            del self._suggested[address]
            with _Tolerant():
                if not self.is_connected(peer_of(address)):
                    await self.connect(address)

    async def _ping(self) -> None:
        """Ask each peer whether it is there, and hang up on one that does not say."""
        while True:
            for peer in list(self.host.get_connected_peers()):
                await self._ping_one(peer)
            await self._trio.sleep(PING_SECONDS if self.host.get_connected_peers() else LOOK_SECONDS)

    async def _ping_one(self, peer: Any) -> None:
        ping, milliseconds = import_module("libp2p.host.ping"), None
        with _Tolerant(), self._trio.move_on_after(PING_SECONDS):
            stream = await self.host.new_stream(peer, [ping.ID])
            milliseconds = await ping.perform_ping_roundtrip(stream)
            await stream.reset()
        if milliseconds is not None:
            self._round_trip_ms = round(milliseconds)
            return
        with _Tolerant(), self._trio.move_on_after(1):
            await self.host.disconnect(peer)

    async def _start_relaying(self, nursery: Any) -> None:
        """Be a relay for others, or be reachable over one."""
        package = "libp2p.relay.circuit_v2"
        roles = import_module(f"{package}.config").RelayRole
        role = roles.STOP | roles.CLIENT | (roles.HOP if self._settings.is_relay else roles.STOP)
        config = import_module(f"{package}.config").RelayConfig(
            roles=role,
            max_circuit_duration=RELAY_CIRCUIT_SECONDS,
            max_circuit_bytes=RELAY_CIRCUIT_BYTES,
        )
        protocol = import_module(f"{package}.protocol").CircuitV2Protocol(
            self.host, config.limits, allow_hop=self._settings.is_relay
        )
        service = import_module("libp2p.tools.anyio_service").background_trio_service

        async def run() -> None:
            async with service(protocol):
                await self._trio.sleep_forever()

        nursery.start_soon(run)
        await protocol.event_started.wait()
        self._relaying = import_module(f"{package}.transport").CircuitV2Transport(self.host, protocol, config)

    async def _reserve(self, relay: str) -> None:
        """Ask a relay to pass on those who dial us through it."""
        hop = import_module("libp2p.relay.circuit_v2.protocol").PROTOCOL_ID
        [peer] = [each for each in self.host.get_connected_peers() if str(each) == relay]
        with self._trio.fail_after(DIAL_SECONDS_MAX):
            stream = await self.host.new_stream(peer, [hop])
            is_reserved = await self._relaying.reserve(stream, peer, self._nursery)
            await stream.close()
        if not is_reserved:
            raise ConnectionError("it has no place for us")


class _Tolerant:
    """Whatever a peer makes the package raise ends this attempt, and nothing else."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, Exception)
