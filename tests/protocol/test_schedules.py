"""Whatever the network does with the packets: one verdict a round, and nobody honest is blamed."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicast.consensus.reasons import Outcome
from dicast.protocol.messages import Kind
from dicast.protocol.outputs import CertificateReady, Penalised, RoundDecided

MADE_ONCE = (Kind.COMMIT, Kind.QUORUM, Kind.REVEAL, Kind.CLOSE, Kind.SIGNATURE)
NETWORKS = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def crowd(network):
    """Made anew for every example."""

    def make():
        fresh = type(network)()
        asker = fresh.add(roles=())
        workers = [fresh.add() for _ in range(5)]
        fresh.run_for(1_000)
        return fresh, asker, workers

    return make


class Shuffled:
    """Delivers whichever packet chance picks, loses some and doubles some."""

    def __init__(self, network, data, losses):
        self.network = network
        self.random = data.draw(st.randoms(use_true_random=False))
        self.losses = losses

    def run_for(self, milliseconds):
        end_ms = self.network.now_ms + milliseconds
        while self.network.now_ms < end_ms:
            while self.network.queue:
                self._deliver_one()
            self.network.run_for(500)

    def _deliver_one(self):
        queue = self.network.queue
        queue.rotate(self.random.randrange(len(queue)))
        host, happened = queue.popleft()
        is_packet = type(happened).__name__ == "PacketReceived"
        fate = self.random.random()
        if is_packet and fate < self.losses:
            return
        if is_packet and fate > 0.9:
            queue.append((host, happened))
        self.network.give(host, happened)


@NETWORKS
@given(data=st.data(), losses=st.sampled_from([0.0, 0.1, 0.2]))
def test_theorem_11_1_a_lossy_shuffled_network_ends_a_round_in_one_verdict(crowd, question, data, losses):
    network, asker, _ = crowd()
    schedule = Shuffled(network, data, losses)
    network.ask(asker, question(quorum=4, percentage_bp=6_000, reveal_ms=20_000, grace_ms=8_000))
    schedule.run_for(100_000)
    [decided] = asker.reported(RoundDecided)
    assert decided.verdict.outcome is Outcome.ACCEPTED
    assert len(asker.reported(CertificateReady)) == 1
    signed = {json.loads(json.loads(wire)["content"])["digest"] for wire in network.sent(Kind.SIGNATURE)}
    assert len(signed) == 1
    for host in network.hosts:
        assert all(len(set(network.sent(kind, host))) <= 1 for kind in MADE_ONCE)
        assert host.reported(Penalised) == []


@NETWORKS
@given(data=st.data())
def test_theorem_11_2_the_verdict_of_a_close_does_not_depend_on_the_order_of_arrival(crowd, question, data):
    """Answers differ, so that a winner has to be chosen among them."""
    verdicts = set()
    for _ in range(2):
        network, asker, workers = crowd()
        for number, worker in enumerate(workers):
            worker.answer = lambda _, number=number: f"The capital of France is Paris{'!' * number}"
        schedule = Shuffled(network, data, 0.0)
        network.ask(asker, question(quorum=5))
        schedule.run_for(30_000)
        verdicts.add(asker.reported(RoundDecided)[0].verdict.digest)
    assert len(verdicts) == 1
