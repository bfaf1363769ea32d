"""The checks of `dicast doctor`; each says what it found and, where something is wrong, what to do."""

from __future__ import annotations

import asyncio
import email.utils
import platform
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from enum import StrEnum
from importlib import metadata
from pathlib import Path

import msgspec

from dicast.addresses import without_user
from dicast.base.errors import AdapterError, DicastError
from dicast.base.nip19 import encode_npub
from dicast.cli.common import Common
from dicast.daemon import api
from dicast.daemon.compose import Composed
from dicast.daemon.config_schema import ContentSettings, Settings
from dicast.daemon.control_server import check_socket_path
from dicast.daemon.instance_lock import InstanceLock
from dicast.daemon.key_files import identity_exists, is_encrypted, load_identity
from dicast.daemon.logs import Log
from dicast.daemon.paths import Paths
from dicast.daemon.plugins import is_on
from dicast.daemon.private_network import topic_in
from dicast.daemon.running import running_node
from dicast.protocol.outputs import Put

PACKAGES = (
    "coincurve",
    "cryptography",
    "cyclopts",
    "httpx",
    "msgspec",
    "numpy",
    "onnxruntime",
    "rich",
    "websockets",
)
RELAY_S = 5.0
"""A relay that takes longer to answer is of no use in a round."""
CLOCK_OFF_MS = 30_000
"""Half of what a request's stamp may be off before others refuse it."""
QUESTION = "What is the capital of France?"


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class Check(msgspec.Struct, frozen=True):
    """One check: what was found, and what to do about it."""

    name: str
    state: State
    detail: str
    fix: str = ""


def failed(name: str, error: DicastError) -> Check:
    """A check that ended with an error."""
    return Check(name, State.FAILED, error.message, error.next_step)


def local_checks(settings: Settings, common: Common) -> Iterator[Check]:
    """Everything that needs no network."""
    paths = common.paths()
    yield _python()
    yield _packages()
    yield _weights()
    yield _tiny()
    yield _identity(paths, common)
    yield _store(settings)
    yield _network(settings)
    yield _socket(paths)


async def relay_checks(settings: Settings, ways: Sequence[str] = ()) -> list[Check]:
    """One check a relay, and one of the clock. `ways` are other networks that this node is on."""
    if not settings.relays and ways:
        return [Check("relays", State.OK, f"none is named; others are met over {', '.join(ways)}")]
    if not settings.relays:
        fix = 'Name one: --relay URL, or relays = ["wss://…"] in the configuration; `dicast relay` runs one.'
        return [Check("relays", State.WARNING, "none is named: this node is alone", fix)]
    found = await asyncio.gather(*(_relay(url) for url in settings.relays))
    offsets = [offset for _, offset in found if offset is not None]
    return [check for check, _ in found] + [_clock(offsets)]


async def loopback_check(settings: Settings, ends: tuple[Settings, Settings] | None) -> Check:
    """A whole round with one seat: engine, embedder, protocol, judge.

    Where transports work, one node asks another over them; else a node asks itself.
    """
    network = f"doctor-{secrets.token_hex(4)}"
    parts: dict[str, object] = {
        "store": "memory",
        "network": network,
        "engines": {"tiny": {}},
        "content": ContentSettings(),
    }
    alone: dict[str, object] = {} if ends else {"relays": (), "transports": {}}
    worker = ends[0] if ends else settings
    answers = msgspec.structs.replace(worker, roles=Settings().roles, **parts, **alone)
    asks = msgspec.structs.replace(ends[1], roles=(), **parts) if ends else None
    began = time.monotonic()
    try:
        answer = await _asked(answers, asks)
    except DicastError as error:
        return failed("round", error)
    if not answer.is_accepted:
        return Check("round", State.FAILED, f"a round of one ended {answer.outcome}: {answer.reason}", "")
    way = (
        f"over {', '.join(sorted(_used(ends[0])))}"
        if ends
        else "inside this machine only: no network works where two nodes meet by their settings"
    )
    took = f"{time.monotonic() - began:.1f} s with starting nodes"
    return Check("round", State.OK, f"a round of one {way} was accepted, {took}: {answer.answer}")


async def _asked(answers: Settings, asks: Settings | None) -> api.Answer:
    call = api.Ask(prompt=QUESTION, quorum=1, preset="default", temperature=0.0, timeout_s=20)
    async with AsyncExitStack() as stack:
        nodes: list[Composed] = []
        for settings in filter(None, (answers, asks)):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="dicast-doctor-"))
            running = running_node(settings, Paths(Path(folder)), None, Log("error"), listen=False)
            nodes.append(await stack.enter_async_context(running))
        answer = await nodes[-1].service.answer(call, lambda _: None)
    assert isinstance(answer, api.Answer)
    return answer


def _used(settings: Settings) -> list[str]:
    return [name for name, table in settings.transports.items() if is_on(table)]


def _network(settings: Settings) -> Check:
    if not settings.passphrase_file:
        return Check("network", State.OK, f"{settings.network}, open: relays can read what is not encrypted")
    try:
        topic = topic_in(settings)
    except DicastError as error:
        return failed("network", error)
    heard = "only nodes with the same name and passphrase are heard"
    return Check("network", State.OK, f"{settings.network}, private (topic {topic[:12]}…): {heard}")


