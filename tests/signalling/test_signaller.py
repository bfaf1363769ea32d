"""Signallers on loopback: pooling, death, late joiners, introductions, and clients that misbehave."""

from __future__ import annotations

import asyncio
import json
import os
import time
from contextlib import suppress
from typing import Any

import httpx
import msgspec
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from dicast.base.crypto import KeyPair
from dicast.base.errors import AdapterError, ConfigurationError, RemoteProtocolError
from dicast.queries.document import make_document
from dicast.queries.json_text import QueryError
from dicast.signalling import frames
from dicast.signalling.client import Signallers, publish, subscribe
from dicast.signalling.settings import SignalSettings
from dicast.signalling.signaller import Signaller
from waiting import WAIT_SECONDS_MAX

pytestmark = pytest.mark.anyio
NEWS: dict[str, Any] = {"type": "news"}
SECRET = "a-key-of-the-pool"
SIGNER = KeyPair.from_seed(b"late".ljust(32))


def news(title: Any, **more: Any) -> dict[str, Any]:
    return {"type": "news", "title": title, **more}


async def test_a_document_reaches_whoever_asked_at_any_signaller(
    make_signaller, join, make, wait_until
) -> None:
    first = await make_signaller()
    second = await make_signaller(first)
    third = await make_signaller(second)
    await wait_until(lambda: all(len(one.addresses()) == 3 for one in (first, second, third)))
    near, far, other = await join(first), await join(third), await join(third)
    for client in (near, far):
        await client.subscribe({"type": "news", "score": {"$gte": 5}})
    await other.subscribe({"type": "weather"})
    publisher = await join(second)
    for score in (4, 5, 6):
        await publisher.publish(make(news(score, score=score)))
    await publisher.hear("published")
    await far.has(5, 6)
    await near.has(5, 6)
    assert other.titles == []
    assert set((await near.hear("welcome"))["signallers"]) == {first.url, second.url, third.url}


async def test_the_pool_outlives_the_one_that_introduced_it(make_signaller, join, make, wait_until) -> None:
    first = await make_signaller()
    second = await make_signaller(first)
    third = await make_signaller(first)
    await wait_until(lambda: len(second.addresses()) == len(third.addresses()) == 3)
    listener, publisher = await join(second), await join(third)
    await listener.subscribe(NEWS)
    await first.stop()
    await publisher.publish(make(news("after")))
    await listener.has("after")


async def test_a_signaller_that_comes_late_gets_the_backlog(make_signaller, join, make, wait_until) -> None:
    first = await make_signaller()
    publisher = await join(first)
    for number in range(5):
        await publisher.publish(make(news(number)))
    late = await make_signaller(first)
    await wait_until(lambda: len(late.subscriptions.backlog(0)) == 5)
    client = await join(late)
    await client.subscribe(NEWS, backlog=True)
    await client.has(0, 1, 2, 3, 4)


async def test_pages_are_named_to_each_other_and_introduced(make_signaller, join, wait_until) -> None:
    first = await make_signaller()
    second = await make_signaller(first)
    one, other, two = await join(first), await join(first), await join(second)
    for client, name in ((one, "aa" * 8), (other, "cc" * 8), (two, "bb" * 8)):
        await client.say(do="hello", name=name, uplink_kbps=1)
    addresses = {name: (await client.hear("welcome"))["address"] for name, client in (("1", one), ("2", two))}
    second._say_card()
    await wait_until(lambda: any(card.peers for card in first.pool.members(0)))
    await one.say(do="peers")
    await wait_until(lambda: any(len(f["peers"]) == 2 for f in one.frames if f["is"] == "peers"))
    named = (await one.hear("peers"))["peers"]
    assert {peer["name"] for peer in named} == {"bb" * 8, "cc" * 8}
    await one.say(do="introduce", to=addresses["2"], body="offer")
    heard = await two.hear("introduction")
    assert heard == {"is": "introduction", "from": addresses["1"], "name": "aa" * 8, "body": "offer"}
    await two.say(do="introduce", to=heard["from"], body="answer")
    assert (await one.hear("introduction"))["body"] == "answer"


async def test_ids_only_and_documents_by_id(make_signaller, join, make) -> None:
    signaller = await make_signaller()
    client, publisher = await join(signaller), await join(signaller)
    await client.subscribe(NEWS, form="ids")
    made = make(news("one"))
    await publisher.publish(made)
    assert await client.hear("seen") == {"is": "seen", "ids": ["q"], "document": made.id}
    assert client.titles == []
    await client.say(do="want", ids=[made.id, "00" * 32])
    await client.has("one")


