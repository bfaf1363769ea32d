"""What was lost is fetched by id; what was sent is repeated, the same bytes, with back-off."""

from __future__ import annotations

import json

import pytest

from dicast.base.crypto import KeyPair
from dicast.base.types import EventId
from dicast.consensus.reasons import Outcome
from dicast.protocol.envelope import make_packet, sign_packet, tags_for, topic_of
from dicast.protocol.inputs import PacketReceived
from dicast.protocol.messages import Kind, Want
from dicast.protocol.outputs import Batch, CertificateReady, RoundDecided, Send

TOPIC = topic_of("main")


@pytest.fixture
def crowd(network):
    asker = network.add(roles=())
    workers = [network.add() for _ in range(5)]
    network.run_for(1_000)
    return asker, workers


def kind_of(wire):
    return json.loads(wire)["kind"]


def id_of(wire):
    return json.loads(wire)["id"]


def test_a_member_that_lost_every_reveal_fetches_them_and_signs(network, question, crowd):
    asker, workers = crowd
    deaf = workers[0]
    lost = set()

    def is_lost(host, wire):
        first = host is deaf and kind_of(wire) in {Kind.COMMIT, Kind.REVEAL} and wire not in lost
        if first:
            lost.add(wire)
        return first

    network.drop = is_lost
    network.ask(asker, question())
    network.settle()
    [want] = network.sent(Kind.WANT, deaf)
    assert len(json.loads(json.loads(want)["content"])["ids"]) == len(lost) == 8
    assert network.sent(Kind.SIGNATURE, deaf) != []
    [ready] = asker.reported(CertificateReady)
    assert ready.signed_seats == 5


def test_a_want_that_is_not_answered_is_asked_again_every_two_seconds_of_everybody_in_the_end(
    network, question, crowd
):
    asker, workers = crowd
    network.drop = lambda host, wire: (
        (host is workers[0] and kind_of(wire) == Kind.REVEAL)
        or (host is asker and kind_of(wire) == Kind.WANT)
    )
    network.ask(asker, question())
    network.settle()
    start_ms = network.now_ms
    moments = []
    for _ in range(60):
        wants = list(dict.fromkeys(network.sent(Kind.WANT, workers[0])))
        moments.extend([network.now_ms - start_ms] * (len(wants) - len(moments)))
        network.run_for(100)
    assert moments == [0, 2_000, 4_000]
    addressees = [[tag[1] for tag in json.loads(want)["tags"] if tag[0] == "p"] for want in wants]
    assert addressees == [[asker.identity.node_id]] * 2 + [[]]


@pytest.fixture
def closed(network, question, crowd):
    """A round that is over, and wants for its first commit."""
    asker, workers = crowd
    network.ask(asker, question())
    network.settle()
    close, commit = network.sent(Kind.CLOSE)[0], network.sent(Kind.COMMIT, workers[0])[0]

    def want(key, wanted=None, addressees=()):
        tags = tags_for(Kind.WANT, TOPIC, network.now, EventId(id_of(close)), addressees)
        body = Want(1, (EventId(wanted or id_of(commit)),))
        return PacketReceived(sign_packet(key, body, tags, network.now).wire, "test")

    return asker, workers, commit, want


def test_theorem_11_5_a_want_is_answered_once_an_asker_and_two_seconds(network, closed):
    asker, workers, commit, want = closed
    answered = Batch(sends=(Send(commit),))
    one, two = workers[0].identity.key, workers[1].identity.key
    assert asker.node.handle(want(one), network.now) == answered
    network.now_ms += 1_001
    assert asker.node.handle(want(one), network.now) == Batch()
    assert asker.node.handle(want(two), network.now) == answered
    network.now_ms += 1_001
    assert asker.node.handle(want(one), network.now) == answered


def test_a_want_is_answered_to_members_only_and_by_whom_it_is_meant_for(network, closed):
    asker, workers, commit, want = closed
    stranger = KeyPair.from_seed(b"stranger")
    mine, others = asker.identity.node_id, workers[1].identity.node_id
    assert asker.node.handle(want(stranger), network.now) == Batch()
    assert asker.node.handle(want(workers[0].identity.key, "11" * 32), network.now) == Batch()
    assert asker.node.handle(want(workers[2].identity.key, None, (others,)), network.now) == Batch()
    expected = Batch(sends=(Send(commit),))
    assert asker.node.handle(want(workers[3].identity.key, None, (mine,)), network.now) == expected


def test_a_want_to_nobody_in_particular_is_answered_by_the_author_and_about_a_quarter(network, closed):
    _, workers, _, want = closed
    answers = 0
    for reveal in network.sent(Kind.REVEAL)[1:]:
        heard = want(workers[0].identity.key, id_of(reveal))
        for host in workers[1:]:
            batch = host.node.handle(heard, network.now)
            is_author = json.loads(reveal)["pubkey"] == host.identity.node_id
            assert batch in (Batch(), Batch(sends=(Send(reveal),)))
            assert bool(batch.sends) or not is_author
            answers += len(batch.sends)
    assert 4 <= answers <= 12


def test_theorem_11_4_the_same_bytes_are_repeated_with_back_off_until_the_successor_comes(
    network, question, crowd
):
    asker, workers = crowd
    network.drop = lambda host, wire: kind_of(wire) == Kind.COMMIT
    network.ask(asker, question(deadline_ms=60_000))
    network.settle()
    start_ms, moments = network.now_ms, []
    while network.now_ms < start_ms + 40_000:
        network.run_for(500)
        count = len(network.sent(Kind.COMMIT, workers[0]))
        moments.extend([network.now_ms - start_ms] * (count - 1 - len(moments)))
    assert len(set(network.sent(Kind.COMMIT, workers[0]))) == 1
    assert moments == [1_000, 3_000, 7_000, 15_000, 31_000]
    network.drop = lambda *_: False
    network.run_for(60_000)
    count = len(network.sent(Kind.COMMIT, workers[0]))
    [decided] = asker.reported(RoundDecided)
    assert decided.verdict.outcome is Outcome.ACCEPTED
    network.run_for(60_000)
    assert len(network.sent(Kind.COMMIT, workers[0])) == count


@pytest.mark.parametrize("kind", [Kind.REQUEST, Kind.COMMIT, Kind.QUORUM, Kind.REVEAL, Kind.CLOSE])
def test_each_step_survives_the_loss_of_its_packet(network, question, crowd, kind):
    """The first copy to each receiver is lost; the repeat carries the round on."""
    asker, _ = crowd
    heard = set()

    def is_lost(host, wire):
        lost = kind_of(wire) == kind and (id(host), wire) not in heard
        heard.add((id(host), wire))
        return lost

    network.drop = is_lost
    network.ask(asker, question(quorum=5, reveal_ms=6_000))
    network.run_for(20_000)
    [decided] = asker.reported(RoundDecided)
    assert set(decided.verdict.statuses.values()) == {"core"}


def test_a_want_with_too_many_ids_is_malformed(network, closed):
    asker, workers, _, _ = closed
    ids = tuple(EventId(f"{number:064x}") for number in range(65))
    close = EventId(id_of(network.sent(Kind.CLOSE)[0]))
    wire = make_packet(workers[0].identity.key, TOPIC, Want(1, ids), network.now, close).wire
    network.give(asker, PacketReceived(wire, "test"))
    assert asker.reports[-1].reason == "body"
