"""The loop around a node: batches whole and in order, effects back as inputs, failures never swallowed."""

from __future__ import annotations

import asyncio

import pytest

from dicast.base.errors import AdapterError, ConfigurationError, Rejection
from dicast.daemon import api
from dicast.ports import Generation
from dicast.protocol.outputs import CertificateReady, MemberProgress, Report, RoundOpened

pytestmark = pytest.mark.anyio
QUESTION = api.Ask(prompt="What is the capital of France?", quorum=3)


async def test_three_nodes_answer_a_follower(network) -> None:
    follower = await network.add("follower", roles=())
    await network.workers(3)
    seen: list[Report] = []
    answer = await follower.service.answer(QUESTION, seen.append)
    assert (answer.outcome, answer.answer, answer.verdict.n, answer.verified, answer.checked) == (
        "accepted",
        "The capital city of France is called Paris.",
        3,
        True,
        True,
    )
    assert answer.signed_seats >= answer.verdict.need
    kinds = [type(report) for report in seen]
    assert kinds[0] is RoundOpened
    assert kinds[-1] is CertificateReady
    committed = [
        report.member for report in seen if isinstance(report, MemberProgress) and report.step == "committed"
    ]
    assert len(committed) == 3


async def test_the_certificate_is_kept_and_found_by_the_beginning_of_its_id(network) -> None:
    follower = await network.add("follower", roles=())
    await network.workers(3)
    answer = await follower.service.answer(QUESTION, lambda _: None)
    found = follower.service.certificate(answer.request_id[:12])
    assert (found.request_id, found.certificate) == (answer.request_id, answer.certificate)
    with pytest.raises(ConfigurationError, match="certificate_missing"):
        follower.service.certificate("f" * 64)
    assert [record.has_certificate for record in follower.service.rounds()] == [True]


async def test_a_node_alone_answers_itself_and_says_that_nothing_is_verified(network) -> None:
    alone = await network.add("alone")
    call = api.Ask(prompt="What is the capital of France?", quorum=1)
    plan = await alone.service.answer(api.Plan(prompt=call.prompt, quorum=1), lambda _: None)
    answer = await alone.service.answer(call, lambda _: None)
    assert (plan.own_only, plan.warnings) == (True, ("One node answers: the answer is not verified.",))
    assert (answer.outcome, answer.verified) == ("accepted", False)


async def test_nobody_there_is_said_with_three_ways_on(network) -> None:
    follower = await network.add("follower", roles=())
    with pytest.raises(ConfigurationError) as caught:
        await follower.service.answer(QUESTION, lambda _: None)
    assert caught.value.code == "no_peers"
    for way in ("dicast up", "make demo", "--quorum 1"):
        assert way in caught.value.next_step


async def test_too_few_nodes_are_refused_naming_the_largest_frame(network) -> None:
    follower = await network.add("follower", roles=())
    await network.workers(2)
    with pytest.raises(Rejection) as caught:
        await follower.service.answer(QUESTION, lambda _: None)
    assert caught.value.code == "too_few_nodes"
    assert "--seats 2 --quorum 2" in caught.value.next_step


async def test_cancelling_a_question_ends_its_round(network) -> None:
    hold = asyncio.Event()
    from dicast.engines.memory import MemoryEngine

    follower = await network.add("follower", roles=())
    for name in ("a", "b", "c"):
        await network.add(name, engine=MemoryEngine(lambda _: "Never said.", hold=hold))
    opened = asyncio.Event()
    asking = asyncio.create_task(
        follower.service.answer(
            QUESTION, lambda event: opened.set() if isinstance(event, RoundOpened) else None
        )
    )
    await opened.wait()
    ends = follower.driver.reports.subscribe(lambda report: type(report).__name__ == "RoundEnded")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    ended = await ends.next()
    assert ended is not None
    assert ended.code == "cancelled"


class RaisingEngine:
    """A plugin that breaks its contract."""

    name = "raising"

    def __init__(self, offered: tuple) -> None:
        self._offered = offered

    async def models(self) -> tuple:
        return self._offered

    async def generate(self, job, on_text) -> Generation:
        raise ValueError("a bug in a plugin")

    async def close(self) -> None:
        pass


async def test_an_engine_that_raises_stops_one_job_and_is_logged(network) -> None:
    from dicast.protocol.messages import OfferedModel

    follower = await network.add("follower", roles=())
    await network.workers(2)
    offered = (OfferedModel(name="memory", engine="raising", context_tokens=100),)
    broken = await network.add("broken", engine=RaisingEngine(offered))
    call = api.Ask(prompt="What?", quorum=2, seats=3, sec_percentage=0.6, timeout_s=5)
    answer = await follower.service.answer(call, lambda _: None)
    assert answer.outcome == "accepted"
    assert answer.verdict.statuses[broken.node_id] == "silent"
    assert "plugin_bug" in broken.log_text.getvalue()
    assert "inference_failed" in broken.log_text.getvalue()
    assert "ValueError inside the plugin" in broken.driver.failure_of(answer.request_id)
    assert not network.running[broken].done()


async def test_a_bug_in_the_core_is_logged_and_stops_the_node(network) -> None:
    node = await network.add("node")

    def broken(happened, now):
        raise RuntimeError("our own bug")

    node.node.handle = broken
    node.driver.submit(api.Done())
    with pytest.raises(RuntimeError, match="our own bug"):
        await network.running[node]
    assert "our own bug" in node.log_text.getvalue()


async def test_a_store_that_fails_stops_the_node_before_anything_is_sent(network) -> None:
    node = await network.add("node")

    def full(writes):
        raise AdapterError("store_full", "The disk is full.")

    node.store.apply = full
    sent = node.driver.counts.packets_sent
    asking = asyncio.create_task(node.service.answer(api.Ask(prompt="What?", quorum=1), lambda _: None))
    with pytest.raises(AdapterError, match="store_full"):
        await network.running[node]
    with pytest.raises(AdapterError, match="node_stopped"):
        await asking
    assert node.driver.counts.packets_sent == sent


async def test_a_flood_is_dropped_and_counted(network, monkeypatch) -> None:
    monkeypatch.setattr("dicast.daemon.inbox.PACKETS_WAITING_MAX", 10)
    node = await network.add("node")
    for _ in range(50):
        node.driver._receive(b"junk", "memory")
    assert node.driver.counts.packets_dropped == 40
    await asyncio.sleep(0)
    status = node.service.status()
    assert status.packets_dropped == 40
