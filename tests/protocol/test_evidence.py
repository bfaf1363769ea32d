"""Two signed packets of one key that contradict each other convict it; nothing else does."""

from __future__ import annotations

import json

import pytest

from dicast.base.crypto import KeyPair
from dicast.base.types import EventId
from dicast.consensus.reasons import Outcome, Status
from dicast.protocol.envelope import make_packet, topic_of
from dicast.protocol.inputs import PacketReceived
from dicast.protocol.messages import (
    Close,
    Commit,
    Evidence,
    Kind,
    Quorum,
    Reveal,
    Signature,
    Usage,
    WorkState,
    WorkStatus,
)
from dicast.protocol.outputs import CertificateReady, PacketRefused, Penalised, RoundDecided

TOPIC = topic_of("main")
STRANGER = KeyPair.from_seed(b"stranger")
USAGE = Usage(0, 0, 0, 0)
LIE = Reveal(
    v=1,
    answer="another",
    model="fake-1",
    salt="00" * 32,
    embeddings={"memory/381": "00" * 48},
    usage=USAGE,
    engine="e",
)


@pytest.fixture
def crowd(network):
    asker = network.add(roles=())
    workers = [network.add() for _ in range(5)]
    network.run_for(1_000)
    return asker, workers


def predecessor_of(wire):
    return EventId(next(tag[1] for tag in json.loads(wire)["tags"] if tag[0] == "e"))


def contradiction(network, host, kind):
    """Another packet of `host` where one is allowed."""
    genuine = network.sent(kind, host)[0]
    content = json.loads(json.loads(genuine)["content"])
    body = {
        Kind.COMMIT: lambda: Commit(1, "ab" * 32),
        Kind.QUORUM: lambda: Quorum(1, tuple(content["commits"][1:])),
        Kind.REVEAL: lambda: LIE,
        Kind.CLOSE: lambda: Close(1, tuple(content["reveals"][1:]), content["selection_salt"]),
        Kind.SIGNATURE: lambda: Signature(1, "ab" * 32),
    }[kind]()
    return make_packet(host.identity.key, TOPIC, body, network.now, predecessor_of(genuine)).wire


@pytest.mark.parametrize("kind", [Kind.COMMIT, Kind.QUORUM, Kind.REVEAL, Kind.CLOSE, Kind.SIGNATURE])
def test_theorem_11_3_whoever_contradicts_itself_is_convicted_before_everybody(
    network, question, crowd, kind
):
    asker, workers = crowd
    culprit = asker if kind in {Kind.QUORUM, Kind.CLOSE} else workers[0]
    network.ask(asker, question())
    network.settle_until(lambda: bool(network.sent(kind, culprit)))
    network.settle()
    lie = contradiction(network, culprit, kind)
    witness = workers[1]
    network.give(witness, PacketReceived(lie, "test"))
    convicted = Penalised(culprit.identity.node_id, "equivocation")
    assert witness.reports[-2:] == [convicted, refused(culprit, "conflict")]
    network.run_for(3_000)
    [evidence] = set(network.sent(Kind.EVIDENCE, witness))
    assert sorted(json.loads(json.loads(evidence)["content"])["packets"]) == sorted(
        [lie.decode(), network.sent(kind, culprit)[0].decode()]
    )
    for host in network.hosts:
        accused = [one for one in host.reported(Penalised) if one.node_id == culprit.identity.node_id]
        assert accused == ([] if host is culprit else [convicted])
        assert bool(host.tables.get("standing", {}).get(culprit.identity.node_id)) == (host is not culprit)


def refused(culprit, reason):
    return PacketRefused(reason, "test", culprit.identity.node_id)


@pytest.mark.parametrize("kind", [Kind.COMMIT, Kind.REVEAL])
def test_a_second_one_in_time_takes_the_first_ones_seat_and_is_published(network, question, crowd, kind):
    """Two commits of a key: neither is sealed. Two reveals of a commit: they count as none."""
    asker, workers = crowd
    culprit = workers[0]
    workers[1].answer = (lambda _: None) if kind is Kind.COMMIT else workers[1].answer
    if kind is Kind.REVEAL:
        network.drop = lambda host, wire: host is workers[1] and json.loads(wire)["kind"] == Kind.QUORUM
    network.ask(asker, question(quorum=3, percentage_bp=6_000, grace_ms=1_000, reveal_ms=1_500))
    network.settle()
    network.give(asker, PacketReceived(contradiction(network, culprit, kind), "test"))
    network.run_for(10_000)
    [decided] = asker.reported(RoundDecided)
    expected = Status.SILENT if kind is Kind.COMMIT else Status.UNREVEALED
    assert decided.verdict.statuses[culprit.identity.node_id] is expected
    assert decided.verdict.outcome is Outcome.ACCEPTED
    assert len(set(network.sent(Kind.EVIDENCE, asker))) == 1
    assert {one.node_id for host in network.hosts for one in host.reported(Penalised)} == {
        culprit.identity.node_id
    }