async def test_a_flooding_client_and_one_that_never_reads_delay_nobody(make_signaller, join, make) -> None:
    signaller = await make_signaller()
    listener, publisher = await join(signaller), await join(signaller)
    stalled, flooding = await join(signaller), await join(signaller)
    await listener.subscribe({"type": "news", "for": "listener"})
    await stalled.subscribe({})
    stalled.connection.transport.pause_reading()
    await flooding.subscribe({"$not": {"$or": [{f"a{n}": {"$contains": 1}} for n in range(15)]}})
    pad = os.urandom(5_000).hex()
    flood = [make(news(n, pad=pad)) for n in range(400)]

    async def pour() -> None:
        for document in flood:
            await flooding.publish(document)

    pouring = asyncio.create_task(pour())
    slowest = 0.0
    for number in range(40):
        started = time.monotonic()
        await publisher.publish(make(news(number, **{"for": "listener"})))
        await listener.has(number)
        slowest = max(slowest, time.monotonic() - started)
    pouring.cancel()
    assert slowest < 10
    members = signaller._members.values()
    assert max(len(member.subscriber) for member in members if member.subscriber is not None) <= 512
    assert listener.titles == list(range(40))


async def test_garbage_is_answered_then_the_client_is_closed(make_signaller, join, make) -> None:
    signaller = await make_signaller()
    client, other = await join(signaller), await join(signaller)
    await client.say(do="dance")
    assert (await client.hear("refused"))["code"] == "signal_frame"
    await client.say(do="subscribe", id="x", query={"a": {"$near": 1}})
    await client.say(do="publish", event=json.loads(make(news(1)).wire) | {"sig": "0" * 128})
    await client.say(do="peers")
    await client.hear("peers")
    codes = [frame["code"] for frame in client.frames if frame["is"] == "refused"]
    assert codes == ["signal_frame", "query_unknown_operator", "document_signature"]
    for _ in range(40):
        await client.connection.send("x")
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        await client.connection.wait_closed()
    assert client.connection.close_code == 1008
    with pytest.raises(ConnectionClosed):
        await client.connection.send("y")
    huge = await join(signaller)
    await huge.connection.send("x" * (frames.FRAME_BYTES_MAX + 1))
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        await huge.connection.wait_closed()
    await other.subscribe({})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 400),
    ],
)
async def test_pages_from_elsewhere_stay_out(make_signaller, join, headers, status) -> None:
    signaller = await make_signaller()
    url = signaller.url.replace("ws", "http", 1)
    with pytest.raises(InvalidStatus) as refusal:
        await join(signaller, additional_headers=headers)
    assert refusal.value.response.status_code == status
    async with httpx.AsyncClient(trust_env=False) as client:
        page = await client.get(f"{url}/")
        assert (page.status_code, "default-src 'none'" in page.headers["content-security-policy"]) == (
            200,
            True,
        )
        rebound = await client.get(f"{url}/", headers={"Host": "evil.example"})
        assert rebound.status_code == 403
        assert (await client.get(f"{url}/nothing")).status_code == 404
        assert (await client.get(f"{url}/health")).text == "ok\n"


async def test_pages_of_the_pool_may_come_here_when_theirs_died(make_signaller, join, wait_until) -> None:
    first = await make_signaller()
    second = await make_signaller(first)
    await wait_until(lambda: len(second.addresses()) == 2)
    await join(second, additional_headers={"Origin": first.url.replace("ws", "http", 1)})


async def test_without_the_key_neither_clients_nor_signallers_come_in(
    make_signaller, join, make, wait_until
) -> None:
    first = await make_signaller(key=SECRET)
    with pytest.raises(InvalidStatus) as refusal:
        await join(first)
    assert refusal.value.response.status_code == 401
    stranger = await make_signaller(first, key="another-key-of-16")
    member = await make_signaller(first, key=SECRET)
    await wait_until(lambda: len(first.addresses()) == 2)
    assert (set(first.addresses()), stranger.addresses()) == ({first.url, member.url}, [stranger.url])
    page = await join(member, subprotocols=[frames.SUBPROTOCOL, f"{frames.KEY_SUBPROTOCOL}{SECRET}"])
    assert page.connection.subprotocol == frames.SUBPROTOCOL
    await page.subscribe(NEWS)
    await publish(Signallers([first.url], SECRET), [make(news("inside"))])
    await page.has("inside")
    with pytest.raises(ConfigurationError):
        await publish(Signallers([first.url], "a-wrong-key-of-16"), [make(news("outside"))])