def _python() -> Check:
    where = f"{platform.system()} {platform.machine()}"
    return Check("python", State.OK, f"{platform.python_version()} on {where}, {sys.executable}")


def _packages() -> Check:
    missing: list[str] = []
    versions: list[str] = []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Check("packages", State.FAILED, f"missing: {', '.join(missing)}", "Run: make setup")
    return Check("packages", State.OK, ", ".join(versions))


def _weights() -> Check:
    from dicast.embedders.weights import check_weights, find_weights

    try:
        path = find_weights()
        if path is None:
            return Check(
                "weights", State.WARNING, "not here: this node cannot vote", "dicast models get minilm"
            )
        check_weights(path)
    except AdapterError as error:
        return failed("weights", error)
    return Check("weights", State.OK, f"{path} (hash checked)")


def _tiny() -> Check:
    from dicast.engines.tiny import TinyEngine

    began = time.monotonic()
    try:
        answer = TinyEngine().answer_once(QUESTION)
    except AdapterError as error:
        return failed("tiny", error)
    return Check("tiny", State.OK, f"answered in {time.monotonic() - began:.2f} s: {answer}")


def _identity(paths: Paths, common: Common) -> Check:
    try:
        if not identity_exists(paths):
            return Check("identity", State.OK, "none yet; the first command that needs one makes it")
        kind = "ncryptsec" if is_encrypted(paths) else "nsec without a password, mode 0600"
        identity = load_identity(paths, common.password())
    except DicastError as error:
        return failed("identity", error)
    if paths.key.stat().st_mode & 0o077:
        return Check("identity", State.FAILED, f"{paths.key} can be read by others", f"chmod 600 {paths.key}")
    return Check("identity", State.OK, f"{encode_npub(identity.node_id)} ({kind})")


def _store(settings: Settings) -> Check:
    """A store of its own: the node's may be in use, and a check must not touch it."""
    if settings.store != "sqlite":
        return Check("store", State.OK, settings.store)
    from dicast.stores.sqlite import SqliteStore

    try:
        with tempfile.TemporaryDirectory(prefix="dicast-doctor-") as folder:
            store = SqliteStore(Path(folder) / "store.sqlite")
            began = time.monotonic()
            store.apply([Put("counter", "doctor", b"1")])
            took = (time.monotonic() - began) * 1000
            found = store.get("counter", "doctor")
            store.close()
    except AdapterError as error:
        return failed("store", error)
    if found != b"1":
        return Check("store", State.FAILED, "what was written was not found again", "Check the disk.")
    return Check("store", State.OK, f"a durable write takes {took:.1f} ms")


def node_is_running(paths: Paths) -> bool:
    """Whether a node has the state folder."""
    try:
        InstanceLock(paths).release()
    except DicastError as error:
        return error.code == "already_running"
    return False


def _socket(paths: Paths) -> Check:
    try:
        check_socket_path(paths.socket)
        InstanceLock(paths).release()
    except DicastError as error:
        if error.code == "already_running":
            return Check("socket", State.OK, f"a node is running on {paths.state_dir}")
        return failed("socket", error)
    return Check("socket", State.OK, f"{paths.socket} is free: no node is running")


async def _relay(url: str) -> tuple[Check, int | None]:
    """Connect and ask for nothing; the round trip, and how far the relay's clock is off, if it tells."""
    from dicast.transports.nostr_socket import open_socket

    name, fix = "relay", "Check the address, the network and the relay's own log."
    shown = without_user(url)
    try:
        async with asyncio.timeout(RELAY_S), open_socket(url) as socket:
            stamp = socket.response.headers.get("Date") if socket.response else None
            began = time.monotonic()
            await socket.send('["REQ","doctor",{"kinds":[31411],"limit":1}]')
            await socket.recv()
            took_ms = (time.monotonic() - began) * 1000
        offset = _offset_ms(stamp) if stamp else await _offset_by_document(url)
    except TimeoutError:
        return Check(name, State.FAILED, f"{shown}: no answer within {RELAY_S:.0f} s", fix), None
    except Exception as error:  # the library, the resolver and TLS raise dozens of kinds
        return Check(name, State.FAILED, f"{shown}: {error or type(error).__name__}", fix), None
    return Check(name, State.OK, f"{shown}: answers in {took_ms:.0f} ms"), offset


async def _offset_by_document(url: str) -> int | None:
    """Few relays say the time when a connection opens; web servers say it beside the relay's document."""
    from dicast.transports.nostr_terms import ask_terms

    terms = await ask_terms(url)
    return None if terms is None else _offset_ms(terms.date or None)


def _offset_ms(stamp: str | None) -> int | None:
    if stamp is None:
        return None
    try:
        there = email.utils.parsedate_to_datetime(stamp).timestamp()
    except (TypeError, ValueError):
        return None
    return int((time.time() - there) * 1000)


def _clock(offsets: list[int]) -> Check:
    if not offsets:
        return Check("clock", State.OK, "not compared: no relay tells the time")
    offset = sorted(offsets)[len(offsets) // 2]
    detail = f"about {abs(offset) / 1000:.0f} s {'ahead of' if offset > 0 else 'behind'} the relays"
    if abs(offset) > CLOCK_OFF_MS:
        return Check(
            "clock", State.FAILED, detail, "Set the clock (NTP): others refuse packets of the wrong time."
        )
    return Check("clock", State.OK, detail)