def test_evidence_is_published_once_a_key_and_round(network, question, crowd):
    asker, workers = crowd
    network.ask(asker, question(quorum=5))
    network.settle_until(lambda: bool(network.sent(Kind.COMMIT, workers[0])))
    opened = predecessor_of(network.sent(Kind.COMMIT, workers[0])[0])
    for digit in "1234":
        lie = make_packet(workers[0].identity.key, TOPIC, Commit(1, digit * 64), network.now, opened)
        network.give(asker, PacketReceived(lie.wire, "test"))
    assert len(network.sent(Kind.EVIDENCE, asker)) == 1


def test_a_convicted_key_is_not_chosen_again_also_after_a_restart(network, question, crowd):
    asker, workers = crowd
    network.ask(asker, question())
    network.settle_until(lambda: bool(network.sent(Kind.COMMIT, workers[0])))
    network.settle()
    network.give(workers[1], PacketReceived(contradiction(network, workers[0], Kind.SIGNATURE), "test"))
    network.run_for(2_000)
    network.restart(asker)
    for wire in network.sent(Kind.ANNOUNCEMENT):
        network.give(asker, PacketReceived(wire, "test"))
    network.ask(asker, question(), "again")
    assert asker.reports[-1].code == "too_few_nodes"
    network.ask(asker, question(seats=4, quorum=3), "smaller")
    network.run_for(5_000)
    assert workers[0].identity.node_id not in asker.reported(RoundDecided)[-1].verdict.statuses


def test_members_do_not_work_for_a_convicted_requester(network, question, crowd):
    asker, workers = crowd
    network.ask(asker, question())
    network.settle()
    network.give(workers[0], PacketReceived(contradiction(network, asker, Kind.CLOSE), "test"))
    network.run_for(2_000)
    network.ask(asker, question(), "again")
    network.run_for(1_000)
    requests = [json.loads(wire)["id"] for wire in network.sent(Kind.REQUEST)]
    assert [one.request_id for one in workers[0].node.rounds()] == requests[:1]


def quoted(key, body, now, predecessor, topic=TOPIC):
    return make_packet(key, topic, body, now, predecessor).wire.decode()


def wrong_evidence(now):
    """Name -> two wires that convict nobody."""
    one, two = KeyPair.from_seed(b"one"), KeyPair.from_seed(b"two")
    here, there = EventId("11" * 32), EventId("22" * 32)
    a, b = Commit(1, "aa" * 32), Commit(1, "bb" * 32)
    first = quoted(one, a, now, here)
    forged = json.loads(quoted(one, b, now, here))
    forged["sig"] = "0" * 128
    tampered = json.loads(first)
    tampered["content"] = tampered["content"].replace("aa", "cc")
    states = [WorkStatus(1, state) for state in (WorkState.ACCEPTED, WorkState.DECLINED)]
    return {
        "one packet twice": (first, first),
        "two authors": (first, quoted(two, b, now, here)),
        "two rounds": (first, quoted(one, b, now, there)),
        "two kinds": (first, quoted(one, Signature(1, "bb" * 32), now, here)),
        "a kind of which there may be several": tuple(quoted(one, state, now, here) for state in states),
        "a forgery": (first, json.dumps(forged)),
        "a tampered packet": (first, json.dumps(tampered)),
        "another network": (first, quoted(one, b, now, here, topic_of("other"))),
        "both of another network": tuple(quoted(one, c, now, here, topic_of("other")) for c in (a, b)),
        "no packets": ("", "[]"),
    }


def test_evidence_that_convicts_nobody_costs_its_author(network):
    host = network.add(roles=())
    for number, (name, packets) in enumerate(wrong_evidence(network.now).items()):
        accuser = KeyPair.from_seed(b"accuser-%d" % number)
        wire = make_packet(accuser, TOPIC, Evidence(1, packets), network.now).wire
        batch = host.node.handle(PacketReceived(wire, "test"), network.now)
        expected = (
            Penalised(accuser.node_id, "malformed"),
            PacketRefused("body", "test", accuser.node_id),
        )
        assert (name, batch.reports) == (name, expected)


