"""A listed round from question to certificate, on a network that loses nothing."""

from __future__ import annotations

from itertools import count

import msgspec
import pytest

from dicast.consensus.reasons import Outcome, Reason, Status
from dicast.embedders.memory import MemoryEmbedder
from dicast.protocol.certificate import verify
from dicast.protocol.inputs import ModelsChanged
from dicast.protocol.messages import Kind, Message, OfferedModel, Role
from dicast.protocol.outputs import (
    AskRefused,
    CertificateReady,
    MemberProgress,
    Penalised,
    RoundDecided,
    RoundEnded,
    RoundOpened,
)
from dicast.protocol.settings import Identity

EMBEDDER = MemoryEmbedder()


def embed(name, texts):
    return EMBEDDER.embed(texts) if name == EMBEDDER.name else None


def test_five_honest_nodes_give_a_certificate_that_verifies(network, question):
    asker = network.add(roles=())
    workers = [network.add() for _ in range(5)]
    network.run_for(1_000)
    network.ask(asker, question())
    network.run_for(10_000)
    [decided] = asker.reported(RoundDecided)
    assert (decided.verdict.outcome, decided.verdict.reason) == (Outcome.ACCEPTED, Reason.AGREED)
    assert set(decided.verdict.statuses.values()) == {Status.CORE}
    [ready] = asker.reported(CertificateReady)
    assert ready.signed_seats == 5
    verification = verify(ready.certificate, embed)
    assert verification.embeddings == "recomputed"
    assert verification.inputs_witnessed
    assert verification.verdict == decided.verdict
    assert not [report for host in network.hosts for report in host.reported(Penalised)]
    assert all(host.node.rounds()[0].signatures == 5 for host in [asker, *workers])


def test_a_follower_without_embedder_needs_signatures(network, question, follower):
    for _ in range(5):
        network.add()
    network.run_for(1_000)
    network.ask(follower, question())
    network.run_for(10_000)
    [decided] = follower.reported(RoundDecided)
    assert decided.verdict.outcome is Outcome.ACCEPTED
    assert not decided.checked


def test_a_follower_whose_members_do_not_sign_is_not_told_an_answer(network, question, follower):
    for _ in range(5):
        network.add(roles=(Role.WORKER,))
    network.run_for(1_000)
    network.ask(follower, question())
    network.run_for(20_000)
    [ended] = follower.reported(RoundEnded)
    assert ended.code == "not_confirmed"
    assert not follower.reported(RoundDecided)


def test_one_liar_and_one_that_dies_after_its_commit(network, question):
    asker = network.add(roles=())
    workers = [network.add() for _ in range(7)]
    workers[0].answer = lambda _: "Bananas grow on tall green plants."
    network.run_for(1_000)
    victim = workers[1]
    network.ask(asker, question(seats=7, quorum=6, percentage_bp=5_700))
    while not [
        one
        for one in asker.reported(MemberProgress)
        if one.member == victim.identity.node_id and one.step == "committed"
    ]:
        host, happened = network.queue.popleft()
        network.give(host, happened)
    victim.alive = False
    network.run_for(15_000)
    [decided] = asker.reported(RoundDecided)
    statuses = decided.verdict.statuses
    assert decided.verdict.outcome is Outcome.ACCEPTED
    assert statuses[victim.identity.node_id] is Status.UNREVEALED
    assert statuses[workers[0].identity.node_id] in {Status.CONFLICT, Status.OUTSIDE}
    assert decided.verdict.ball_size == 5


def test_too_few_nodes_are_refused_and_the_largest_frame_named(network, question):
    asker = network.add(roles=())
    for _ in range(3):
        network.add()
    network.run_for(1_000)
    network.ask(asker, question())
    [refused] = asker.reported(AskRefused)
    assert refused.code == "too_few_nodes"
    assert "3 seats" in refused.next_step
    assert not asker.reported(RoundOpened)


def test_quorum_one_on_ones_own_node(network, question):
    own = network.add()
    network.run_for(1_000)
    network.ask(own, question(seats=1, quorum=1, percentage_bp=10_000))
    network.run_for(5_000)
    [decided] = own.reported(RoundDecided)
    assert decided.verdict.outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"messages": (Message("user", '"' * 1_048_576),)}, "prompt_too_large"),
        ({"messages": (Message("user", "x" * 1_100_000),)}, "prompt_too_large"),
        ({"messages": (Message("user", " "),)}, "prompt_empty"),
        ({"messages": (Message("user", "\ud800"),)}, "question_invalid"),
        ({"messages": (Message("user", "\ud800" * 40_000),)}, "question_invalid"),
        ({"messages": (Message("user", "x" * 200),) * 257}, "question_invalid"),
        ({"members": ("nobody",) * 5, "seats": 1}, "frame_quorum"),
        ({"members": ("nobody", "b", "c", "d", "e")}, "question_invalid"),
        ({"models": ("m" * 300,)}, "no_workers"),
        ({"temperature_milli": -1}, "question_invalid"),
        ({"max_tokens": 0}, "question_invalid"),
        ({"attempts": 4}, "too_many_attempts"),
        ({"seats": 300}, "too_many_seats"),
        ({"schema": "{"}, "schema_invalid"),
        ({"schema": '{"type":"string","pattern":"a+"}'}, "schema_invalid"),
    ],
)
def test_what_cannot_be_asked_is_refused_at_once_and_nothing_is_sent(network, question, change, code):
    asker = network.add(roles=())
    for _ in range(5):
        network.add()
    network.run_for(1_000)
    sent = len(network.wires)
    network.ask(asker, msgspec.structs.replace(question(), **change))
    [refused] = asker.reported(AskRefused)
    assert refused.code == code
    assert len(network.wires) == sent
    assert asker.node.rounds() == ()


