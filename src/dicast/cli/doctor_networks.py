"""The checks of `dicast doctor` that need a network: ports, each transport by a packet of its own, NAT."""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import msgspec

from dicast.base.crypto import KeyPair
from dicast.base.errors import DicastError
from dicast.base.events import encode_event, sign_event
from dicast.cli.doctor_checks import Check, State, failed
from dicast.daemon import plugins, stun
from dicast.daemon.config_schema import Settings
from dicast.daemon.lan import with_lan
from dicast.ports import Reachable, Transport
from dicast.protocol.messages import Kind

Table = dict[str, object]
UP_S = 8.0
"""A relay, a broker or a peer that takes longer is of no use in a round."""
PASS_S = 4.0
"""What a packet gets to come back; peers that must first find each other take a second or two."""
LOOK_S = 0.01
SERVED = frozenset({"nostr", "mqtt", "nats"})
"""Networks with a server: two ends of the same settings meet there."""
INTRODUCED: dict[str, Table] = {
    "libp2p": {"listen": ["/ip4/127.0.0.1/tcp/0"]},
    "bittorrent": {"listen": "127.0.0.1:0", "table": "127.0.0.1:0"},
    "nkn": {},
}
"""Networks whose ends are told of each other, as a ticket would; where both listen meanwhile."""
MENDED = {
    "nostr": "Is the relay running, and the address right? Its own log says more.",
    "mqtt": "Are broker, user and password right, and may this user publish below dicast/?",
    "nats": "Are server, user and password right, and may this user publish below dicast?",
    "gun": "Is the relay running, and the address right?",
    "zenoh": "Is the router or peer in `connect` running? Behind a NAT: listen = [].",
    "websocket": "Is the hub or peer running, and does a proxy before it pass WebSockets on?",
    "libp2p": "Are the peers and relays running, and their addresses right?",
    "bittorrent": "Are the nodes in `bootstrap` running, and does UDP get out?",
    "nkn": "Does this machine reach NKN's nodes, or those of `rpc`?",
    "webrtc": "Name a TURN server under [transports.webrtc], and look at the check of the NAT.",
}
ON_LAN = "`dicast up` listens, and looks for others by multicast, on"
NATS = {
    stun.Nat.NONE: "none: other machines reach this one where its firewall lets them",
    stun.Nat.CONE: "one address for all destinations: direct connections work, except to symmetric NATs",
    stun.Nat.SYMMETRIC: "symmetric: a new address for each destination, so only relayed connections work",
    stun.Nat.UNKNOWN: "there is one; one server cannot tell its kind",
    stun.Nat.BLOCKED: "no STUN server answers: they are down, or UDP does not get out",
}
TURN = "Name a TURN server: turn = [...] under [transports.webrtc]."
SECOND_STUN = 'Name a second STUN server, or a second port: stun = ["stun:…", "stun:…"].'
NAT_FIXES = {stun.Nat.SYMMETRIC: TURN, stun.Nat.UNKNOWN: SECOND_STUN, stun.Nat.BLOCKED: TURN}


def enabled(settings: Settings) -> dict[str, Table]:
    """The tables of transports in use, by name; Nostr only where there are relays."""
    return {
        name: {key: value for key, value in table.items() if key != "enabled"}
        for name, table in settings.transports.items()
        if plugins.is_on(table) and (name != "nostr" or settings.relays)
    }


def port_checks(settings: Settings, is_running: bool) -> Iterator[Check]:
    """Whether what is to be listened on can be had."""
    for name, table in enabled(settings).items():
        for address in _listening(table):
            taken = _taken(address)
            where = f"{name} listens on {address[0]} port {address[1]}"
            if not taken:
                yield Check("port", State.OK, f"{where}: free")
            elif is_running:
                yield Check("port", State.OK, f"{where}: taken while a node runs here")
            else:
                fix = f"End the program that has it, or change `listen` under [transports.{name}]."
                yield Check("port", State.FAILED, f"{where}: {taken}", fix)


