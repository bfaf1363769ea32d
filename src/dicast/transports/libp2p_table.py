"""Kademlia's table of providers on a host, kept within bounds whatever others put into it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import Any

from dicast.transports.libp2p_host import Libp2pHost

MULTIHASH = b"\x12\x20"  # SHA-256, 32 bytes: what a key of ours is, so that others take it for content's
KEYS_KEPT_MAX = 4096  # of others; twenty providers each, about 20 MB at worst
ADDRESSES_MAX = 8  # of one provider
PROVIDERS_MAX = 16  # asked for their record in one look-up
AT_ONCE = 4
ANSWER_SECONDS_MAX = 10.0  # of one node of the table
STREAM_SECONDS_MAX = 30.0  # an idle stream holds one of the few places for those who ask us


class ProviderTable:
    """A server of the table; everything here runs on the trio loop."""

    def __init__(self, host: Libp2pHost) -> None:
        self._trio: Any = import_module("trio")
        package = import_module("libp2p.kad_dht.kad_dht")
        nothing = import_module("libp2p.records.validator").NamespacedValidator({}, strict_validation=True)
        self._host = host
        self._met: set[str] = set()
        self._dht: Any = package.KadDHT(
            host.host,
            package.DHTMode.SERVER,
            validator=nothing,  # values of others are not kept, only who provides what
            validator_changed=True,
            strict_validation=True,
        )
        self._add_provider = self._dht.provider_store.add_provider
        self._dht.provider_store.add_provider = self._add
        host.host.set_stream_handler(package.PROTOCOL_ID, self._answer)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Part of the table while this lasts."""
        service = import_module("libp2p.tools.anyio_service").background_trio_service
        async with service(self._dht):
            yield

    @property
    def size(self) -> int:
        """How many other nodes of the table are known."""
        return int(self._dht.get_routing_table_size())

    async def meet(self) -> None:
        """Take whoever is connected and serves the table into it."""
        connected = {str(peer): peer for peer in self._host.host.get_connected_peers()}
        self._met &= connected.keys()
        for name in connected.keys() - self._met:
            protocols = ()
            with suppress(Exception):  # nothing is known of it yet
                protocols = self._host.host.get_peerstore().get_protocols(connected[name])
            if protocols:  # it said what it speaks
                self._met.add(name)
                with suppress(Exception), self._trio.move_on_after(ANSWER_SECONDS_MAX):
                    await self._dht.add_peer(connected[name])

    async def explore(self) -> None:
        """Hear of the nodes nearest to us, and where they are."""
        with suppress(Exception), self._trio.move_on_after(ANSWER_SECONDS_MAX):
            await self._dht.peer_routing.find_closest_peers_network(self._host.host.get_id().to_bytes())

    async def provide(self, keys: Sequence[str]) -> None:
        """Tell the nodes nearest to each key that we have a record."""
        for key in keys:
            with suppress(Exception):  # the package has errors of many families
                await self._dht.provider_store.provide(MULTIHASH + bytes.fromhex(key))

    async def providers(self, key: str) -> list[Any]:
        """Who says to have a record under a key: what the nodes nearest to it say, and what we were told."""
        wanted, own = MULTIHASH + bytes.fromhex(key), self._host.host.get_id()
        found = {str(one.peer_id): one for one in self._dht.provider_store.get_providers(wanted)}
        nearest: list[Any] = []
        with suppress(Exception):
            nearest = await self._dht.peer_routing.find_closest_peers_network(wanted)
        limiter = self._trio.CapacityLimiter(AT_ONCE)

        async def ask(peer: Any) -> None:
            store = self._dht.provider_store  # its own look-up ends at the first that we know ourselves
            async with limiter:
                with suppress(Exception), self._trio.move_on_after(ANSWER_SECONDS_MAX):
                    said, _ = await store._get_providers_from_peer_with_closers(peer, wanted)
                    for one in said[:PROVIDERS_MAX]:
                        one.addrs = one.addrs[:ADDRESSES_MAX]
                        found[str(one.peer_id)] = one

        async with self._trio.open_nursery() as nursery:
            for peer in nearest:
                if peer != own:
                    nursery.start_soon(ask, peer)
        found.pop(str(own), None)
        return list(found.values())

    async def _answer(self, stream: Any) -> None:
        """Somebody asks the table; the package waits for them as long as they like."""
        with self._trio.move_on_after(STREAM_SECONDS_MAX) as limit:
            await self._dht.handle_stream(stream)
        if limit.cancelled_caught:
            with suppress(Exception):
                await stream.reset()

    def _add(self, key: bytes, provider: Any) -> None:
        """In place of the package's own, which keeps as many keys as others can think of."""
        kept = self._dht.provider_store.providers
        if key not in kept and len(kept) >= KEYS_KEPT_MAX:
            del kept[next(iter(kept))]
        provider.addrs = provider.addrs[:ADDRESSES_MAX]
        self._add_provider(key, provider)
