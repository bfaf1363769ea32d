"""Relays that the conformance suite runs against: our own, and one that we did not write."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import nostr_sdk
import pytest

from dicast.transports.relay import run_relay
from free_ports import free_port

PEER_RELAY = Path(__file__).parents[2] / ".venv-peer-relay" / "bin" / "nostr-relay"
START_SECONDS_MAX = 60
PEER_CONFIGURATION = """
DEBUG: false
relay_name: peer
storage:
  sqlalchemy.url: sqlite+aiosqlite:///{folder}/nostr.sqlite3
  num_concurrent_reqs: 10
  num_concurrent_adds: 2
  validators: [nostr_relay.validators.is_signed]
verification: {{nip05_verification: disabled}}
gunicorn: {{bind: "127.0.0.1:{port}", loglevel: info}}
authentication:
  enabled: {auth}
  relay_urls: ["ws://127.0.0.1:{port}"]
  actions: {{save: {role}, query: {role}}}
message_timeout: 1800
subscription_limit: 32
max_limit: 6000
logging:
  version: 1
  formatters: {{simple: {{format: "%(message)s"}}}}
  handlers: {{console: {{class: logging.StreamHandler, formatter: simple, stream: "ext://sys.stdout"}}}}
  loggers: {{nostr_relay: {{level: WARNING}}}}
  root: {{level: INFO, handlers: [console]}}
"""
AUTHENTICATOR = """
from nostr_relay.auth import Authenticator


class KnownAreReaders(Authenticator):
    async def authenticate(self, event, challenge=""):
        token = await super().authenticate(event, challenge)
        return {**token, "roles": {"r"}}
"""


def start_peer_relay(folder: Path, with_auth: bool) -> tuple[subprocess.Popen[bytes], str]:
    """Start the relay and wait until it says that it listens."""
    port = free_port()
    role = "r" if with_auth else "a"
    text = PEER_CONFIGURATION.format(folder=folder, port=port, auth=str(with_auth).lower(), role=role)
    if with_auth:
        (folder / "known_are_readers.py").write_text(AUTHENTICATOR)
        text = text.replace(
            "  relay_urls:", "  authenticator_class: known_are_readers.KnownAreReaders\n  relay_urls:"
        )
    (folder / "config.yaml").write_text(text)
    process = subprocess.Popen(
        [str(PEER_RELAY), "-c", str(folder / "config.yaml"), "serve", "--use-uvicorn"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    listening, lines = threading.Event(), list[bytes]()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if b"Uvicorn running" in line or b"startup complete" in line:
                listening.set()
        process.stdout.close()

    threading.Thread(target=read, daemon=True).start()
    if not listening.wait(START_SECONDS_MAX):
        process.kill()
        raise AssertionError(b"".join(lines).decode())
    return process, f"ws://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def peer_relay_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[bool], str]]:
    """The address of the foreign relay, with or without NIP-42, started when first asked for."""
    started: dict[bool, tuple[subprocess.Popen[bytes], str]] = {}

    def url(with_auth: bool) -> str:
        if not PEER_RELAY.exists():
            pytest.fail("the foreign relay is not installed: make .venv/.peer-relay")
        if with_auth not in started:
            started[with_auth] = start_peer_relay(tmp_path_factory.mktemp("peer-relay"), with_auth)
        return started[with_auth][1]

    yield url
    for process, _ in started.values():
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


@asynccontextmanager
async def serve_embedded(with_auth: bool) -> AsyncIterator[str]:
    if with_auth:  # `dicast relay` has no such option; the library does, and answers as public relays do
        mode = nostr_sdk.LocalRelayBuilderNip42(mode=nostr_sdk.LocalRelayBuilderNip42Mode.BOTH)
        port = free_port()
        relay = nostr_sdk.LocalRelayBuilder().addr("127.0.0.1").port(port).nip42(mode)
        relay = relay.rate_limit(nostr_sdk.RateLimit(max_reqs=64, notes_per_minute=6000)).build()
        await relay.run()
        yield f"ws://127.0.0.1:{port}"
        relay.shutdown()
        return
    stop = asyncio.Event()
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(run_relay("127.0.0.1", 0, stop=stop, ready=address.set_result))
    yield await address
    stop.set()
    await task


@pytest.fixture
def embedded_relay() -> Callable[[bool], AbstractAsyncContextManager[str]]:
    """Runs our own relay inside the test, with or without NIP-42; gives its address."""
    return serve_embedded


ZENOH_ROUTER = """
import sys, zenoh
config = zenoh.Config()
config.insert_json5("mode", '"router"')
config.insert_json5("listen/endpoints", f'["{sys.argv[1]}"]')
config.insert_json5("scouting/multicast/enabled", "false")
session = zenoh.open(config)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="session")
def zenoh_process() -> Iterator[Callable[[], str]]:
    """The endpoint of a Zenoh router in a process of its own, started when first asked for."""
    started: list[tuple[subprocess.Popen[str], str]] = []

    def endpoint() -> str:
        if not started:
            chosen = f"tcp/127.0.0.1:{free_port()}"
            command = [sys.executable, "-c", ZENOH_ROUTER, chosen]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            started.append((process, chosen))
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        return started[0][1]

    yield endpoint
    for process, _ in started:
        process.kill()
        process.communicate()
