"""Asking again after an undetermined round: another request that names the one before."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from dicast.consensus.reasons import Outcome
from dicast.protocol.certificate import verify
from dicast.protocol.inputs import Cancelled
from dicast.protocol.outputs import AskRefused, CertificateReady, RoundDecided, RoundEnded, RoundOpened
from dicast.protocol.records import STANDING_DECODER

DISAGREEING = (
    "Lions hunt zebras at night.",
    "Volcanoes erupt molten rock.",
    "Bread needs flour and yeast.",
    "Violins have four strings each.",
    "Rivers carry silt downstream slowly.",
    "Copper conducts heat very well.",
    "Owls see quite well in darkness.",
    "Sailors read stars and charts.",
)


@pytest.fixture
def crowd(network):
    asker = network.add(roles=())
    workers = [network.add() for _ in range(8)]
    network.run_for(1_000)
    return asker, workers


def requests_of(network):
    found = {json.loads(wire)["id"]: json.loads(json.loads(wire)["content"]) for wire in network.sent(4110)}
    return list(found.items())


def test_theorem_11_6_attempts_form_a_chain_of_at_most_three(network, question, crowd):
    asker, workers = crowd
    for worker, answer in zip(workers, DISAGREEING, strict=True):
        worker.answer = lambda _, answer=answer: answer
    network.ask(asker, question(attempts=3))
    network.run_for(60_000)
    made = requests_of(network)
    ids = [request_id for request_id, _ in made]
    chain = [(request["attempt"], request.get("previous", "")) for _, request in made]
    assert chain == [(1, ""), (2, ids[0]), (3, ids[1])]
    decided = asker.reported(RoundDecided)
    assert [(one.verdict.outcome, one.next_attempt) for one in decided] == [
        (Outcome.UNDETERMINED, True),
        (Outcome.UNDETERMINED, True),
        (Outcome.UNDETERMINED, False),
    ]
    certificates = [verify(one.certificate, None) for one in asker.reported(CertificateReady)]
    assert [(one.attempt, one.previous) for one in certificates] == chain
    assert [one.ask_id for one in asker.reported(RoundOpened)] == ["a"] * 3


def test_seats_that_were_silent_are_left_out_of_the_next_attempt(network, question, crowd):
    asker, workers = crowd
    for worker in workers[:5]:
        worker.answer = lambda _: None
    network.ask(asker, question(seats=3, quorum=3, deadline_ms=3_000, attempts=3))
    network.run_for(60_000)
    made = [set(request["members"]) for _, request in requests_of(network)]
    silent = {worker.identity.node_id for worker in workers[:5]}
    for before, after in pairwise(made):
        assert after & before & silent == set()
    assert asker.reported(RoundDecided)[-1].verdict.outcome is Outcome.ACCEPTED or len(made) == 3


def test_members_of_a_quorum_that_was_too_small_are_neither_left_out_nor_blamed(network, question):
    asker = network.add(roles=())
    workers = [network.add() for _ in range(4)]
    network.run_for(1_000)
    workers[0].answer = lambda _: None
    asked = question(seats=3, quorum=3, deadline_ms=3_000, attempts=3)
    network.ask(asker, asked)
    network.run_for(60_000)
    first = asker.reported(RoundDecided)[0].verdict
    if first.outcome is Outcome.UNDETERMINED:
        assert sorted(first.statuses.values()) == ["silent", "unrevealed", "unrevealed"]
    assert asker.reported(RoundDecided)[-1].verdict.outcome is Outcome.ACCEPTED
    standings = [STANDING_DECODER.decode(value) for value in asker.tables["standing"].values()]
    assert [one.unrevealed for one in standings] == [0] * 3


def test_an_accepted_round_is_not_asked_again(network, question, crowd):
    asker, _ = crowd
    network.ask(asker, question(attempts=3))
    network.run_for(60_000)
    assert [one.next_attempt for one in asker.reported(RoundDecided)] == [False]
    assert len(requests_of(network)) == 1


def test_when_too_few_are_left_for_another_attempt_the_verdict_is_final(network, question):
    asker = network.add(roles=())
    workers = [network.add() for _ in range(3)]
    network.run_for(1_000)
    workers[0].answer = lambda _: None
    network.ask(asker, question(seats=3, quorum=3, deadline_ms=3_000, attempts=2))
    network.run_for(60_000)
    assert [one.next_attempt for one in asker.reported(RoundDecided)] == [False]
    assert len(asker.reported(CertificateReady)) == 1
    assert asker.reported(RoundEnded) == []


@pytest.mark.parametrize("attempts", [0, 4, -1])
def test_more_attempts_than_three_or_fewer_than_one_are_refused(network, question, crowd, attempts):
    asker, _ = crowd
    network.ask(asker, question(attempts=attempts))
    assert [one.code for one in asker.reported(AskRefused)] == ["too_many_attempts"]


def test_cancelling_between_attempts_ends_the_open_one(network, question, crowd):
    asker, workers = crowd
    for worker in workers:
        worker.answer = lambda _: None
    network.ask(asker, question(seats=3, quorum=3, deadline_ms=3_000, attempts=2))
    while len(requests_of(network)) < 2:
        network.run_for(1_000)
    network.give(asker, Cancelled("a"))
    network.run_for(30_000)
    second = requests_of(network)[1][0]
    assert [(one.request_id, one.code) for one in asker.reported(RoundEnded)] == [(second, "cancelled")]
    assert len(requests_of(network)) == 2
