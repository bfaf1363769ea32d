"""Many calls on one connection: told apart, ended one by one, and all at once when the node goes away."""

from __future__ import annotations

import asyncio

import pytest

from dicast.base.errors import AdapterError, ConfigurationError, DicastError, LocalProtocolError
from dicast.client import AsyncClient
from dicast.client_shared import SharedChannel
from dicast.daemon.api import Events
from dicast.daemon.control_server import ControlServer
from dicast.daemon.frames import CALL_BYTES_MAX
from dicast.daemon.logs import Log
from dicast.daemon.paths import Paths
from dicast.engines.memory import MemoryEngine

pytestmark = pytest.mark.anyio


@pytest.fixture
async def node(network, tmp_path):
    made = await network.add("follower", roles=())
    made.paths = Paths(tmp_path)
    server = ControlServer(made.service, made.paths.socket, Log("error", stream=made.log_text))
    await server.start()
    yield made
    await server.close()


@pytest.fixture
async def channel(node):
    made = SharedChannel(node.paths.socket)
    yield made
    made.close()


async def held(network, name="held"):
    """A worker whose engine never answers."""
    return await network.add(name, engine=MemoryEngine(lambda _: "Never said.", hold=asyncio.Event()))


async def test_many_calls_share_a_connection_and_each_hears_its_own(network, channel) -> None:
    await network.workers(1)
    client = AsyncClient(channel=channel)
    seen = [[] for _ in range(8)]
    asked = (client.ask(f"What is {number}?", quorum=1, on_event=seen[number].append) for number in range(8))
    answers = await asyncio.gather(*asked, client.status())
    assert len(channel._shared) == 1
    opened = [events[0].request_id for events in seen]
    assert opened == [answer.request_id for answer in answers[:8]]
    assert len(set(opened)) == 8


async def test_a_full_connection_gets_a_second(node) -> None:
    channel = SharedChannel(node.paths.socket, calls_max=3)
    client = AsyncClient(channel=channel)
    listening = [asyncio.create_task(channel.call(Events(), object)) for _ in range(3)]
    await client.status()
    assert (len(channel._shared), sum(one.calls for one in channel._shared)) == (2, 3)
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    assert [one.calls for one in channel._shared] == [0, 0]
    assert (await client.status()).node_id == node.node_id
    channel.close()


async def test_leaving_cancels_one_question_and_no_other(network, node, channel) -> None:
    await held(network)
    client = AsyncClient(channel=channel)
    ends = node.driver.reports.subscribe(lambda report: type(report).__name__ == "RoundEnded")
    opened: list[asyncio.Queue] = [asyncio.Queue(), asyncio.Queue()]
    first, second = (
        asyncio.create_task(client.ask("What?", quorum=1, on_event=one.put_nowait)) for one in opened
    )
    events = [await one.get() for one in opened]
    assert (await client.status()).open_rounds == 2
    first.cancel()
    ended = await ends.next()
    assert (ended.request_id, ended.code) == (events[0].request_id, "cancelled")
    assert (await client.status()).open_rounds == 1
    assert not second.done()
    second.cancel()
    await asyncio.wait({second})


async def test_an_error_ends_its_own_call(node, channel) -> None:
    client = AsyncClient(channel=channel)
    status = asyncio.create_task(client.status())
    with pytest.raises(ConfigurationError) as caught:
        await client.certificate("none")
    assert isinstance(caught.value, DicastError)
    assert (await status).node_id == node.node_id


async def test_what_a_listener_raises_ends_its_own_call(network, node, channel) -> None:
    """At the node, too: its answer would never come, and the question would go on for nobody."""
    await held(network)
    client = AsyncClient(channel=channel)
    ends = node.driver.reports.subscribe(lambda report: type(report).__name__ == "RoundEnded")

    def fail(_event: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await client.ask("What?", quorum=1, on_event=fail)
    assert (await asyncio.wait_for(ends.next(), 60)).code == "cancelled"
    assert (await client.status()).node_id == node.node_id


async def test_a_call_that_is_too_large_is_refused_here(node, channel) -> None:
    client = AsyncClient(channel=channel)
    with pytest.raises(LocalProtocolError) as caught:
        await client.ask("x" * CALL_BYTES_MAX, quorum=1)
    assert caught.value.code == "call_too_large"
    assert [one.calls for one in channel._shared] == [0]
    assert (await client.status()).node_id == node.node_id


async def test_every_call_ends_with_the_node_and_the_next_one_finds_it_again(network, tmp_path) -> None:
    made = await network.add("follower", roles=())
    await held(network)
    channel = SharedChannel(Paths(tmp_path).socket)
    client = AsyncClient(channel=channel)
    with pytest.raises(AdapterError) as missing:
        await client.status()
    assert missing.value.code == "node_not_running"
    for _ in range(2):
        server = ControlServer(made.service, Paths(tmp_path).socket, Log("error", stream=made.log_text))
        await server.start()
        opened: asyncio.Queue = asyncio.Queue()
        asking = [
            asyncio.create_task(client.ask("What?", quorum=1, on_event=opened.put_nowait)) for _ in range(3)
        ]
        await opened.get()
        await server.close()
        ended = await asyncio.gather(*asking, return_exceptions=True)
        assert {one.code for one in ended} <= {"node_stopped", "cancelled"}
    channel.close()
