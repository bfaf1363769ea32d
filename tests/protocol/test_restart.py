"""Rounds survive a restart of any participant at any step: what was stored goes on, nothing is made anew."""

from __future__ import annotations

import json

import pytest

from dicast.consensus.reasons import Outcome
from dicast.protocol.inputs import Cancelled
from dicast.protocol.messages import Kind
from dicast.protocol.outputs import CertificateReady, RoundDecided, WorkProgress


def kinds_of(wires):
    return [json.loads(wire)["kind"] for wire in wires]


def run_until_kind(network, kind):
    while kind not in kinds_of(network.wires):
        host, happened = network.queue.popleft()
        network.give(host, happened)


@pytest.mark.parametrize(
    "kind", [Kind.REQUEST, Kind.COMMIT, Kind.QUORUM, Kind.REVEAL, Kind.CLOSE, Kind.SIGNATURE]
)
@pytest.mark.parametrize("who", ["asker", "worker"])
def test_whoever_restarts_after_whichever_step_the_round_ends_in_one_verdict(network, question, kind, who):
    asker = network.add(roles=())
    workers = [network.add() for _ in range(5)]
    network.run_for(1_000)
    network.ask(asker, question(quorum=5))
    run_until_kind(network, kind)
    network.restart(asker if who == "asker" else workers[2])
    network.run_for(30_000)
    [ready] = asker.reported(CertificateReady)
    decided = asker.reported(RoundDecided)
    assert decided[-1].verdict.outcome is Outcome.ACCEPTED
    assert set(decided[-1].verdict.statuses.values()) == {"core"}
    assert ready.signed_seats >= decided[-1].verdict.need
    for host in network.hosts:
        made = [json.loads(wire) for wire in network.wires]
        for wanted in (Kind.COMMIT, Kind.REVEAL, Kind.SIGNATURE, Kind.QUORUM, Kind.CLOSE):
            own = {
                one["id"] for one in made if one["kind"] == wanted and one["pubkey"] == host.identity.node_id
            }
            assert len(own) <= 1, (wanted, "was made anew")


def test_a_requester_that_stays_dead_leaves_the_members_without_blame(network, question):
    asker = network.add(roles=())
    workers = [network.add() for _ in range(5)]
    network.run_for(1_000)
    network.ask(asker, question())
    run_until_kind(network, Kind.COMMIT)
    asker.alive = False
    network.run_for(200_000)
    assert all(not host.node.rounds() for host in workers)
    assert all(not host.tables.get("round") for host in workers)
    assert all(not host.tables.get("packet") for host in workers)


def test_finished_rounds_leave_the_store(network, question):
    asker = network.add(roles=())
    for _ in range(5):
        network.add()
    network.run_for(1_000)
    network.ask(asker, question())
    network.run_for(200_000)
    assert all(not host.tables.get("round") for host in network.hosts)
    assert all(not host.tables.get("packet") for host in network.hosts)
    assert len(asker.tables["certificate"]) == 1


def test_work_that_was_cancelled_is_not_taken_up_again_after_a_restart(network, question):
    asker = network.add(roles=())
    worker = network.add()
    network.run_for(1_000)
    worker.answer = lambda _: None
    network.ask(asker, question(seats=1, quorum=1, percentage_bp=10_000))
    network.settle()
    assert worker.node.rounds()[0].step == "running"
    network.give(asker, Cancelled("a"))
    network.settle()
    worker.reports.clear()
    worker.answer = lambda _: "The capital of France is Paris."
    network.restart(worker)
    network.run_for(5_000)
    assert [report.step for report in worker.reported(WorkProgress)] == []
    assert not worker.tables.get("committed")