@pytest.mark.parametrize("liars", [1, 2])
def test_a_follower_finds_the_verdict_that_the_members_signed_although_some_reveal_false_bits(
    network, question, follower, liars
):
    workers = [network.add() for _ in range(7)]
    for liar in workers[:liars]:
        liar.embed = lambda texts: [bytes(48) for _ in texts]
    network.run_for(1_000)
    network.ask(follower, question(seats=7, quorum=7, percentage_bp=5_700))
    network.run_for(15_000)
    [decided] = follower.reported(RoundDecided)
    assert (decided.verdict.outcome, decided.checked) == (Outcome.ACCEPTED, False)
    statuses = [decided.verdict.statuses[liar.identity.node_id] for liar in workers[:liars]]
    assert statuses == [Status.EMBEDDING_MISMATCH] * liars
    [ready] = follower.reported(CertificateReady)
    assert ready.signed_seats == 7 - liars
    for reader, check in ((embed, "recomputed"), (None, "not_checked")):
        verification = verify(ready.certificate, reader)
        assert (verification.embeddings, verification.verdict) == (check, decided.verdict)


@pytest.mark.parametrize("liars", [0, 1])
def test_a_follower_accuses_nobody_of_false_bits_who_failed_for_another_reason(
    network, question, follower, monkeypatch, liars
):
    """The member whose reveal is not what it committed to does not sign, either: its bits may be true."""
    workers = [network.add() for _ in range(6)]
    careless = network.add(roles=(Role.WORKER,))
    for liar in workers[:liars]:
        liar.embed = lambda texts: [bytes(48) for _ in texts]
    salt_of, salts = Identity.commit_salt, count()

    def salt(self, request_id):
        fresh = salt_of(self, request_id)
        return fresh if self.key is not careless.identity.key else bytes([next(salts)]) * 32

    monkeypatch.setattr(Identity, "commit_salt", salt)
    network.run_for(1_000)
    network.ask(follower, question(seats=7, quorum=7, percentage_bp=5_700))
    network.run_for(15_000)
    [decided] = follower.reported(RoundDecided)
    assert (decided.verdict.outcome, decided.checked) == (Outcome.ACCEPTED, False)
    assert decided.verdict.statuses[careless.identity.node_id] is Status.DIGEST_MISMATCH
    [ready] = follower.reported(CertificateReady)
    assert ready.signed_seats == 6 - liars
    for reader, check in ((embed, "recomputed"), (None, "not_checked")):
        verification = verify(ready.certificate, reader)
        assert (verification.embeddings, verification.verdict) == (check, decided.verdict)


@pytest.mark.parametrize(("names", "chosen"), [(("small-1", "wide-1"), "wide-1"), (("small-1",), "small-1")])
def test_where_any_model_will_do_one_made_for_anything_answers(network, question, names, chosen):
    asker, worker = network.add(roles=()), network.add()
    domains = {"small-1": "capitals", "wide-1": ""}
    network.give(
        worker, ModelsChanged(tuple(OfferedModel(name, "fake", 4096, "", domains[name]) for name in names))
    )
    jobs = []
    worker.answer = lambda job: jobs.append(job.model) or "The capital of France is Paris."
    network.run_for(70_000)
    network.ask(asker, question(seats=1, quorum=1))
    network.run_for(10_000)
    assert jobs == [chosen]


@pytest.mark.parametrize(("is_lost", "closes"), [(False, 1), (True, 3)])
def test_a_close_is_repeated_until_everybody_with_a_seat_has_signed(network, question, is_lost, closes):
    asker = network.add(roles=())
    workers = [network.add() for _ in range(3)]
    network.run_for(1_000)
    lost = b'"pubkey":"%s"' % workers[0].identity.node_id.encode()
    kind = b'"kind":%d,' % Kind.SIGNATURE
    network.drop = lambda host, wire: is_lost and host is asker and lost in wire and kind in wire
    network.ask(asker, question(seats=3, quorum=3))
    network.run_for(6_500)
    assert len(network.sent(Kind.CLOSE, asker)) == closes
