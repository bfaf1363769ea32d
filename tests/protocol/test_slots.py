"""Prompts that wait a moment for a slot: who may, who begins next, and for how long."""

from __future__ import annotations

import random

import pytest

from dicast.protocol.inputs import Cancelled, InferenceFinished
from dicast.protocol.outputs import MemberProgress, RoundDecided, StartInference, WorkProgress
from dicast.protocol.slots import EXPECTED_MS_MAX, WAIT_MS_MAX, WAITING_A_SLOT, WAITING_SHARES

SLOTS = 4
USUAL_MS = 100
SHARE = WAITING_A_SLOT * SLOTS


class Desk:
    """A worker whose engine answers when it is told to."""

    def __init__(self, network, question, askers=1):
        self.network = network
        self.question = question
        self.askers = [network.add(roles=()) for _ in range(askers)]
        self.worker = network.add()
        self.jobs = []
        self.worker.answer = self._begin
        self.asked = 0
        network.run_for(1_000)

    def _begin(self, job: StartInference) -> None:
        self.jobs.append(job)

    def ask(self, count=1, by=0):
        for _ in range(count):
            self.asked += 1
            asked = self.question(seats=1, quorum=1, percentage_bp=10_000)
            self.network.ask(self.askers[by], asked, f"ask-{self.asked}")
        self.network.settle()

    def finish(self, count=1):
        for _ in range(count):
            job = self.jobs.pop(0)
            done = InferenceFinished(request_id=job.request_id, text="Paris.", model=job.model, engine="fake")
            self.network.give(self.worker, done)
            self.network.settle()

    def warm_up(self):
        """Its usual time is known."""
        self.ask()
        self.network.run_for(USUAL_MS)
        self.finish()

    def steps(self, by=0):
        return [one.step for one in self.askers[by].reported(MemberProgress)]

    def declined(self, by=0):
        return [one.detail for one in self.askers[by].reported(MemberProgress) if one.step == "declined"]

    def decided(self, by=0):
        return len(self.askers[by].reported(RoundDecided))

    @property
    def waiting(self):
        return self.worker.node._table._worker.slots._waiting


@pytest.fixture
def desk(network, question):
    return Desk(network, question)


def test_who_would_begin_soon_waits_and_says_so_when_it_begins(desk):
    desk.warm_up()
    desk.ask(SLOTS + 2)
    assert (len(desk.jobs), desk.worker.node.load, len(desk.waiting)) == (SLOTS, SLOTS, 2)
    assert desk.steps().count("accepted") == 1 + SLOTS
    assert [one.step for one in desk.worker.reported(WorkProgress)][-2:] == ["queued", "queued"]
    desk.finish()
    assert (len(desk.jobs), desk.worker.node.load, len(desk.waiting)) == (SLOTS, SLOTS, 1)
    assert desk.steps().count("accepted") == 2 + SLOTS
    desk.finish(SLOTS + 1)
    assert (desk.worker.node.load, len(desk.waiting), desk.decided()) == (0, 0, SLOTS + 3)
    assert desk.declined() == []


def test_before_anything_was_measured_nobody_waits(desk):
    desk.ask(SLOTS + 1)
    assert desk.declined() == ["busy"]


def test_who_would_begin_late_is_told_at_once(desk):
    desk.ask()
    desk.network.run_for(SLOTS * EXPECTED_MS_MAX + SLOTS)
    desk.finish()
    desk.ask(SLOTS + 1)
    assert desk.declined() == ["busy"]


def test_prompts_that_take_unusually_long_are_not_waited_for(desk):
    desk.warm_up()
    desk.ask(SLOTS)
    desk.network.run_for(SLOTS * EXPECTED_MS_MAX + 1)
    desk.ask()
    assert desk.declined() == ["busy"]


def test_who_has_waited_for_too_long_is_declined(desk):
    desk.warm_up()
    desk.ask(SLOTS + 1)
    desk.network.run_for(WAIT_MS_MAX - 1)
    assert (desk.declined(), len(desk.waiting)) == ([], 1)
    desk.network.run_for(1)
    assert (desk.declined(), len(desk.waiting), len(desk.jobs)) == (["busy"], 0, SLOTS)


def test_a_requester_fills_its_share_and_another_finds_a_place_and_begins_first(network, question):
    desk = Desk(network, question, askers=3)
    desk.warm_up()
    desk.ask(SLOTS + SHARE + 1)
    assert (len(desk.waiting), desk.declined()) == (SHARE, ["busy"])
    desk.ask(SHARE * (WAITING_SHARES - 1) + 1, by=1)
    assert (len(desk.waiting), desk.declined(1)) == (SHARE * WAITING_SHARES, ["busy"])
    desk.finish(SLOTS)
    mine, theirs = (network.hosts[number].identity.node_id for number in (0, 1))
    running = desk.worker.node._table._worker.slots._running.values()
    assert [one.requester for one in running] == [theirs, theirs, mine, mine]


def test_who_is_withdrawn_waits_no_longer(desk):
    desk.warm_up()
    desk.ask(SLOTS + 1)
    desk.network.give(desk.askers[0], Cancelled(f"ask-{desk.asked}"))
    desk.network.settle()
    assert len(desk.waiting) == 0
    desk.finish(SLOTS)
    assert (desk.jobs, desk.worker.node.load) == ([], 0)


def test_who_waited_when_the_node_died_begins_when_its_request_comes_again(desk):
    desk.warm_up()
    desk.ask(SLOTS + 1)
    desk.jobs.clear()
    desk.network.restart(desk.worker)
    desk.network.run_for(4_000)
    assert len(desk.jobs) == SLOTS
    desk.finish(SLOTS)
    desk.network.run_for(8_000)
    desk.finish(len(desk.jobs))
    assert desk.decided() == 1 + SLOTS + 1


@pytest.mark.parametrize("seed", range(20))
def test_theorem_11_18_no_slot_is_free_while_somebody_waits(network, question, seed):
    chance = random.Random(seed)
    desk = Desk(network, question, askers=3)
    desk.warm_up()
    for _ in range(120):
        match chance.choice(("ask", "ask", "finish", "wait", "cancel")):
            case "ask":
                desk.ask(chance.randrange(1, 4), chance.randrange(3))
            case "finish" if desk.jobs:
                desk.finish(chance.randrange(1, min(4, len(desk.jobs)) + 1))
            case "cancel":
                number = chance.randrange(1, desk.asked + 1)
                for asker in desk.askers:
                    network.give(asker, Cancelled(f"ask-{number}"))
                network.settle()
            case _:
                network.run_for(chance.randrange(200))
        slots = desk.worker.node._table._worker.slots
        assert desk.worker.node.load <= SLOTS
        assert not (slots.is_free and desk.waiting)
        assert len(desk.waiting) <= SHARE * WAITING_SHARES
        assert all(one.until_ms <= network.now_ms + WAIT_MS_MAX for one in desk.waiting.values())
        assert slots.deadline_ms is None or slots.deadline_ms > network.now_ms
