"""Drawn rounds: the beacon that nobody knew when the request was signed decides who has a seat."""

from __future__ import annotations

import json

import pytest

from dicast.base.hashing import sha256
from dicast.consensus.panel import draw, randomness
from dicast.consensus.reasons import Outcome
from dicast.embedders.memory import MemoryEmbedder
from dicast.protocol.certificate import CertificateError, verify
from dicast.protocol.envelope import make_packet, topic_of
from dicast.protocol.inputs import BeaconSeen, PacketReceived
from dicast.protocol.messages import Kind, Panel
from dicast.protocol.outputs import (
    AskRefused,
    CertificateReady,
    MemberProgress,
    PacketRefused,
    Penalised,
    RoundDecided,
    RoundEnded,
    RoundProgress,
    StartInference,
    WorkProgress,
)

EMBEDDER = MemoryEmbedder()


@pytest.fixture
def drawn(network, question, prove, publish):
    """An asker that knows five proven workers, a beacon at round 1, and a question for round 2."""
    asker = network.add(roles=())
    workers = [network.add() for _ in range(5)]
    network.run_for(1_000)
    prove(asker, 2)
    publish(1)
    return asker, workers, question(seats=8, quorum=5, percentage_bp=6_000, grace_ms=3_000, admission="drawn")


def test_a_drawn_round_gives_a_certificate_that_proves_the_draw(network, drawn, publish):
    asker, workers, question = drawn
    network.ask(asker, question)
    network.run_for(2_000)
    assert network.sent(Kind.COMMIT) == []
    publish(2)
    network.run_for(10_000)
    [decided] = asker.reported(RoundDecided)
    [ready] = asker.reported(CertificateReady)
    verification = verify(ready.certificate, lambda _, texts: EMBEDDER.embed(texts))
    assert (verification.panel, verification.verdict) == ("draw_unchecked", decided.verdict)
    assert (decided.verdict.outcome, decided.verdict.n) == (Outcome.ACCEPTED, 8)
    for beacons, proof in (({2: sha256(b"beacon-2").hex()}, "drawn"), ({3: "00"}, "draw_unchecked")):
        assert verify(ready.certificate, None, beacons=beacons).panel == proof
    with pytest.raises(CertificateError, match="panel_not_drawn"):
        verify(ready.certificate, None, beacons={2: "00" * 32})
    candidates = {worker.identity.node_id: 2 for worker in workers}
    beacon = sha256(b"beacon-2").hex()
    seats = draw(candidates, 8, randomness(decided.request_id, beacon))
    [panel] = {json.loads(wire)["content"] for wire in network.sent(Kind.PANEL)}
    assert json.loads(panel)["members"] == seats
    committed = {json.loads(wire)["pubkey"] for wire in network.sent(Kind.COMMIT)}
    assert (committed, sum(seats.values())) == (set(seats), 8)
    steps = [(report.step, report.seats) for report in asker.reported(RoundProgress)]
    assert steps[:2] == [("drawn", 8), ("sealed", 8)]


def test_a_member_with_several_seats_answers_once_and_counts_for_all_of_them(network, drawn, publish):
    asker, workers, question = drawn
    runs = []
    for worker in workers:
        worker.answer = lambda run, worker=worker: runs.append(worker.identity.node_id) or "Paris."
    network.ask(asker, question)
    network.settle()
    publish(2)
    network.run_for(10_000)
    [decided] = asker.reported(RoundDecided)
    assert sorted(runs) == sorted(set(runs)) == sorted(decided.verdict.statuses)
    assert decided.verdict.ball_size == 8


@pytest.mark.parametrize("beacon_round", [0, 1])
def test_without_a_beacon_round_that_is_still_to_come_nothing_is_asked(network, question, beacon_round):
    asker = network.add(roles=())
    for _ in range(5):
        network.add()
    network.run_for(1_000)
    if beacon_round:
        network.give(asker, BeaconSeen(1, "00"))
    network.ask(asker, question(admission="drawn", beacon_round=beacon_round))
    assert [refused.code for refused in asker.reported(AskRefused)] == ["no_beacon"]


def test_a_worker_for_whom_the_beacon_was_public_declines(network, drawn, publish):
    asker, workers, question = drawn
    network.give(workers[0], BeaconSeen(2, sha256(b"beacon-2").hex()))
    network.ask(asker, question)
    network.settle()
    declined = [(report.step, report.detail) for report in workers[0].reported(WorkProgress)]
    assert declined == [("declined", "beacon_public")]
    assert workers[1].reported(WorkProgress) == []


def test_a_beacon_that_does_not_come_ends_the_round(network, drawn):
    asker, _, question = drawn
    network.ask(asker, question)
    network.run_for(30_000)
    assert [ended.code for ended in asker.reported(RoundEnded)] == ["no_beacon"]
    assert network.sent(Kind.PANEL) == []


