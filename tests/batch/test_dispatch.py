"""Leases over real nodes: one that does not begin loses its lease, and others answer."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from dicast.base.crypto import KeyPair
from dicast.batch.dispatch import Dispatcher
from dicast.batch.lease import LINE, START_S, LeaseWatch
from dicast.cli.session import LocalChannel
from dicast.client import AsyncClient
from dicast.consensus.constants import EMBEDDER
from dicast.daemon.config_schema import Settings
from dicast.daemon.driver import Driver, Parts
from dicast.daemon.logs import Log
from dicast.daemon.service import Service
from dicast.embedders.memory import MemoryEmbedder
from dicast.engines.memory import MemoryEngine
from dicast.protocol.messages import DeclineReason, Role
from dicast.protocol.node import Node
from dicast.protocol.outputs import MemberProgress, PeerSeen, StartInference
from dicast.protocol.settings import Identity, NodeSettings
from dicast.stores.memory import MemoryStore
from dicast.transports.memory import MemoryHub


class Kept:
    """The leases of one line, as they come."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.ended: list[str] = []

    def unfinished(self) -> tuple[str, ...]:
        return ()

    def begin(self, why: list[dict[str, Any]]) -> int:
        self.why = why
        self.asked += [one["node"] for one in why]
        return len(self.asked)

    def opened(self, attempt: int, request_id: str) -> None:
        assert attempt
        assert request_id

    def end(self, attempt: int, ended: str) -> None:
        assert attempt
        self.ended.append(ended)


def sayings(name: str) -> Callable[[StartInference], str]:
    def say(job: StartInference) -> str:
        said = job.messages[-1].content
        return "." if said == "Say nothing." or name.startswith("mute") else said

    return say


@asynccontextmanager
async def driven(name: str, hub: MemoryHub, *, works: bool, hold: asyncio.Event | None = None):
    roles = (Role.WORKER, Role.VALIDATOR) if works else ()
    offers = NodeSettings(roles=roles, embedders=(EMBEDDER,), slots=4)
    identity = Identity(KeyPair.from_seed(name.encode()), name.encode().ljust(32)[:32])
    engines = [MemoryEngine(sayings(name), hold=hold)] if works else []
    parts = Parts(MemoryStore(), [hub.transport()], engines, {EMBEDDER: MemoryEmbedder(EMBEDDER)})
    driver = Driver(Node(identity, offers), parts, Log("error", stream=io.StringIO()))
    running = asyncio.create_task(driver.run())
    try:
        await driver.started.wait()
        yield driver, offers
    finally:
        driver.stop()
        await running


@asynccontextmanager
async def met(*names: str, full: tuple[str, ...] = ()):
    """Somebody who asks and has met workers of these names, in order; those that are `full` never answer."""
    hub = MemoryHub()
    async with AsyncExitStack() as stack:
        asker, offers = await stack.enter_async_context(driven("asker", hub, works=False))
        seen = asker.reports.subscribe(lambda report: isinstance(report, PeerSeen))
        workers: list[Driver] = []
        for name in (*names, *full):
            hold = asyncio.Event() if name in full else None
            worker, _ = await stack.enter_async_context(driven(name, hub, works=True, hold=hold))
            await seen.next()
            workers.append(worker)
        yield asker, LocalChannel(Service(asker, Settings(), offers)), workers


@pytest.mark.anyio
async def test_a_node_that_died_loses_its_lease_and_another_answers():
    async with met("one", "two") as (_, channel, workers):
        dead = {worker.node.node_id: worker for worker in workers}
        dispatcher = Dispatcher(channel)
        first = Kept()
        LINE.set(first)
        assert (await dispatcher.ask("Hello?", quorum=1)).is_accepted
        [fast] = first.asked
        dispatcher.workers.note_failure(next(one for one in dead if one != fast), 0)  # so that it comes last
        dead[fast].stop()
        await dead[fast].ended.wait()
        kept = Kept()
        LINE.set(kept)
        began = asyncio.get_running_loop().time()
        assert (await dispatcher.ask("Hello again?", quorum=1)).is_accepted
        assert asyncio.get_running_loop().time() - began < 3 * START_S
    other = next(one for one in dead if one != fast)
    assert kept.asked == [fast, other]
    assert kept.ended[0] == "lapsed"


@pytest.mark.anyio
async def test_a_question_without_an_answer_is_asked_of_three_and_stops_nobody():
    async with met("one", "two", "three", "four") as (_, channel, _):
        dispatcher = Dispatcher(channel)
        for _ in range(6):
            mute = Kept()
            LINE.set(mute)
            assert not (await dispatcher.ask("Say nothing.", quorum=1)).is_accepted
            assert len(set(mute.asked)) == len(mute.asked) == 3
        kept = Kept()
        LINE.set(kept)
        assert (await dispatcher.ask("Hello?", quorum=1)).is_accepted
    assert [one["failed_in_a_row"] for one in kept.why] == [1]


@pytest.mark.anyio
async def test_an_answer_that_one_has_is_looked_for_where_others_have_none():
    async with met("mute one", "mute two", "three", "four", "five") as (_, channel, _):
        dispatcher = Dispatcher(channel)
        for _ in range(4):
            LINE.set(Kept())
            assert (await dispatcher.ask("Hello?", quorum=3)).is_accepted


@pytest.mark.anyio
async def test_an_answer_that_enough_agreed_on_stands_though_one_was_busy():
    async with met("one", "two", "three", full=("full",)) as (asker, channel, workers):
        told = asker.reports.subscribe(lambda report: isinstance(report, MemberProgress))
        client, member = AsyncClient(channel=channel), (workers[-1].node.node_id,)
        held = [asyncio.create_task(client.ask("Hold.", quorum=1, members=member)) for _ in range(4)]
        for _ in held:
            assert (await told.next()).step == "accepted"
        kept = Kept()
        LINE.set(kept)
        answer = await asyncio.wait_for(Dispatcher(channel).ask("Hello?", quorum=3, seats=4), 60)
        for task in held:
            task.cancel()
        await asyncio.wait(held)
    assert answer.is_accepted
    assert kept.ended == ["accepted: agreed"]


def test_the_length_of_a_question_is_no_fault_of_those_who_were_asked():
    reasons = {
        "a": DeclineReason.CONTEXT_LENGTH_EXCEEDED,
        "b": DeclineReason.QUESTION_MISSING,
        "c": DeclineReason.ENGINE_FAILED,
    }
    watch = LeaseWatch((*reasons, "d"), lambda: 0.0, lambda node_id, took_ms: None)
    question = SimpleNamespace(log=Kept(), on_event=None)
    for node_id, reason in reasons.items():
        watch.to(question, 1)(MemberProgress("round", node_id, "declined", reason.value))
    assert (watch.failed(), watch.blameless()) == (frozenset("abcd"), frozenset("ab"))
