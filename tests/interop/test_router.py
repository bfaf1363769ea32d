"""`dicast router`: nodes meet there by TCP, WebSocket and TLS, as peers or clients."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from dicast.base.crypto import KeyPair
from dicast.base.events import encode_event, sign_event
from dicast.protocol.messages import Kind
from dicast.transports.zenoh import ZenohSettings, ZenohTransport
from free_ports import free_port
from waiting import WAIT_SECONDS_MAX, until

pytestmark = pytest.mark.anyio
KEY = KeyPair.from_seed(b"router".ljust(32))


class Router:
    """A router process on endpoints that stay the same when it is killed and started again."""

    def __init__(self, folder: Path, ports: list[int]) -> None:
        self.endpoints = {
            kind: f"{kind}/127.0.0.1:{port}" for kind, port in zip(("tcp", "ws", "tls"), ports, strict=True)
        }
        self.ca_file = folder / "ca.pem"
        self._words = [f"--listen={endpoint}" for endpoint in self.endpoints.values()]
        self._words += [f"--certificate={folder / 'certificate.pem'}", f"--key={folder / 'key.pem'}"]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "dicast.cli", "router", *self._words]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        said = [self._process.stdout.readline() for _ in self.endpoints]
        assert said == [f"listening on {endpoint}\n" for endpoint in self.endpoints.values()]

    def kill(self) -> None:
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.communicate()
            self._process = None


def make_certificates(folder: Path) -> None:
    """An authority of one's own and a certificate by it; Zenoh takes none that vouches for itself."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    rsa = ("-newkey", "rsa:2048", "-nodes")
    openssl("req", "-x509", *rsa, "-days", "2", "-subj", "/CN=test", "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", *rsa, "-subj", "/CN=127.0.0.1", "-keyout", "key.pem", "-out", "request.pem")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    signing = ("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial")
    openssl(*signing, "-days", "2", "-extfile", "names", "-out", "certificate.pem")


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    folder = tmp_path_factory.mktemp("router")
    make_certificates(folder)
    made = Router(folder, [free_port() for _ in range(3)])
    made.start()
    yield made
    made.kill()


class Node:
    """A transport and what it handed over."""

    def __init__(self, settings: ZenohSettings) -> None:
        self.transport = ZenohTransport(settings)
        self.wires: list[bytes] = []


MakeNode = Callable[..., Awaitable[Node]]
LISTEN = {"peer": ("tcp/127.0.0.1:0",), "client": ()}


@pytest.fixture
async def make_node(router: Router) -> AsyncIterator[MakeNode]:
    nodes: list[Node] = []
    topic = secrets.token_hex(32)

    async def make(mode: str, kind: str, ca_file: Path | None = None) -> Node:
        settings = ZenohSettings(LISTEN[mode], (router.endpoints[kind],), ca_file=ca_file or router.ca_file)
        nodes.append(Node(settings))
        await nodes[-1].transport.start(topic, nodes[-1].wires.append)
        return nodes[-1]

    yield make
    await asyncio.gather(*(node.transport.stop() for node in nodes))


def packet(content: str) -> bytes:
    return encode_event(sign_event(KEY, int(time.time()), Kind.REQUEST, [("t", "ab" * 32)], content))


async def meet(one: Node, other: Node) -> None:
    await until(lambda: bool(one.transport.peers()) and bool(other.transport.peers()))
    for sender, receiver in ((one, other), (other, one)):
        sender.transport.publish(wire := packet(secrets.token_hex(8)))
        await until(lambda receiver=receiver, wire=wire: wire in receiver.wires)


@pytest.mark.parametrize("mode", ["peer", "client"])
@pytest.mark.parametrize("kind", ["tcp", "ws", "tls"])
async def test_two_nodes_meet_through_it(make_node: MakeNode, kind: str, mode: str) -> None:
    await meet(await make_node(mode, kind), await make_node(mode, kind))


async def test_clients_of_different_kinds_and_a_peer_meet(make_node: MakeNode) -> None:
    web, secure, peer = [
        await make_node(*how) for how in (("client", "ws"), ("client", "tls"), ("peer", "tcp"))
    ]
    await meet(web, secure)
    await meet(secure, peer)


async def test_a_certificate_that_nobody_vouches_for_is_refused(make_node: MakeNode, tmp_path: Path) -> None:
    make_certificates(tmp_path)
    stranger = await make_node("client", "tls", tmp_path / "ca.pem")
    await until(lambda: stranger.transport.health().state == "down")
    assert not stranger.transport.peers()


async def test_clients_are_back_soon_after_its_restart(make_node: MakeNode, router: Router) -> None:
    one, other = await make_node("client", "tcp"), await make_node("client", "ws")
    await meet(one, other)
    router.kill()
    await until(lambda: not one.transport.peers() and not other.transport.peers())
    router.start()
    began = time.monotonic()
    await meet(one, other)
    assert time.monotonic() - began < 20


def test_a_port_that_is_taken_is_said(router: Router) -> None:
    command = [sys.executable, "-m", "dicast.cli", "router", f"--listen={router.endpoints['tcp']}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS_MAX, check=False)
    assert ended.returncode == 1
    assert "cannot listen" in ended.stderr
