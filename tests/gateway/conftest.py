"""A gateway over real sockets, in a thread of its own: the official, synchronous clients can ask it."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dicast.base.crypto import KeyPair
from dicast.client import AsyncClient
from dicast.consensus.constants import EMBEDDER
from dicast.daemon.config_schema import AskSettings, Settings
from dicast.daemon.control_server import ControlServer
from dicast.daemon.driver import Driver, Parts
from dicast.daemon.logs import Log
from dicast.daemon.paths import Paths
from dicast.daemon.running import running_node
from dicast.daemon.service import Service
from dicast.embedders.memory import MemoryEmbedder
from dicast.engines.answer import too_long
from dicast.engines.memory import MemoryEngine
from dicast.gateway import parts
from dicast.gateway.app import make_app
from dicast.gateway.asking import Asker
from dicast.gateway.batches import Batches
from dicast.gateway.bounded_channel import channel_of
from dicast.gateway.guard import Access
from dicast.gateway.keys import KeyFile, Limits
from dicast.gateway.metrics import Metrics
from dicast.gateway.server import Address, bind, host_names, serve
from dicast.protocol.messages import Role
from dicast.protocol.node import Node
from dicast.protocol.outputs import PeerSeen, RoundEnded, RoundOpened, StartInference
from dicast.protocol.settings import Identity, NodeSettings
from dicast.stores.memory import MemoryStore
from dicast.transports.memory import MemoryHub
from dicast.transports.relay import run_relay

BUDGETS = parts.Budgets(body_s=3.0, keep_alive_s=0.05)
SENTENCE = "The capital city of France is called Paris."
OPINIONS = (
    "Seven grey owls sat quietly beside an old stone bridge.",
    "Nobody could remember when yellow trains began running there.",
    "Copper kettles whistle loudly while winter storms pass overhead.",
)
JSON_ANSWER = {"city": "Paris", "people": 2}


class SayingEngine(MemoryEngine):
    """Answers by what the prompt begins with; `hold` waits until it is cancelled, `talk` says all before."""

    def __init__(self, number: int) -> None:
        super().__init__(self._say)
        self._number = number

    def _say(self, job: StartInference) -> str:
        match job.messages[-1].content.split(" ")[0]:
            case "echo":
                return job.messages[-1].content.removeprefix("echo ")
            case "turns":
                return " ".join(f"{message.role}:{message.content}" for message in job.messages)
            case "disagree":
                return OPINIONS[self._number]
            case "numbers":
                return (
                    f"The old bridge beside the river mill has exactly {self._number + 3} grey stone arches."
                )
            case "json":
                more = {"more": 1} if "more" in job.messages[-1].content else {}
                return json.dumps({**JSON_ANSWER, **more})
            case _:
                return SENTENCE

    async def generate(self, job: StartInference, on_text: Callable[[str], None]) -> Any:
        match job.messages[-1].content.split(" ")[0]:
            case "hold":
                await asyncio.Event().wait()
            case "talk":
                on_text(SENTENCE)
                await asyncio.Event().wait()
            case "long":
                raise too_long(self.name, 9_999, 8_192)
            case _:
                pass
        return await super().generate(job, on_text)


class Place:
    """A running gateway, and what tests look at behind it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, url: str, state_dir: Path, metrics: Metrics) -> None:
        self.loop = loop
        self.url = url
        self.port = int(url.rpartition(":")[2])
        self.state_dir = state_dir
        self.keys = KeyFile(state_dir)
        self.metrics = metrics
        self.driver: Any = None

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def key(self, *scopes: Any, rate: int = 600, name: str = "test") -> str:
        return self.keys.create(name, scopes, Limits(rate), 0).secret

    def next_report(self, kind: type) -> Callable[[], Any]:
        """Call what this returns to wait for the asking node's next report of a kind, counted from now."""
        driver = self.driver

        async def subscribe() -> Any:
            return driver.reports.subscribe(lambda report: isinstance(report, kind))

        reports = self.run(subscribe())

        def wait() -> Any:
            report = self.run(reports.next())
            self.loop.call_soon_threadsafe(reports.close)
            return report

        return wait

    def next_open(self) -> Callable[[], Any]:
        """Waits until a round of the asking node is open."""
        return self.next_report(RoundOpened)

    def next_cancelled(self) -> Callable[[], None]:
        """Waits until a round of the asking node was cancelled."""
        ended = self.next_report(RoundEnded)

        def wait() -> None:
            assert ended().code == "cancelled"

        return wait


@asynccontextmanager
async def node(name: str, hub: MemoryHub, number: int | None) -> AsyncIterator[Service]:
    """A driven node; without a number it only asks."""
    roles = () if number is None else (Role.WORKER, Role.VALIDATOR)
    engines = [] if number is None else [SayingEngine(number)]
    offers = NodeSettings(roles=roles, embedders=(EMBEDDER,), slots=32)
    identity = Identity(KeyPair.from_seed(name.encode()), name.encode().ljust(32)[:32])
    adapters = Parts(MemoryStore(), [hub.transport()], engines, {EMBEDDER: MemoryEmbedder(EMBEDDER)})
    driver = Driver(Node(identity, offers), adapters, Log("error", stream=io.StringIO()))
    running = asyncio.create_task(driver.run())
    try:
        await driver.started.wait()
        yield Service(driver, Settings(), offers)
    finally:
        driver.stop()
        await running


