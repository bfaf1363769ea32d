"""The socket of a node: calls, events, cancellation; whatever comes in is answered and never raised."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator

import pytest

from dicast.base.errors import AdapterError, ConfigurationError
from dicast.client import AsyncClient, Client
from dicast.client_channel import SocketChannel
from dicast.daemon import frames
from dicast.daemon.control_server import ControlServer
from dicast.daemon.logs import Log
from dicast.daemon.paths import Paths
from dicast.protocol.outputs import PeerSeen, RoundOpened

pytestmark = pytest.mark.anyio


@pytest.fixture
async def node(network, tmp_path):
    made = await network.add("follower", roles=())
    paths = Paths(tmp_path)
    server = ControlServer(made.service, paths.socket, Log("error", stream=made.log_text))
    await server.start()
    made.paths = paths
    yield made
    await server.close()
    assert not paths.socket.exists()


async def talk(node, *lines: bytes) -> list[dict]:
    """Send lines on one connection; as many replies as lines."""
    reader, writer = await asyncio.open_unix_connection(str(node.paths.socket), limit=1 << 20)
    writer.write(b"".join(lines))
    replies = [json.loads(await reader.readline()) for _ in lines]
    writer.close()
    return replies


async def test_the_socket_is_its_owners_alone(node) -> None:
    assert stat.S_IMODE(node.paths.socket.stat().st_mode) == 0o600


async def test_status_peers_rounds_and_a_question_over_the_socket(network, node) -> None:
    await network.workers(3)
    client = AsyncClient(node.paths.state_dir)
    seen: list = []
    answer = await client.ask("What is the capital of France?", quorum=3, on_event=seen.append)
    assert (answer.outcome, answer.verdict.n) == ("accepted", 3)
    assert isinstance(seen[0], RoundOpened)
    assert await client.certificate(answer.request_id) == answer.certificate
    assert [record.has_certificate for record in await client.rounds()] == [True]
    assert len(await client.peers()) == 3
    status = await client.status()
    assert (status.node_id, status.peers, status.roles) == (node.node_id, 3, ())


async def test_the_synchronous_client_says_the_same(network, node) -> None:
    await network.workers(3)

    def work() -> tuple:
        with Client(node.paths.state_dir) as client:
            answer = client.ask("What is the capital of France?", quorum=3)
            plan = client.plan("What is the capital of France?", quorum=3)
            return answer.outcome, client.certificate(answer.request_id) == answer.certificate, plan.need

    assert await asyncio.to_thread(work) == ("accepted", True, 2)


async def test_events_come_as_they_happen(network, node) -> None:
    events = AsyncClient(node.paths.state_dir).events()
    first = asyncio.ensure_future(_first(events, PeerSeen))
    await subscriptions(node, 1)
    worker = await network.add("worker")
    assert await first == PeerSeen(worker.node_id)
    await events.aclose()
    await subscriptions(node, 0)


async def _first(events: AsyncIterator[object], kind: type) -> object:
    """The first event of a kind: what a node looks for once a second is told in between."""
    return await anext(event async for event in events if isinstance(event, kind))


async def subscriptions(node, wanted: int) -> None:
    """Wait until so many listen."""
    while len(node.driver.reports._subscriptions) != wanted:  # noqa: ASYNC110
        await asyncio.sleep(0)


async def test_leaving_cancels_the_question(network, node) -> None:
    from dicast.engines.memory import MemoryEngine

    for name in ("a", "b", "c"):
        await network.add(name, engine=MemoryEngine(lambda _: "Never said.", hold=asyncio.Event()))
    opened = asyncio.Event()
    ends = node.driver.reports.subscribe(lambda report: type(report).__name__ == "RoundEnded")
    client = AsyncClient(node.paths.state_dir)
    asking = asyncio.create_task(client.ask("What?", quorum=3, on_event=lambda _: opened.set()))
    await opened.wait()
    asking.cancel()
    ended = await ends.next()
    assert ended.code == "cancelled"


async def test_connections_are_kept_for_the_calls_to_come(node) -> None:
    channel = SocketChannel(node.paths.socket, kept_max=2)
    client = AsyncClient(channel=channel)
    await asyncio.gather(*(client.status() for _ in range(3)))
    assert len(channel._kept) == 2
    kept = channel._kept[-1]
    with pytest.raises(ConfigurationError):
        await client.certificate("none")
    assert kept not in channel._kept, "what failed is not used again"
    await client.status()
    assert len(channel._kept) == 1
    channel.close()
    await client.status()
    assert channel._kept == []


async def test_a_kept_connection_that_the_node_closed_is_not_used(network, tmp_path) -> None:
    made = await network.add("follower", roles=())
    channel = SocketChannel(Paths(tmp_path).socket, kept_max=2)
    client = AsyncClient(channel=channel)
    for _ in range(2):
        server = ControlServer(made.service, Paths(tmp_path).socket, Log("error", stream=made.log_text))
        await server.start()
        assert (await client.status()).node_id == made.node_id
        await server.close()
        ended = channel._kept[-1]
        await ended._reader.read()
    channel.close()


async def test_an_error_keeps_its_kind_code_and_next_step(node) -> None:
    client = AsyncClient(node.paths.state_dir)
    with pytest.raises(ConfigurationError) as caught:
        await client.ask("What?", quorum=3)
    assert (caught.value.code, "three ways" in caught.value.next_step.lower()) == ("no_peers", True)


async def test_no_node_is_said_with_the_next_step(tmp_path) -> None:
    with pytest.raises(AdapterError) as caught:
        await AsyncClient(tmp_path / "nobody").status()
    assert (caught.value.code, "dicast up" in caught.value.next_step) == ("node_not_running", True)


async def test_closing_ends_idle_clients_without_a_trace(network, tmp_path) -> None:
    said: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: said.append(context))
    made = await network.add("follower", roles=())
    server = ControlServer(made.service, Paths(tmp_path).socket, Log("error", stream=made.log_text))
    await server.start()
    reader, writer = await asyncio.open_unix_connection(str(Paths(tmp_path).socket))
    writer.write(b"\n?\n")
    assert b"call_malformed" in await reader.readline()
    await server.close()
    assert await reader.read() == b""
    writer.close()
    assert said == []


GARBAGE = {
    "not json": b"hello\n",
    "not an object": b"[]\n",
    "no id": b'{"call":{"method":"status"}}\n',
    "unknown method": b'{"id":1,"call":{"method":"dance"}}\n',
    "unknown field": b'{"id":1,"call":{"method":"status","x":1}}\n',
    "wrong type": b'{"id":1,"call":{"method":"ask","prompt":7}}\n',
    "missing field": b'{"id":1,"call":{"method":"certificate"}}\n',
    "no call": b'{"id":1}\n',
    "bad utf-8": b'{"id":1,"call":{"method":"\xff"}}\n',
    "deep": b'{"id":1,"call":' + b"[" * 5000 + b"]" * 5000 + b"}\n",
    "huge integer": b'{"id":' + b"9" * 400 + b"}\n",
    "nan": b'{"id":1,"call":{"method":"ask","prompt":"x","timeout_s":NaN}}\n',
}


@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage_is_answered_and_the_next_call_works(node, name: str) -> None:
    refused, result = await talk(node, GARBAGE[name], b'{"id":2,"call":{"method":"peers"}}\n')
    assert refused["error"]["code"] in {"call_malformed", "call_refused"}
    assert result == {"id": 2, "result": []}


async def test_a_line_over_the_limit_is_skipped_and_the_next_call_works(node) -> None:
    long = b"x" * (frames.CALL_BYTES_MAX * 3) + b"\n"
    refused, result = await talk(node, long, b'{"id":2,"call":{"method":"peers"}}\n')
    assert (refused["error"]["code"], result) == ("call_too_large", {"id": 2, "result": []})


async def test_a_connection_that_breaks_off_in_a_line_is_forgotten(node) -> None:
    _, writer = await asyncio.open_unix_connection(str(node.paths.socket))
    writer.write(b'{"id":1,"call":{"met')
    writer.close()
    assert await AsyncClient(node.paths.state_dir).peers() == ()


async def test_an_id_in_use_and_a_cancelled_call(network, node) -> None:
    reader, writer = await asyncio.open_unix_connection(str(node.paths.socket))
    events = b'{"id":1,"call":{"method":"events"}}\n'
    writer.write(events + events + b'{"id":1,"cancel":true}\n')
    codes = [json.loads(await reader.readline())["error"]["code"] for _ in range(2)]
    assert codes == ["call_refused", "cancelled"]
    writer.close()


async def test_a_bug_in_a_call_is_logged_and_answered(node) -> None:
    def broken() -> None:
        raise RuntimeError("our own bug")

    node.service.status = broken
    (reply,) = await talk(node, b'{"id":1,"call":{"method":"status"}}\n')
    assert reply["error"]["code"] == "internal_error"
    assert "our own bug" in node.log_text.getvalue()


async def test_a_path_too_long_for_a_socket_is_refused(network, tmp_path) -> None:
    made = await network.add("other", roles=())
    server = ControlServer(made.service, Paths(tmp_path / ("x" * 120)).socket, Log("error"))
    with pytest.raises(ConfigurationError, match="state_dir_too_long"):
        await server.start()