def test_evidence_about_ourselves_and_evidence_heard_before_change_nothing(network):
    host = network.add(roles=())
    for key, reasons in ((host.identity.key, ["own", "own"]), (STRANGER, [None, "duplicate"])):
        packets = tuple(quoted(key, Commit(1, digit * 64), network.now, EventId("11" * 32)) for digit in "12")
        for accuser, reason in zip((b"one", b"two"), reasons, strict=True):
            wire = make_packet(KeyPair.from_seed(accuser), TOPIC, Evidence(1, packets), network.now).wire
            batch = host.node.handle(PacketReceived(wire, "test"), network.now)
            refusals = [one.reason for one in batch.reports if isinstance(one, PacketRefused)]
            assert refusals == ([reason] if reason else [])
    assert [one.node_id for one in host.reported(Penalised)] == []
    assert host.node._context.directory.is_banned(STRANGER.node_id)


def test_a_packet_that_comes_again_in_another_spelling_contradicts_nobody(network, question, crowd):
    asker, workers = crowd
    network.ask(asker, question())
    network.settle()
    for kind in (Kind.COMMIT, Kind.QUORUM, Kind.REVEAL, Kind.CLOSE, Kind.SIGNATURE):
        for wire in network.sent(kind):
            network.give(workers[0], PacketReceived(json.dumps(json.loads(wire), indent=1).encode(), "test"))
    assert [one for host in network.hosts for one in host.reported(Penalised)] == []


def test_eight_signed_pieces_of_junk_are_forgiven_and_then_the_key_is_banned(network):
    host = network.add(roles=())
    lies = [make_packet(STRANGER, TOPIC, Evidence(1, (str(n), "[]")), network.now).wire for n in range(9)]
    for number, wire in enumerate(lies):
        assert host.node._context.directory.is_banned(STRANGER.node_id) == (number >= 8)
        network.give(host, PacketReceived(wire, "test"))


def test_a_member_that_sends_everybody_another_commit_stops_nobody(network, question, crowd):
    """The members kept two of its commits, the requester sealed a third: they fetch it and sign."""
    asker, workers = crowd
    culprit = workers[0]
    network.drop = lambda host, wire: (
        host is not asker
        and json.loads(wire)["kind"] == Kind.COMMIT
        and json.loads(wire)["pubkey"] == culprit.identity.node_id
        and not network.sent(Kind.QUORUM)
    )
    network.ask(asker, question())
    network.settle_until(lambda: bool(network.sent(Kind.COMMIT, culprit)))
    genuine = network.sent(Kind.COMMIT, culprit)[0]
    for digit in "12":
        lie = make_packet(
            culprit.identity.key, TOPIC, Commit(1, digit * 64), network.now, predecessor_of(genuine)
        )
        for witness in workers[1:]:
            network.give(witness, PacketReceived(lie.wire, "test"))
    for witness in workers[1:]:
        network.give(witness, PacketReceived(genuine, "test"))
    network.drop = lambda host, wire: json.loads(wire)["kind"] == Kind.EVIDENCE
    network.run_for(10_000)
    [decided] = asker.reported(RoundDecided)
    [ready] = asker.reported(CertificateReady)
    assert (decided.verdict.outcome, ready.signed_seats) == (Outcome.ACCEPTED, 5)


def test_two_quorums_get_one_reveal_and_one_signature_of_each_member(network, question, crowd):
    """Half of the members hear the lie first: they reveal for it, and for the genuine one no more."""
    asker, workers = crowd
    deceived = workers[:2]
    network.drop = lambda host, wire: host in deceived and json.loads(wire)["kind"] == Kind.QUORUM
    network.ask(asker, question(quorum=3, percentage_bp=6_000, reveal_ms=1_500))
    network.settle_until(lambda: bool(network.sent(Kind.QUORUM)))
    lie = contradiction(network, asker, Kind.QUORUM)
    for host in deceived:
        network.give(host, PacketReceived(lie, "test"))
    network.settle()
    genuine = network.sent(Kind.QUORUM)[0]
    for host in deceived:
        network.give(host, PacketReceived(genuine, "test"))
    network.run_for(5_000)
    for host in workers:
        assert [len(set(network.sent(kind, host))) for kind in (Kind.REVEAL, Kind.SIGNATURE)] in (
            [1, 1],
            [1, 0],
            [0, 0],
        )
    banned = [host for host in workers if host.node._context.directory.is_banned(asker.identity.node_id)]
    assert banned == workers
