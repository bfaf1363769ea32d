"""Open rounds: whoever commits in time has a seat, if the requester knew it before."""

from __future__ import annotations

import json

import pytest

from dicast.consensus.reasons import Outcome
from dicast.protocol.certificate import verify
from dicast.protocol.inputs import PacketReceived
from dicast.protocol.messages import Kind
from dicast.protocol.outputs import AskRefused, CertificateReady, PacketRefused, RoundDecided, WorkProgress


@pytest.fixture
def crowd(network):
    asker = network.add(roles=())
    workers = [network.add() for _ in range(6)]
    network.run_for(1_000)
    return asker, workers


def test_an_open_round_is_accepted_and_its_certificate_says_the_panel_was_nobodys_draw(
    network, question, crowd
):
    asker, workers = crowd
    network.ask(asker, question(seats=6, quorum=4, admission="open"))
    network.run_for(10_000)
    [decided] = asker.reported(RoundDecided)
    [ready] = asker.reported(CertificateReady)
    verification = verify(ready.certificate, None)
    assert (decided.verdict.outcome, decided.verdict.n) == (Outcome.ACCEPTED, 6)
    assert (verification.panel, verification.admission) == ("requesters_word", "open")
    assert ready.signed_seats == 6
    assert set(decided.verdict.statuses) == {worker.identity.node_id for worker in workers}


def test_the_round_is_sealed_as_soon_as_its_seats_have_committed(network, question, crowd):
    asker, _ = crowd
    network.ask(asker, question(seats=3, quorum=2, percentage_bp=6_000, admission="open"))
    network.settle()
    [decided] = asker.reported(RoundDecided)
    first = [json.loads(wire)["pubkey"] for wire in network.sent(Kind.COMMIT)[:3]]
    assert (sorted(decided.verdict.statuses), decided.verdict.n) == (sorted(first), 3)


def test_a_stranger_whose_announcement_nobody_heard_is_not_let_in(network, question, crowd):
    asker, _ = crowd
    network.drop = lambda host, wire: json.loads(wire)["kind"] == Kind.ANNOUNCEMENT
    stranger = network.add()
    network.settle()
    network.ask(asker, question(seats=7, quorum=4, admission="open"))
    network.run_for(25_000)
    [decided] = asker.reported(RoundDecided)
    assert stranger.reported(WorkProgress)[0].step == "running"
    assert stranger.identity.node_id not in decided.verdict.statuses
    reasons = {(one.reason, one.author) for one in asker.reported(PacketRefused)}
    assert ("not_member", stranger.identity.node_id) in reasons


def test_too_few_known_nodes_are_refused_at_once(network, question):
    asker = network.add(roles=())
    network.ask(asker, question(seats=6, quorum=4, admission="open"))
    assert [refused.code for refused in asker.reported(AskRefused)] == ["no_workers"]


@pytest.mark.parametrize("kind", [Kind.COMMIT, Kind.QUORUM, Kind.REVEAL, Kind.CLOSE])
@pytest.mark.parametrize("who", ["asker", "worker"])
def test_an_open_round_survives_a_restart(network, question, crowd, kind, who):
    asker, workers = crowd
    network.ask(asker, question(seats=6, quorum=4, grace_ms=3_000, admission="open"))
    network.settle_until(lambda: bool(network.sent(kind)))
    network.restart(asker if who == "asker" else workers[2])
    announcements = network.sent(Kind.ANNOUNCEMENT)
    for wire in announcements:
        network.give(asker, PacketReceived(wire, "test"))
    network.run_for(40_000)
    verdict = asker.reported(RoundDecided)[-1].verdict
    assert (verdict.outcome, set(verdict.statuses.values())) == (Outcome.ACCEPTED, {"core"})
    for host in workers:
        for made in (Kind.COMMIT, Kind.REVEAL, Kind.SIGNATURE):
            assert len(set(network.sent(made, host))) <= 1, (made, "was made anew")