async def nat_check(settings: Settings) -> Check:
    """The kind of NAT, asked of the STUN servers of the configuration and of no others."""
    servers = [
        str(server)
        for table in enabled(settings).values()
        for server in cast("Sequence[object]", table.get("stun", ()))
    ]
    if not servers:
        fix = 'Name two: stun = ["stun:…", "stun:…"] under [transports.webrtc].'
        return Check("nat", State.OK, f"not looked at: no STUN server is configured. {fix}", fix)
    seen = await stun.look(servers)
    places = ", ".join(sorted({f"{host}:{port}" for host, port in seen.mapped.values()}))
    detail = NATS[seen.nat] + (f" (seen as {places})" if places else "")
    fix = NAT_FIXES.get(seen.nat, "")
    return Check("nat", State.WARNING if fix else State.OK, detail, fix)


def lan_check(settings: Settings) -> Check:
    """Where `dicast up` looks for others by itself."""
    found = with_lan(settings)[1]
    if found.addresses:
        return Check("lan", State.OK, f"{ON_LAN} {', '.join(found.addresses)}")
    return Check("lan", State.OK, f"not used: {found.problem}")


async def transport_checks(settings: Settings, is_running: bool) -> list[Check]:
    """A packet of one's own through every transport, at the same time."""
    tables = enabled(settings)
    return list(
        await asyncio.gather(*(_rehearse(name, tables[name], settings, is_running) for name in tables))
    )


def two_ends(name: str, table: Table) -> tuple[Table, Table] | None:
    """Settings of two nodes that meet over this transport on this machine; None where nobody can say how."""
    plugin = plugins.plugin_of(name, table)
    if plugin in SERVED or plugin == "webrtc":
        return table, table
    if plugin == "gun":
        bare = {key: value for key, value in table.items() if key not in ("listen", "pages")}
        if table.get("relays"):
            return bare, bare
        port = _free_port()
        return {**bare, "listen": f"127.0.0.1:{port}"}, {**bare, "relays": [f"ws://127.0.0.1:{port}/gun"]}
    if plugin == "zenoh":
        connect = cast("Sequence[str]", table.get("connect", ()))
        port = _free_port()
        here = f"tcp/127.0.0.1:{port}"
        if connect:
            away: Table = {**table, "listen": (), "interface": ""}
            return away, away
        return {**table, "listen": [here]}, {**table, "listen": ["tcp/127.0.0.1:0"], "connect": [here]}
    if plugin == "websocket":
        peers = cast("Sequence[str]", table.get("peers", ()))
        bare = {key: value for key, value in table.items() if key not in ("listen", "announce", "hub")}
        if peers:
            return bare, bare
        port = _free_port()
        return {**bare, "listen": f"127.0.0.1:{port}"}, {**bare, "peers": [f"ws://127.0.0.1:{port}"]}
    if plugin in INTRODUCED:
        bare = {key: value for key, value in table.items() if key not in ("announce", "relay")}
        return {**bare, **INTRODUCED[plugin]}, {**bare, **INTRODUCED[plugin]}
    return None


async def _rehearse(name: str, table: Table, settings: Settings, is_running: bool) -> Check:
    ends = two_ends(name, table)
    if ends is None:
        hint = (
            "`dicast transports` shows how it does" if is_running else "start the node: `dicast transports`"
        )
        return Check(name, State.OK, f"not tried without a second machine; {hint}")
    with tempfile.TemporaryDirectory(prefix="dicast-doctor-") as folder:
        try:
            both = [_built(name, end, settings, Path(folder)) for end in ends]
        except DicastError as error:
            return failed(name, error)
        try:
            return await _passed(name, table, both[0], both[1])
        except Exception as error:  # plugins raise what they like, and one must not end the others' checks
            return Check(
                name, State.FAILED, f"it does not start: {error or type(error).__name__}", _fix(name, table)
            )
        finally:
            await asyncio.gather(*(end.stop() for end in both), return_exceptions=True)


