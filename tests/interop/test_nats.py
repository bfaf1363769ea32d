"""NATS against nats-server: the suite of every transport, credentials, restarts, limits, a round."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import servers
from dicast.base.limits import PACKET_BYTES_MAX
from dicast.ports import Transport
from dicast.protocol.messages import Kind
from dicast.transports.nats import NatsTransport
from dicast.transports.nats_client import NatsClient, NatsServer, read_credentials
from driven import asked_over
from loading import load, suite_of_transports

pytestmark = pytest.mark.anyio
PASSWORD = "a password"
TESTS = Path(__file__).resolve().parents[1]


suite = load("tests/conformance/test_transports.py")
globals().update(suite_of_transports())


class Server:
    """One nats-server whose ports stay the same when it is killed and started again."""

    def __init__(self, folder: Path, *, tls: bool = False, more: str = "") -> None:
        self.folder = folder
        self.ports = (servers.free_port(), servers.free_port())
        self.ca_file = folder / "certificate.pem"
        self.is_tls = tls
        self.has_password = "operator" not in more
        self.process: subprocess.Popen[bytes] | None = None
        files = f'cert_file: "{self.ca_file}", key_file: "{folder / "key.pem"}"'
        lines = [f"listen: 127.0.0.1:{self.ports[0]}", more]
        web = f"tls {{{files}}}" if tls else "no_tls: true"
        lines += [f"websocket {{ listen: '127.0.0.1:{self.ports[1]}', {web} }}"]
        if tls:
            servers.make_certificate(folder)
            lines += [f"tls {{{files}}}"]
        if self.has_password:
            lines += [f"authorization {{ user: node, password: '{PASSWORD}' }}"]
        (folder / "nats.conf").write_text("\n".join(lines))

    def at(self, scheme: str, password: str = PASSWORD, **named) -> NatsServer:
        port = self.ports[1] if scheme in ("ws", "wss") else self.ports[0]
        who = {"user": "node", "password": password} if self.has_password else {}
        ca_file = self.ca_file if self.is_tls else None
        return NatsServer(f"{scheme}://127.0.0.1:{port}", **{**who, "ca_file": ca_file, **named})

    def start(self) -> None:
        self.process = subprocess.Popen(
            [servers.program("nats-server"), "-c", str(self.folder / "nats.conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for port in self.ports:
            servers.wait_for_port(port)

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


def nkey(prefix: int, key: Ed25519PrivateKey, is_seed: bool = False) -> str:
    """A key as NATS spells it: a letter of kind, the bytes, a checksum, in base 32."""
    kind = bytes([18 << 3 | prefix >> 5, (prefix & 31) << 3]) if is_seed else bytes([prefix])
    raw = kind + (key.private_bytes_raw() if is_seed else key.public_key().public_bytes_raw())
    check = 0
    for byte in raw:
        check ^= byte << 8
        for _ in range(8):
            check = (check << 1 ^ (0x1021 if check & 0x8000 else 0)) & 0xFFFF
    return base64.b32encode(raw + check.to_bytes(2, "little")).rstrip(b"=").decode()


OPERATOR, ACCOUNT, USER = 14 << 3, 0, 20 << 3

Named = tuple[int, Ed25519PrivateKey]


def permission(issuer: Named, subject: Named, claims: dict) -> str:
    def packed(value: object) -> str:
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    body = {"jti": secrets.token_hex(8), "iat": int(time.time()), "iss": nkey(*issuer)}
    body |= {"name": "test", "sub": nkey(*subject), "nats": {"version": 2, **claims}}
    text = f"{packed({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{packed(body)}"
    return f"{text}.{packed(issuer[1].sign(text.encode()))}"


class Operator:
    """An operator with one account, and credentials of one user of it."""

    def __init__(self) -> None:
        operator, account = (OPERATOR, Ed25519PrivateKey.generate()), (ACCOUNT, Ed25519PrivateKey.generate())
        user = (USER, Ed25519PrivateKey.generate())
        every = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1)
        limits = {"limits": {**every, "wildcards": True}}
        own = permission(operator, operator, {"type": "operator"})
        granted = permission(operator, account, {"type": "account", **limits})
        allowed = permission(
            account, user, {"type": "user", "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1}
        )
        self.configuration = (
            f"operator: {own}\nresolver: MEMORY\nresolver_preload: {{ {nkey(*account)}: {granted} }}"
        )
        self.credentials = read_credentials(
            f"-----BEGIN NATS USER JWT-----\n{allowed}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{nkey(*user, is_seed=True)}\n------END USER NKEY SEED------\n"
        )


@pytest.fixture(scope="module")
def make_shared(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], Callable[[], NatsServer]]]:
    """One server of each kind for all tests that leave it in peace; gives who connects and where."""
    made: dict[str, Server] = {}
    operator = Operator()

    def server(kind: str) -> Callable[[], NatsServer]:
        family = {"tls": "tls", "wss": "tls", "credentials": "operator"}.get(kind, "plain")
        if family not in made:
            more = operator.configuration if family == "operator" else ""
            made[family] = Server(tmp_path_factory.mktemp(family), tls=family == "tls", more=more)
            made[family].start()
        if family == "operator":
            return lambda: made[family].at("nats", credentials=operator.credentials)
        return lambda: made[family].at({"tcp": "nats"}.get(kind, kind))

    yield server
    for each in made.values():
        each.kill()


@pytest.fixture(params=["tcp", "ws", "tls", "wss", "credentials"])
async def make_transport(
    request: pytest.FixtureRequest, make_shared
) -> AsyncIterator[Callable[[], Transport]]:
    made, place = list[Transport](), make_shared(request.param)

    def make() -> Transport:
        made.append(NatsTransport(place()))
        return made[-1]

    yield make
    for transport in made:
        await transport.stop()


@pytest.fixture
def make_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    made: list[Server] = []

    def make(**named) -> Server:
        made.append(Server(tmp_path_factory.mktemp("nats"), **named))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.kill()


@pytest.fixture
async def make_node(topic: str) -> AsyncIterator[Callable]:
    nodes: list[Transport] = []

    async def make(place: NatsServer, is_up: bool = True) -> tuple[NatsTransport, object]:
        nodes.append(NatsTransport(place))
        inbox = suite.Inbox()
        await nodes[-1].start(topic, inbox.take)
        if is_up:
            await suite.until(lambda: nodes[-1].health().state == "up")
        return nodes[-1], inbox

    yield make
    await asyncio.gather(*(node.stop() for node in nodes))


async def test_a_server_that_is_killed_and_comes_back(make_server, make_node, topic) -> None:
    server = make_server()
    (sender, _), (receiver, inbox) = [await make_node(server.at("nats")) for _ in range(2)]
    server.kill()
    await suite.until(lambda: sender.health().state == receiver.health().state == "down")
    wires = suite.numbered(topic, 20)
    for wire in wires:
        sender.publish(wire)
    server.start()
    back_at = time.monotonic()
    await inbox.until_has(wires)
    assert time.monotonic() - back_at < 20
    assert sender.health().dropped == 0


@pytest.mark.parametrize("scheme", ["nats", "ws"])
async def test_a_server_that_stands_still_is_noticed_and_found_again(
    make_server, make_node, topic, monkeypatch, scheme: str
) -> None:
    monkeypatch.setattr("dicast.transports.nats_client.HEARTBEAT_SECONDS", 0.2)
    server = make_server()
    (sender, _), (receiver, inbox) = [await make_node(server.at(scheme)) for _ in range(2)]
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    await suite.until(lambda: sender.health().state == receiver.health().state == "down")
    monkeypatch.undo()
    server.process.send_signal(signal.SIGCONT)
    await suite.until(lambda: sender.health().state == receiver.health().state == "up")
    wire = suite.packet(topic)
    sender.publish(wire)
    await inbox.until_has([wire])


async def test_the_round_trip_is_measured(make_shared, make_node) -> None:
    node, _ = await make_node(make_shared("tcp")())
    assert node.health().round_trip_ms is not None
    await node.stop()
    assert node.health().round_trip_ms is None


async def test_a_newcomer_hears_announcements(make_shared, make_node, topic) -> None:
    first, _ = await make_node(make_shared("tcp")())
    announcement = suite.packet(topic, "offer", Kind.ANNOUNCEMENT)
    first.publish(announcement)
    await suite.until(lambda: first.health().sent == 1)
    _, inbox = await make_node(make_shared("ws")())
    await inbox.until_has([announcement])
    assert first.health().sent == 1


@pytest.mark.parametrize("scheme", ["nats", "ws"])
async def test_a_wrong_password_is_said(make_server, make_node, scheme: str) -> None:
    node, _ = await make_node(make_server().at(scheme, password="wrong"), is_up=False)
    await suite.until(lambda: node.health().state == "down")
    assert "uthori" in node.health().detail
    assert "wrong" not in node.health().detail


@pytest.mark.parametrize("scheme", ["tls", "wss"])
async def test_a_certificate_that_nobody_vouches_for_is_refused(make_server, make_node, scheme: str) -> None:
    node, _ = await make_node(make_server(tls=True).at(scheme, ca_file=None), is_up=False)
    await suite.until(lambda: node.health().state == "down")
    assert "certificate" in node.health().detail.lower()


async def test_a_server_without_tls_gets_no_password_where_tls_was_asked_for(make_server, make_node) -> None:
    server = make_server()
    node, _ = await make_node(server.at("tls"), is_up=False)
    await suite.until(lambda: node.health().state == "down")
    assert node.health().detail.endswith("the server offers no TLS")


async def test_a_server_that_asks_for_tls_gets_it_without_being_asked(make_server, make_node, topic) -> None:
    server = make_server(tls=True)
    (sender, _), (_, inbox) = [await make_node(server.at("nats")) for _ in range(2)]
    sender.publish(wire := suite.packet(topic))
    await inbox.until_has([wire])


async def test_a_packet_over_the_limit_of_the_server_is_left_to_others(make_server, make_node, topic) -> None:
    server = make_server(more="max_payload: 20000")
    (sender, _), (_, inbox) = [await make_node(server.at("nats")) for _ in range(2)]
    assert sender.payload_bytes_max == 20_000
    small, large = suite.packet(topic, "x" * 15_000), suite.packet(topic, "x" * 30_000)
    sender.publish(large)
    sender.publish(small)
    await inbox.until_has([small])
    assert large not in inbox.wires
    assert (sender.health().state, sender.health().dropped) == ("up", 1)


async def test_a_stranger_on_the_server_may_send_anything(make_shared, make_node, topic) -> None:
    place = make_shared("tcp")
    node, inbox = await make_node(place())
    stranger = NatsClient(place())
    await stranger.open()
    await stranger.publish(f"dicast.{topic}.packet", bytes(PACKET_BYTES_MAX + 1))
    await stranger.publish(f"dicast.{topic}.packet", bytes(1 << 20))
    for number in range(500):
        await stranger.publish(f"dicast.{topic}.packet", b"noise %d\r\nMSG" % number)
        await stranger.publish(f"dicast.{topic}.hello", b"\xff")
    await inbox.until_has([b"noise 499\r\nMSG"])
    await stranger.close()
    assert (node.health().state, node.health().dropped) == ("up", 2)


class Neighbour:
    """Who knows NATS from its manual alone: a socket, and the lines written by hand."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.file = self.socket.makefile("rwb")
        assert self.file.readline().startswith(b"INFO ")
        self.say({"user": "node", "pass": PASSWORD})

    def say(self, who: dict[str, str]) -> None:
        self.file.write(b"CONNECT " + json.dumps({**who, "verbose": False}).encode() + b"\r\nPING\r\n")
        self.file.flush()
        assert self.file.readline() == b"PONG\r\n"

    def close(self) -> None:
        self.file.close()
        self.socket.close()


async def test_what_a_client_by_hand_says_is_heard_and_it_hears_us(make_server, make_node, topic) -> None:
    server = make_server()
    node, inbox = await make_node(server.at("nats"))
    neighbour = await asyncio.to_thread(Neighbour, server.ports[0])
    with contextlib.closing(neighbour):
        theirs, ours = suite.packet(topic, "theirs"), suite.packet(topic, "ours")
        neighbour.file.write(
            f"SUB dicast.{topic}.packet 7\r\nPUB dicast.{topic}.packet {len(theirs)}\r\n".encode()
        )
        neighbour.file.write(theirs + b"\r\n")
        neighbour.file.flush()
        await inbox.until_has([theirs])
        node.publish(ours)
        lines = [await asyncio.to_thread(neighbour.file.readline) for _ in range(4)]
    assert lines[1::2] == [theirs + b"\r\n", ours + b"\r\n"]


async def test_a_round(make_shared) -> None:
    """Over NATS alone."""
    place = make_shared("tcp")
    async with asked_over(lambda _: NatsTransport(place())):
        pass