def test_a_panel_before_the_beacon_is_not_believed_and_the_repeated_one_is(network, drawn):
    asker, workers, question = drawn
    network.ask(asker, question)
    network.settle()
    value = sha256(b"beacon-2").hex()
    network.give(asker, BeaconSeen(2, value))
    network.settle()
    refusals = [report.reason for report in workers[0].reported(PacketRefused)]
    assert refusals == ["unknown_predecessor"]
    for worker in workers:
        network.give(worker, BeaconSeen(2, value))
    network.run_for(10_000)
    [decided] = asker.reported(RoundDecided)
    assert decided.verdict.outcome is Outcome.ACCEPTED


@pytest.mark.parametrize("lie", ["members", "candidates"])
def test_a_panel_that_does_not_follow_from_the_beacon_costs_standing(network, drawn, publish, lie):
    asker, workers, question = drawn
    network.drop = lambda _host, wire: json.loads(wire)["kind"] == Kind.PANEL
    network.ask(asker, question)
    publish(2)
    network.settle()
    genuine = json.loads(network.sent(Kind.PANEL)[0])
    fields = json.loads(genuine["content"])
    own = workers[0].identity.node_id
    fields[lie] = {"members": {own: 8}, "candidates": {own: 2}}[lie]
    body = Panel(**fields)
    predecessor = genuine["tags"][1][1]
    packet = make_packet(asker.identity.key, topic_of("main"), body, network.now, predecessor)
    network.give(workers[0], PacketReceived(packet.wire, "test"))
    key = asker.identity.node_id
    assert workers[0].reports[-2:] == [Penalised(key, "malformed"), PacketRefused("body", "test", key)]
    assert [report for report in workers[0].reports if isinstance(report, StartInference)] == []


@pytest.mark.parametrize("kind", [Kind.PANEL, Kind.COMMIT, Kind.QUORUM, Kind.REVEAL, Kind.CLOSE])
@pytest.mark.parametrize("who", ["asker", "worker"])
def test_a_drawn_round_survives_a_restart(network, drawn, publish, kind, who):
    asker, workers, question = drawn
    network.ask(asker, question)
    network.settle()
    publish(2)
    network.settle_until(lambda: bool(network.sent(kind)))
    seated = {json.loads(wire)["pubkey"] for wire in network.sent(Kind.COMMIT)}
    worker = next((one for one in workers if one.identity.node_id in seated), workers[0])
    restarted = asker if who == "asker" else worker
    network.restart(restarted)
    network.give(restarted, BeaconSeen(2, sha256(b"beacon-2").hex()))
    network.run_for(40_000)
    decided = asker.reported(RoundDecided)[-1].verdict
    assert decided.outcome is Outcome.ACCEPTED
    if kind is not Kind.PANEL:
        assert set(decided.statuses.values()) == {"core"}
    for host in workers:
        for made in (Kind.COMMIT, Kind.REVEAL, Kind.SIGNATURE):
            assert len(set(network.sent(made, host))) <= 1, (made, "was made anew")


def test_a_requester_that_restarts_before_the_beacon_draws_when_it_comes(network, drawn, publish):
    asker, _, question = drawn
    network.ask(asker, question)
    network.settle()
    network.restart(asker)
    publish(2)
    network.run_for(20_000)
    assert asker.reported(RoundDecided)[-1].verdict.outcome is Outcome.ACCEPTED
    assert asker.reported(MemberProgress) != []


def test_a_panel_by_another_beacon_than_ours_draws_nobody_and_blames_nobody(network, drawn, publish):
    asker, workers, question = drawn
    network.ask(asker, question)
    network.settle()
    for worker in workers:
        network.give(worker, BeaconSeen(2, "00" * 32))
    network.give(asker, BeaconSeen(2, sha256(b"beacon-2").hex()))
    network.settle()
    key = asker.identity.node_id
    assert workers[0].reports[-1] == PacketRefused("impossible", "test", key)
    assert network.sent(Kind.COMMIT) == []


def test_a_panel_that_comes_before_its_beacon_is_heard_when_the_beacon_comes(network, drawn, publish):
    asker, workers, question = drawn
    network.ask(asker, question)
    network.settle()
    value = sha256(b"beacon-2").hex()
    network.give(asker, BeaconSeen(2, value))
    network.settle()
    network.drop = lambda _host, wire: json.loads(wire)["kind"] == Kind.PANEL  # no repeat comes through
    for worker in workers:
        network.give(worker, BeaconSeen(2, value))
    network.run_for(10_000)
    [decided] = asker.reported(RoundDecided)
    assert decided.verdict.outcome is Outcome.ACCEPTED
