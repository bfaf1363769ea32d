"""Each adversary does what its name says, and the round survives it: every checker still holds."""

from __future__ import annotations

from collections import Counter

import pytest

from dicast.protocol.messages import Kind
from dicast.protocol.outputs import PacketRefused, Penalised, RoundDecided, RoundEnded
from dicast.simulator.adversaries import forging_relay
from dicast.simulator.adversary_requesters import REQUESTER_NAMES
from dicast.simulator.scenario import ADVERSARIES
from dicast.simulator.sweep import check_world

MEMBER = 2


def _verdict(world):
    return next(told.report.verdict for told in world.ledger.told if isinstance(told.report, RoundDecided))


def _said(world, host, kind):
    author = world.hosts[host].machine.node_id
    return [sent for sent in world.ledger.of_kind(kind) if sent.packet.author == author]


@pytest.mark.parametrize("name", sorted(ADVERSARIES))
def test_a_world_with_one_adversary_keeps_every_property(one_round, name):
    asks = name in REQUESTER_NAMES
    world = one_round({0: name} if asks else {MEMBER: name})
    check_world(world)
    if not asks:
        assert _verdict(world).outcome == "accepted"


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("liar", "outside"),
        ("colluder", "outside"),
        ("chorus", "outside"),
        ("withholder", "unrevealed"),
        ("copier", "digest_mismatch"),
        ("late", "silent"),
        ("two-commits", "core silent"),
        ("two-reveals", "digest_mismatch unrevealed core"),
        ("false-bits", "embedding_mismatch"),
        ("splicer", "core"),
        ("false-signer", "core"),
        ("framer", "core"),
        ("spammer", "core"),
        ("sybils", "core"),
    ],
)
def test_the_verdict_names_what_a_member_did(one_round, name, statuses):
    world = one_round({MEMBER: name})
    assert _verdict(world).statuses[world.hosts[MEMBER].machine.node_id] in statuses.split()


def test_two_liars_that_collude_do_not_win(one_round):
    world = one_round({1: "colluder", 2: "colluder"})
    verdict = _verdict(world)
    assert (verdict.outcome, verdict.reason) == ("undetermined", "no_agreement")
    check_world(world)


def test_a_bridge_with_spam_behind_it_does_not_carry_the_spam(one_round):
    for seed in range(1, 6):
        world = one_round({1: "splicer", 2: "chorus"}, seed=seed)
        verdict = _verdict(world)
        assert verdict.outcome == "accepted"
        assert verdict.winner != world.hosts[2].machine.node_id
        check_world(world)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("two-commits", Kind.COMMIT),
        ("two-reveals", Kind.REVEAL),
        ("two-quorums", Kind.QUORUM),
        ("two-closes", Kind.CLOSE),
    ],
)
def test_contradictions_are_made_proved_and_punished(one_round, name, kind):
    culprit = 0 if kind in {Kind.QUORUM, Kind.CLOSE} else MEMBER
    world = one_round({culprit: name})
    assert len(_said(world, culprit, kind)) == 2
    assert world.ledger.of_kind(Kind.EVIDENCE)
    blamed = {told.report.node_id for told in world.ledger.told if isinstance(told.report, Penalised)}
    assert blamed == {world.hosts[culprit].machine.node_id}


@pytest.mark.parametrize(
    ("name", "left_out", "kind"),
    [("omits-commits", "silent", Kind.QUORUM), ("omits-reveals", "unrevealed", Kind.CLOSE)],
)
def test_a_requester_that_leaves_members_out_only_loses_support(one_round, name, left_out, kind):
    statuses = Counter()
    for seed in range(1, 6):
        world = one_round({0: name}, seed=seed)
        check_world(world)
        statuses.update(_verdict(world).statuses.values())
    assert statuses[left_out] > 0


@pytest.mark.parametrize("name", sorted(name for name in REQUESTER_NAMES if name.startswith("dies")))
def test_members_whose_requester_dies_are_not_blamed_and_forget_the_round(one_round, name):
    world = one_round({1: name}, asker=1)
    assert not world.hosts[1].is_up
    check_world(world)
    world.heap.run(200_000)
    assert [host.node.rounds() for host in world.hosts if host.node] == [()] * 5


def test_a_forging_relay_shadows_nothing_and_nobody_is_blamed(one_round):
    world = one_round(run=False)
    world.network.forge = forging_relay(world)
    world.run()
    check_world(world)
    assert world.ledger.refused["bad_signature"] + world.ledger.refused["shape"] > 10
    assert _verdict(world).outcome == "accepted"


def test_a_spammer_is_refused_and_its_key_is_banned(one_round):
    world = one_round({MEMBER: "spammer"})
    spammer = world.hosts[MEMBER].machine.node_id
    blames = {told.report.node_id for told in world.ledger.told if isinstance(told.report, Penalised)}
    assert blames <= {spammer}
    assert sum(world.ledger.refused.values()) > 300


def test_a_dying_asker_leaves_no_report_of_its_own(one_round):
    world = one_round({0: "dies-at-request"})
    mine = [told.report for told in world.ledger.told if told.host == 0]
    assert not any(isinstance(report, RoundDecided | RoundEnded) for report in mine)
    assert not any(isinstance(report, PacketRefused) for report in mine)