@asynccontextmanager
async def gateway(state_dir: Path, address: Address, preset: str = "story") -> AsyncIterator[Place]:
    """A served gateway over the node of a state folder."""
    metrics, channel, keys = Metrics(), channel_of(state_dir), KeyFile(state_dir)
    client = AsyncClient(channel=channel)
    asker = Asker(client, AskSettings(preset=preset, temperature=0.0), metrics)
    log = Log("error", stream=io.StringIO())
    batches = Batches(state_dir, channel, keys, log)
    made = parts.Parts(client, asker, metrics, log, BUDGETS, batches=batches)
    batches.start(made)
    access = Access(keys, host_names(address), needs_key=address.is_public)
    app = make_app(made, access)
    listener, stop = bind(address), asyncio.Event()
    url: list[str] = []
    serving = asyncio.create_task(serve(app, listener, url.append, stop, access.drain))
    try:
        await asyncio.sleep(0)
        yield Place(
            asyncio.get_running_loop(), f"http://127.0.0.1:{listener.getsockname()[1]}", state_dir, metrics
        )
    finally:
        stop.set()
        await serving
        listener.close()
        await batches.close()
        channel.close()


@asynccontextmanager
async def memory_nodes(state_dir: Path) -> AsyncIterator[Any]:
    """Three talking nodes, and one that asks, on its socket; its driver."""
    hub = MemoryHub()
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(node("asker", hub, None))
        heard = service._driver.reports.subscribe(lambda report: isinstance(report, PeerSeen))
        for number in range(3):
            await stack.enter_async_context(node(f"worker {number}", hub, number))
            await heard.next()
        heard.close()
        control = ControlServer(service, Paths(state_dir).socket, Log("error", stream=io.StringIO()))
        await control.start()
        stack.push_async_callback(control.close)
        yield service._driver


@asynccontextmanager
async def memory_place(state_dir: Path, address: Address) -> AsyncIterator[Place]:
    """Those nodes, and the gateway over the socket."""
    async with memory_nodes(state_dir) as driver, gateway(state_dir, address) as place:
        place.driver = driver
        yield place


@asynccontextmanager
async def gateless_place(state_dir: Path) -> AsyncIterator[Place]:
    """Those nodes without a gateway: tests start and kill their own."""
    async with memory_nodes(state_dir) as driver:
        place = Place(asyncio.get_running_loop(), "http://127.0.0.1:0", state_dir, Metrics())
        place.driver = driver
        yield place


@asynccontextmanager
async def relay_place(state_dir: Path) -> AsyncIterator[Place]:
    """The embedded relay, three nodes with the embedded model and the real embedder, and the gateway."""
    async with AsyncExitStack() as stack:
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        stop = asyncio.Event()
        relay = asyncio.create_task(run_relay("127.0.0.1", 0, stop=stop, ready=ready.set_result))
        stack.push_async_callback(asyncio.wait, {relay})
        stack.callback(stop.set)
        settings = Settings(relays=(await ready,), engines={"tiny": {}})
        for number in range(3):
            paths = Paths(state_dir / str(number))
            log = Log("error", stream=io.StringIO())
            await stack.enter_async_context(running_node(settings, paths, None, log, listen=True))
        yield await stack.enter_async_context(gateway(state_dir / "0", Address(port=0)))


def hosted(make: Callable[[Path], Any]) -> Iterator[Place]:
    """The place in a loop of its own thread, until the fixture ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    with tempfile.TemporaryDirectory(prefix="gw") as folder:
        context = make(Path(folder))
        holder = run(_hold(context))
        try:
            yield holder.place
        finally:
            run(holder.close())
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


class _Holder:
    """Enters and leaves a context in one task."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._entered = asyncio.Event()
        self._leave = asyncio.Event()
        self._task = asyncio.create_task(self._live())

    async def _live(self) -> None:
        try:
            async with self._context as self.place:
                self._entered.set()
                await self._leave.wait()
        finally:
            self._entered.set()

    async def entered(self) -> _Holder:
        await self._entered.wait()
        if self._task.done():
            self._task.result()
        return self

    async def close(self) -> None:
        self._leave.set()
        await self._task


async def _hold(context: Any) -> _Holder:
    return await _Holder(context).entered()


@pytest.fixture
def place() -> Iterator[Place]:
    """A gateway on loopback over nodes that say what a test wants; fresh: nodes bound one asker's rounds."""
    yield from hosted(lambda folder: memory_place(folder, Address(port=0)))


@pytest.fixture
def gateless() -> Iterator[Place]:
    """Nodes, and no gateway yet."""
    yield from hosted(gateless_place)


@pytest.fixture(scope="module")
def loopback() -> Iterator[Place]:
    """The same, for a whole file of tests that open few rounds or none."""
    yield from hosted(lambda folder: memory_place(folder, Address(port=0)))


@pytest.fixture(scope="module")
def public_place() -> Iterator[Place]:
    """The same, where everybody needs a key."""
    yield from hosted(
        lambda folder: memory_place(folder, Address(port=0, is_public=True, names=("dicast.test",)))
    )


@pytest.fixture(scope="module")
def real_place() -> Iterator[Place]:
    """A gateway over the embedded model, the real embedder and the embedded relay."""
    yield from hosted(relay_place)
