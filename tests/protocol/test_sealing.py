"""When the requester seals and closes: at once, after a grace, at the deadline; and who is let in."""

from __future__ import annotations

import json

import pytest

from dicast.base.types import EventId
from dicast.consensus.reasons import Outcome, Reason, Status
from dicast.protocol.envelope import make_packet, topic_of
from dicast.protocol.inputs import Cancelled, InferenceFailed, InferenceFinished, PacketReceived
from dicast.protocol.messages import Commit, DeclineReason, Kind
from dicast.protocol.outputs import (
    AskRefused,
    MemberProgress,
    PacketRefused,
    RoundDecided,
    RoundEnded,
    RoundProgress,
    WorkProgress,
)

TOPIC = topic_of("main")


@pytest.fixture
def crowd(network):
    asker = network.add(roles=())
    workers = [network.add() for _ in range(5)]
    network.run_for(1_000)
    return asker, workers


def test_when_every_seat_has_committed_and_revealed_nobody_waits(network, question, crowd):
    asker, _ = crowd
    network.ask(asker, question())
    network.settle()
    assert [(one.step, one.seats) for one in asker.reported(RoundProgress)] == [("sealed", 5), ("closed", 5)]


def test_after_the_quorum_stragglers_have_the_grace(network, question, crowd):
    asker, workers = crowd
    workers[0].answer = lambda _: None
    network.ask(asker, question(grace_ms=1_000))
    network.run_for(900)
    assert asker.reported(RoundProgress) == []
    network.run_for(200)
    assert [(one.step, one.seats) for one in asker.reported(RoundProgress)] == [("sealed", 4), ("closed", 4)]


def test_below_the_quorum_the_deadline_seals_nobody_reveals_and_nothing_is_determined(
    network, question, crowd
):
    asker, workers = crowd
    for worker in workers[:2]:
        worker.answer = lambda _: None
    network.ask(asker, question(deadline_ms=20_000))
    network.run_for(19_900)
    assert asker.reported(RoundProgress) == []
    network.run_for(10_000)
    [decided] = asker.reported(RoundDecided)
    verdict = decided.verdict
    assert (verdict.outcome, verdict.reason) == (Outcome.UNDETERMINED, Reason.QUORUM_NOT_REACHED)
    assert network.sent(Kind.REVEAL) == []
    assert [worker.reported(WorkProgress)[-1].step for worker in workers[2:]] != ["revealed"] * 3


def test_after_the_reveal_budget_the_round_closes_without_the_withheld(network, question, crowd):
    asker, workers = crowd
    network.drop = lambda host, wire: json.loads(wire)["kind"] == Kind.QUORUM and host is workers[0]
    network.ask(asker, question(quorum=5, reveal_ms=3_000))
    network.run_for(2_900)
    assert [one.step for one in asker.reported(RoundProgress)] == ["sealed"]
    network.run_for(3_000)
    [decided] = asker.reported(RoundDecided)
    assert decided.verdict.statuses[workers[0].identity.node_id] is Status.UNREVEALED
    assert decided.verdict.outcome is Outcome.ACCEPTED


def test_a_decline_is_reported_and_not_waited_for(network, question, crowd):
    asker, workers = crowd
    workers[0].answer = lambda _: None
    network.ask(asker, question(grace_ms=10_000))
    network.settle()
    assert asker.reported(RoundProgress) == []
    request_id = asker.node.rounds()[0].request_id
    network.give(workers[0], InferenceFailed(request_id, "engine_died"))
    network.settle()
    declined = [one for one in asker.reported(MemberProgress) if one.step == "declined"]
    assert declined == [
        MemberProgress(request_id, workers[0].identity.node_id, "declined", DeclineReason.ENGINE_FAILED)
    ]
    assert [one.step for one in asker.reported(RoundProgress)] == ["sealed", "closed"]


