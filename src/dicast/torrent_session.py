"""libtorrent on asyncio: one session for the hash table and for torrents; the only module that loads it."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import socket
from collections.abc import Callable
from typing import Any, cast

import libtorrent  # pyright: ignore[reportMissingTypeStubs]
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

lt = cast("Any", libtorrent)
PUBLIC_ROUTERS = ("dht.libtorrent.org:25401", "router.bittorrent.com:6881", "dht.transmissionbt.com:6881")
JOIN_SECONDS_MAX = 3.0  # then it goes on: a table with dead nodes takes many times as long to be joined
ALERTS_MAX = 2000  # waiting to be read; then libtorrent drops, and what was asked is asked again
DHT_BYTES_A_SECOND = 8_000  # what a table of millions may ask of one node
DHT_LOCAL_BYTES_A_SECOND = 1_000_000  # on loopback nothing is scarce
DHT_LOCAL_PACKETS_MAX = 10_000  # of one address: there, all nodes have the same
ITEMS_MAX = 700  # of others, kept for the table: 700 kB
FLAGS_OFF = ("enable_lsd", "enable_upnp", "enable_natpmp")

Alert = Any
OnAlert = Callable[[Alert], None]


class SessionSettings(msgspec.Struct, frozen=True):
    """Where it listens (UDP and TCP), and whom of the table it knows, each `host:port`."""

    listen: tuple[str, int] = ("127.0.0.1", 0)
    bootstrap: tuple[str, ...] = ()


class MutableKey(msgspec.Struct, frozen=True):
    """An Ed25519 key as libtorrent wants it: the expanded secret (64 bytes) and the public key (32)."""

    secret: bytes
    public: bytes


def mutable_key(seed: bytes) -> MutableKey:
    """The key of a seed of 32 bytes."""
    expanded = bytearray(hashlib.sha512(seed).digest())
    expanded[0] &= 248
    expanded[31] = (expanded[31] & 63) | 64
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    return MutableKey(bytes(expanded), public.public_bytes_raw())


class TorrentSession:
    """Started by the first who needs it, stopped by the last; hands out alerts on the loop."""

    def __init__(self, settings: SessionSettings) -> None:
        self.settings = settings
        self._users = 0
        self._session: Any = None
        self._sockets: tuple[socket.socket, socket.socket] | None = None
        self._takers: dict[str, list[OnAlert]] = {}
        self._nodes = 0
        self._joined = asyncio.Event()

    async def joined(self) -> None:
        """Wait until the table answered for the first time, or the time for that is over."""
        if self.settings.bootstrap:
            try:
                async with asyncio.timeout(JOIN_SECONDS_MAX):
                    await self._joined.wait()
            except TimeoutError:
                pass

    def nodes(self) -> int:
        """How many nodes of the table it knew when this was last asked."""
        if self._session is None:
            return 0
        self._session.post_session_stats()
        return self._nodes

    def on(self, kind: str, taker: OnAlert) -> None:
        """Hand every alert of a class of libtorrent's to `taker`, from now on."""
        self._takers.setdefault(kind, []).append(taker)

    def off(self, taker: OnAlert) -> None:
        """Hand nothing more to `taker`."""
        for takers in self._takers.values():
            while taker in takers:
                takers.remove(taker)

    @property
    def raw(self) -> Any:
        """libtorrent's own session, None while it is stopped."""
        return self._session

    @property
    def port(self) -> int:
        """Where it listens, 0 while it does not."""
        return int(self._session.listen_port()) if self._session is not None else 0

    async def start(self) -> None:
        """Join; harmless when others did. Pair it with `stop`."""
        self._users += 1
        if self._session is not None:
            return
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        self._sockets = (ours, theirs)
        self._session = lt.session(_settings(self.settings))
        asyncio.get_running_loop().add_reader(ours.fileno(), self._read)
        self._session.set_alert_fd(theirs.fileno())

    async def stop(self) -> None:
        """Leave once nobody needs it."""
        self._users = max(0, self._users - 1)
        if self._users or self._session is None or self._sockets is None:
            return
        session, self._session = self._session, None
        ours, theirs = self._sockets
        asyncio.get_running_loop().remove_reader(ours.fileno())
        session.set_alert_fd(-1)
        held = [session]
        del session
        await asyncio.to_thread(held.clear)  # the last reference waits for libtorrent's threads
        ours.close()
        theirs.close()

    def announce(self, infohash: bytes, port: int) -> None:
        """Say in the table that this machine takes connections at `port` for this hash (BEP 5)."""
        if self._session is not None:
            self._session.dht_announce(lt.sha1_hash(infohash), port, 0)

    def get_peers(self, infohash: bytes) -> None:
        """Ask who did; answers are `dht_get_peers_reply_alert`."""
        if self._session is not None:
            self._session.dht_get_peers(lt.sha1_hash(infohash))

    def put(self, key: MutableKey, salt: bytes, value: bytes) -> None:
        """Keep a signed value in the table (BEP 44), in place of what was there."""
        if self._session is not None:
            self._session.dht_put_mutable_item(key.secret, key.public, value, salt)

    def get(self, key: MutableKey, salt: bytes) -> None:
        """Ask for one; answers are `dht_mutable_item_alert`, the last of them `authoritative`."""
        if self._session is not None:
            self._session.dht_get_mutable_item(key.public, salt)

    def _read(self) -> None:
        if self._sockets is None or self._session is None:
            return
        try:
            while self._sockets[0].recv(4096):
                pass
        except BlockingIOError:
            pass
        for alert in self._session.pop_alerts():
            if isinstance(alert, lt.session_stats_alert):
                self._nodes = int(alert.values["dht.dht_nodes"])
            elif isinstance(alert, lt.dht_bootstrap_alert):
                self._joined.set()
                self._session.post_session_stats()
            for taker in tuple(self._takers.get(type(alert).__name__, ())):
                taker(alert)


def _settings(settings: SessionSettings) -> dict[str, object]:
    host, port = settings.listen
    categories = lt.alert.category_t
    wanted = ("dht_notification", "dht_operation_notification", "status_notification", "error_notification")
    wanted += ("storage_notification", "piece_progress_notification")
    chosen: dict[str, object] = {
        "listen_interfaces": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        "alert_mask": sum(int(getattr(categories, name)) for name in wanted),
        "alert_queue_size": ALERTS_MAX,
        "dht_bootstrap_nodes": ",".join(settings.bootstrap),
        "dht_upload_rate_limit": DHT_BYTES_A_SECOND,
        "dht_max_dht_items": ITEMS_MAX,
        "user_agent": "dicast",
        "peer_fingerprint": "-DC0100-",
        **dict.fromkeys(FLAGS_OFF, False),
    }
    if ipaddress.ip_address(host).is_loopback:
        chosen |= {
            "dht_restrict_routing_ips": False,
            "dht_restrict_search_ips": False,
            "dht_prefer_verified_node_ids": False,
            "dht_ignore_dark_internet": False,
            "dht_block_ratelimit": DHT_LOCAL_PACKETS_MAX,
            "dht_upload_rate_limit": DHT_LOCAL_BYTES_A_SECOND,
            "allow_multiple_connections_per_ip": True,
            "enable_outgoing_utp": False,  # TCP is faster where no line is shared
            "enable_incoming_utp": False,
        }
    return chosen