async def _passed(name: str, table: Table, one: Transport, other: Transport) -> Check:
    """Wait until both ends are up, then send a packet from one to the other."""
    topic, arrived = secrets.token_hex(32), asyncio.Event()
    event = sign_event(
        KeyPair.from_seed(secrets.token_bytes(32)), int(time.time()), Kind.STATUS, [("t", topic)], ""
    )
    wire = encode_event(event)

    def take(received: bytes) -> None:
        if received == wire:
            arrived.set()

    began = time.monotonic()
    await one.start(topic, take)
    await other.start(topic, lambda _: None)
    plugin = plugins.plugin_of(name, table)
    if plugin in INTRODUCED:
        await _introduce(cast("Reachable", one), cast("Reachable", other))
    await _until_up((one, other))
    up_ms = (time.monotonic() - began) * 1000
    health = one.health()
    if health.state != "up":
        return Check(
            name, State.FAILED, f"{health.state} after {UP_S:.0f} s: {health.detail}", _fix(name, table)
        )
    began = time.monotonic()
    other.publish(wire)
    try:
        await asyncio.wait_for(arrived.wait(), PASS_S)
    except TimeoutError:
        detail = f"up in {up_ms:.0f} ms, but no packet comes through: {health.detail}"
        return Check(name, State.FAILED, detail, _fix(name, table))
    took_ms = (time.monotonic() - began) * 1000
    return Check(
        name, State.OK, f"up in {up_ms:.0f} ms, a packet goes through in {took_ms:.1f} ms: {health.detail}"
    )


async def _introduce(one: Reachable, other: Reachable) -> None:
    """Tell the second where the first is, once both are somewhere."""
    with suppress(TimeoutError):
        async with asyncio.timeout(UP_S):
            while not (one.addresses() and other.addresses()):  # noqa: ASYNC110 (nor has an address)
                await asyncio.sleep(LOOK_S)
    for address in one.addresses():
        other.suggest(address)


async def _until_up(ends: Sequence[Transport]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(UP_S):
            while any(end.health().state != "up" for end in ends):  # noqa: ASYNC110 (health has no event)
                await asyncio.sleep(LOOK_S)


def _fix(name: str, table: Table) -> str:
    plugin = plugins.plugin_of(name, table)
    return MENDED.get(plugin, f"Look at [transports.{name}] in the configuration.")


def _built(name: str, table: Mapping[str, object], settings: Settings, folder: Path) -> Transport:
    key = KeyPair.from_seed(secrets.token_bytes(32))
    surroundings = plugins.Surroundings("", folder, settings.relays, key)
    return cast("Transport", plugins.build(plugins.TRANSPORTS, name, table, surroundings))


def _listening(table: Table) -> Iterator[tuple[str, int]]:
    """Addresses with a port of their own; port 0 is any that is free."""
    listen = table.get("listen", ())
    for place in [listen] if isinstance(listen, str) else cast("Sequence[str]", listen):
        parts = urlsplit(f"//{_without_kind(place)}")
        if parts.hostname and parts.port:
            yield parts.hostname, parts.port


def _without_kind(place: str) -> str:
    """`tcp/[::1]:7447` and `/ip6/::1/tcp/7447/ws` as `[::1]:7447`."""
    words = place.split("/")
    if len(words) > 4 and words[1] in ("ip4", "ip6") and words[3] == "tcp":
        return f"[{words[2]}]:{words[4]}" if words[1] == "ip6" else f"{words[2]}:{words[4]}"
    return words[-1]


def _taken(address: tuple[str, int]) -> str:
    """Why the port cannot be had; empty when it can."""
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(address[0]).version == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rehearsal(settings: Settings, working: Sequence[str]) -> tuple[Settings, Settings] | None:
    """Settings of one that answers and one that asks over the transports that work; None if none does."""
    tables = {
        name: table
        for name, table in enabled(settings).items()
        if plugins.plugin_of(name, table) not in INTRODUCED  # nodes meet there by themselves only
    }
    ends = {name: pair for name in working if name in tables and (pair := two_ends(name, tables[name]))}
    if not ends:
        return None
    unused = {name: {"enabled": False} for name in settings.transports if name not in ends}
    one, other = (
        msgspec.structs.replace(
            settings, transports={**{name: pair[side] for name, pair in ends.items()}, **unused}
        )
        for side in (0, 1)
    )
    return one, other