@pytest.mark.parametrize(
    ("setting", "reason"),
    [("slots", "busy"), ("embedders", "embedder_missing"), ("models", "model_missing")],
)
def test_a_member_says_why_it_cannot(network, question, setting, reason):
    asker = network.add(roles=())
    worker = network.add()
    network.run_for(1_000)
    match setting:
        case "slots":
            worker.answer = lambda _: None
            for number in range(4):
                network.ask(asker, question(seats=1, quorum=1), f"ask-{number}")
        case "embedders":
            worker.node._context.settings = type(worker.settings)(roles=worker.settings.roles, slots=4)
        case "models":
            worker.node._context.models = ()
    network.ask(asker, question(seats=1, quorum=1))
    network.run_for(3_000)
    assert [one.detail for one in asker.reported(MemberProgress) if one.step == "declined"] == [reason]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [("", "answer_malformed"), ("\u0378", "answer_malformed"), ("word " * 12_000, "answer_malformed")],
)
def test_an_answer_that_could_not_count_is_not_committed_to(network, question, crowd, answer, reason):
    asker, workers = crowd
    workers[0].answer = lambda _: answer
    network.ask(asker, question())
    network.run_for(10_000)
    assert [one.detail for one in workers[0].reported(WorkProgress) if one.step == "declined"] == [reason]
    assert network.sent(Kind.COMMIT, workers[0]) == []


def test_an_answer_whose_reveal_would_be_too_large_is_declined_and_never_cut(network, question, crowd):
    asker, workers = crowd
    workers[0].answer = lambda _: "Paris is the capital. " * 20 + "\n" * 49_000 + "Paris."
    network.ask(asker, question())
    network.run_for(10_000)
    details = [one.detail for one in workers[0].reported(WorkProgress) if one.step == "declined"]
    assert details in (["answer_too_large"], ["answer_malformed"])
    assert network.sent(Kind.COMMIT, workers[0]) == []


def test_a_cancelled_question_stops_the_members_without_blame(network, question, crowd):
    asker, workers = crowd
    for worker in workers:
        worker.answer = lambda _: None
    network.ask(asker, question())
    network.settle()
    network.give(asker, Cancelled("a"))
    network.run_for(1_000)
    assert [one.code for one in asker.reported(RoundEnded)] == ["cancelled"]
    last = [worker.reported(WorkProgress)[-1] for worker in workers]
    assert [(one.step, one.detail) for one in last] == [("abandoned", "cancelled")] * 5
    network.give(asker, Cancelled("a"))
    network.give(asker, Cancelled("another"))
    assert len(asker.reported(RoundEnded)) == 1


def test_only_the_requester_can_cancel(network, question, crowd):
    asker, workers = crowd
    for worker in workers:
        worker.answer = lambda _: None
    network.ask(asker, question())
    network.settle()
    network.give(workers[0], Cancelled("a"))
    network.settle()
    assert {worker.reported(WorkProgress)[-1].step for worker in workers} == {"running"}


def test_the_same_question_twice_is_refused_while_it_is_open(network, question, crowd):
    asker, _ = crowd
    network.ask(asker, question())
    network.ask(asker, question())
    assert [one.code for one in asker.reported(AskRefused)] == ["ask_repeated"]


def test_a_late_commit_does_not_count(network, question, crowd):
    asker, workers = crowd
    run = []
    workers[0].answer = run.append
    network.ask(asker, question(grace_ms=1_000))
    network.run_for(2_000)
    late = make_packet(
        workers[0].identity.key, TOPIC, Commit(1, "ab" * 32), network.now, EventId(run[0].request_id)
    )
    key = workers[0].identity.node_id
    for host in (asker, workers[1]):
        batch = host.node.handle(PacketReceived(late.wire, "test"), network.now)
        assert batch.reports == (PacketRefused("late", "test", key),)
    finished = InferenceFinished(request_id=run[0].request_id, text="Paris.", model="fake-1", engine="fake")
    network.give(workers[0], finished)
    network.run_for(5_000)
    assert network.sent(Kind.COMMIT, workers[0]) == []
    assert asker.reported(RoundDecided)[0].verdict.statuses[key] is Status.SILENT


def test_a_reveal_after_the_close_does_not_count(network, question, crowd):
    asker, workers = crowd
    network.drop = lambda host, wire: json.loads(wire)["kind"] == Kind.QUORUM and host is workers[0]
    network.ask(asker, question(reveal_ms=1_500))
    network.run_for(2_500)
    key = workers[0].identity.node_id
    assert [one.step for one in asker.reported(RoundProgress)] == ["sealed", "closed"]
    network.drop = lambda *_: False
    network.give(workers[0], PacketReceived(network.sent(Kind.QUORUM)[0], "test"))
    assert len(network.sent(Kind.REVEAL, workers[0])) == 1
    network.run_for(5_000)
    assert PacketRefused("late", "test", key) in asker.reported(PacketRefused)
    assert asker.reported(RoundDecided)[0].verdict.statuses[key] is Status.UNREVEALED
