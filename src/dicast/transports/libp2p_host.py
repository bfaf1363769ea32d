"""A libp2p host on a trio loop: keeps the peers it knows connected, and says what it sees."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import Any

import msgspec

from dicast.transports.background import described
from dicast.transports.backoff import Backoff
from dicast.transports.libp2p_links import Handler, Lines

DIAL_SECONDS_MAX = 10.0
LOOK_SECONDS = 0.2  # between two looks at who is connected
PING_SECONDS = 10.0
LEAVE_SECONDS_MAX = 0.5
CONNECTIONS_MAX = 128  # as many as a busy node has; the package prunes what is over
YAMUX = "/yamux/1.0.0"  # the other muxer knows no window: whoever sends fills memory
SUGGESTED_MAX = 64  # addresses that others told us of and that were not tried yet
CONNECTIONS_WANTED = 8  # with fewer, suggested addresses are tried, then those of the table
TRIED_SECONDS = 60.0  # whom the table knows is dialled once in so long
TRIED_MAX = 60  # of them in that time: hearsay makes us knock once a second at most
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
        self._tried: dict[Any, float] = {}
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
        lines = Lines()
        self.host = import_module("libp2p").new_host(
            key_pair=key,
            transports=lines.transports(),
            sec_opt=_noise(key),
            muxer_opt={YAMUX: import_module("dicast.transports.libp2p_muxer").BoundedYamux},
            connection_config=limits,
        )
        network = self.host.get_network()
        network.retry_config.max_retries = 0  # when to try again is ours to say
        network.set_stream_handler(_patient(network.common_stream_handler))
        try:
            async with self._serving(listen) as nursery:
                yield nursery
        finally:
            await lines.close()

    @asynccontextmanager
    async def _serving(self, listen: list[Any]) -> AsyncGenerator[Any]:
        async with self.host.run(listen), self._trio.open_nursery() as nursery:
            if len(self.host.get_addrs()) < len(listen):  # the package says nothing of that
                raise OSError(f"cannot listen on {', '.join(self._settings.listen)}")
            self._nursery = nursery
            await self.host.get_network().auto_connector.stop()  # it dials hearsay, up to 64 at once
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
            elif not self.is_connected(str(info.peer_id)):  # where it was said to be, not where it says it is
                await self.host.get_network().dial_addr(info.addrs[0], info.peer_id)

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
        """While there are few connections, try what others said, and whom the table knows."""
        while True:
            await self._trio.sleep(LOOK_SECONDS)
            if len(self.host.get_connected_peers()) >= CONNECTIONS_WANTED:
                continue
            with _Tolerant():
                if not self._suggested:
                    await self._try_known()
                    continue
                address = random.choice(list(self._suggested))  # noqa: S311 (no order that others choose)
                del self._suggested[address]
                await self.connect(address)

    async def _try_known(self) -> None:
        """One of those that the package heard of, each once in a while."""
        now, peers = self._trio.current_time(), self.host.get_peerstore().peer_ids()
        self._tried = {peer: at for peer, at in self._tried.items() if now - at < TRIED_SECONDS}
        unknown = {self.host.get_id(), *self.host.get_connected_peers(), *self._tried}
        if (new := [peer for peer in peers if peer not in unknown]) and len(self._tried) < TRIED_MAX:
            chosen = random.choice(new)  # noqa: S311
            self._tried[chosen] = now
            with self._trio.fail_after(DIAL_SECONDS_MAX):
                await self.host.get_network().dial_peer(chosen)

    async def _ping(self) -> None:
        """Ask each peer whether it is there, all at once, and hang up on one that does not say."""
        while True:
            async with self._trio.open_nursery() as nursery:
                for peer in list(self.host.get_connected_peers()):
                    nursery.start_soon(self._ping_one, peer)
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


def _noise(key: Any) -> dict[Any, Any]:
    """How connections are secured: the package would take one in the clear, whose peer is who it says."""
    package = import_module("libp2p.security.noise.transport")
    own = import_module("libp2p.crypto.x25519").create_new_key_pair().private_key
    return {package.PROTOCOL_ID: package.Transport(key, noise_privkey=own)}


def _patient(handler: Handler) -> Handler:
    """What a stream of theirs makes the package raise ends that stream: by itself it ends the host."""

    async def handle(stream: Any) -> None:
        try:
            await handler(stream)
        except Exception:  # the package has errors of many families
            with suppress(Exception):
                await stream.reset()

    return handle


class _Tolerant:
    """Whatever a peer makes the package raise ends this attempt, and nothing else."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, Exception)