async def test_a_program_turns_to_another_signaller_and_misses_nothing(
    make_signaller, make, wait_until
) -> None:
    first = await make_signaller()
    second = await make_signaller(first)
    await wait_until(lambda: len(first.addresses()) == 2)
    subscribed, titles = asyncio.Event(), []

    async def follow() -> None:
        async for document in subscribe(
            Signallers([first.url]), b'{"type":"news"}', "main", on_ready=subscribed.set
        ):
            titles.append(document.value["title"])

    following = asyncio.create_task(follow())
    await subscribed.wait()
    await publish(Signallers([second.url]), [make(news("one"))])
    await wait_until(lambda: titles == ["one"])
    await first.stop()
    await publish(Signallers([first.url, second.url]), [make(news("two"))])
    await wait_until(lambda: titles == ["one", "two"])
    following.cancel()


async def test_nobody_there_and_a_wrong_query(make_signaller, make) -> None:
    signaller = await make_signaller()
    await signaller.stop()
    with pytest.raises(AdapterError) as nobody:
        await publish(Signallers([signaller.url]), [make(news(1))])
    assert nobody.value.code == "signal_down"
    for query, network in ((b"{}", "main"),):
        with pytest.raises(AdapterError):
            await anext(subscribe(Signallers([signaller.url]), query, network))
    with pytest.raises(QueryError):
        await anext(subscribe(Signallers([signaller.url]), b'{"$x":1}', "main"))


async def test_a_document_of_another_network_is_refused(make_signaller, make) -> None:
    signaller = await make_signaller(network="elsewhere")
    with pytest.raises(RemoteProtocolError) as refusal:
        await publish(Signallers([signaller.url]), [make(news(1))])
    assert refusal.value.code == "document_topic"


async def test_many_documents_are_published_at_the_pace_of_the_signaller(
    make_signaller, make, monkeypatch
) -> None:
    signaller = await make_signaller()
    monkeypatch.setattr("dicast.signalling.client.ANSWER_SECONDS_MAX", 2.0)
    documents = [make(news(number)) for number in range(250)]  # five seconds' worth, of which two at once
    await publish(Signallers([signaller.url]), documents)
    assert [one.id for one in signaller.subscriptions.backlog(0)] == [one.id for one in documents]


async def test_a_member_whose_address_is_garbage_cuts_nobody_off(make_signaller, wait_until) -> None:
    first = await make_signaller()
    liar = frames.Card("ff" * 8, "ws://127.0.0.1:1", "no endpoint at all", 0, ())
    first._hear(b"C" + msgspec.json.encode(liar))
    second = await make_signaller(first)
    await wait_until(lambda: len(second.addresses()) >= 2)
    assert "no endpoint at all" not in await second._find()
    assert (first.pool.health().state, second.pool.health().state) == ("up", "up")


async def test_a_signaller_that_never_stops_talking_is_not_listened_to(make_signaller) -> None:
    said, talking = 0, list[asyncio.Task[None] | None]()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal said
        talking.append(asyncio.current_task())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n")
        with suppress(ConnectionError):
            while True:
                writer.write(b" " * 65_536)
                said += 65_536
                await writer.drain()
        writer.close()
        del reader

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    signaller = Signaller(SignalSettings(listen=("127.0.0.1", 0), join=(url,)))
    assert await signaller._ask(url) == ("", ())
    assert said < 64 << 20
    server.close()
    await asyncio.gather(*filter(None, talking))
    await server.wait_closed()


async def test_whoever_is_no_signaller_is_not_waited_for(make, monkeypatch) -> None:
    monkeypatch.setattr("dicast.signalling.client.ANSWER_SECONDS_MAX", 0.2)

    async def silent(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async def other(connection: ServerConnection) -> None:
        await connection.send('["NOTICE","a relay"]')
        await connection.wait_closed()

    for answer in (silent, other):
        async with serve(answer, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
            documents = subscribe(Signallers([url]), b"{}", "main")
            with pytest.raises(AdapterError, match="this is no signaller"):
                await anext(documents)


async def test_a_publisher_whose_clock_is_behind_is_heard(make_signaller) -> None:
    signaller = await make_signaller()
    at_ms = int(time.time() * 1000) - 60_000
    late, before = (make_document(SIGNER, signaller.topic, text, at_ms) for text in (b'{"a":1}', b'{"a":2}'))
    signallers, is_ready = Signallers([signaller.url]), asyncio.Event()
    await publish(signallers, [before])
    documents = subscribe(signallers, b"{}", "main", on_ready=is_ready.set)
    first = asyncio.ensure_future(anext(documents))
    await is_ready.wait()
    await publish(signallers, [late])
    async with asyncio.timeout(60):
        assert (await first).id == late.id
    await documents.aclose()
