"""Encrypted draws: nobody reads the question before the draw, and after it only those who were drawn."""

from __future__ import annotations

import json

import msgspec
import pytest

from dicast.base import codec
from dicast.embedders.memory import MemoryEmbedder
from dicast.protocol.certificate import CertificateError, Fault, verify
from dicast.protocol.envelope import PacketReader, make_packet, parse_packet, topic_of
from dicast.protocol.inputs import PacketReceived
from dicast.protocol.messages import Kind, Message, Panel, Refusal
from dicast.protocol.outputs import AskRefused, CertificateReady, PacketRefused, RoundDecided

EMBEDDER = MemoryEmbedder()
READER = PacketReader()
TOPIC = topic_of("main")
LONG = "What is the capital of France? " + "Take your time. " * 4_000


def embed(name, texts):
    return EMBEDDER.embed(texts) if name == EMBEDDER.name else None


@pytest.fixture
def drawn(network, question, prove, publish):
    """One who asks, six candidates, and an encrypted question to three of them; the draw is still to come."""

    def ask(prompt="What is the capital of France?"):
        asker, *workers = [network.add(roles=())] + [network.add() for _ in range(6)]
        network.run_for(1_000)
        prove(asker, 1)
        publish(1)
        asked = question(
            seats=3, quorum=2, percentage_bp=6_600, admission="drawn", beacon_round=2, encrypted=True
        )
        network.ask(asker, msgspec.structs.replace(asked, messages=(Message("user", prompt),)))
        network.settle()
        return asker, workers

    return ask


@pytest.mark.parametrize("prompt", ["What is the capital of France?", LONG])
def test_an_encrypted_draw_ends_as_a_plain_one_does(network, drawn, publish, prompt):
    asker, _ = drawn(prompt)
    publish(2)
    network.run_for(10_000)
    [decided] = asker.reported(RoundDecided)
    assert decided.verdict.outcome == "accepted"
    [ready] = asker.reported(CertificateReady)
    found = verify(ready.certificate, embed)
    assert (found.prompt, found.encrypted, found.admission) == (prompt, True, "drawn")
    assert not [wire for wire in network.wires if b"France" in wire or b"Paris" in wire]
    assert all("standing" not in host.tables for host in network.hosts if host is not asker)
    sheet = json.loads(ready.certificate)
    for key in ("", "00" * 32):
        with pytest.raises(CertificateError) as refused:
            verify(codec.encode({**sheet, "round_key": key}), embed)
        assert refused.value.fault is (Fault.SEALED if key else Fault.SHAPE)


def test_theorem_11_17_nobody_reads_the_question_before_the_draw(network, drawn, publish):
    """Not even those who will be drawn; after it those who were not still cannot."""
    asker, workers = drawn()
    for worker in workers:
        [view] = worker.node.rounds()
        round_ = worker.node._table.find(view.request_id)
        assert (round_.key, round_.request.messages, round_.is_known) == (None, (), False)
    publish(2)
    network.settle()
    [wire] = network.sent(Kind.PANEL)[:1]
    panel = READER.body(parse_packet(wire))
    for worker in workers:
        [view] = worker.node.rounds()
        is_member = worker.identity.node_id in panel.members
        assert worker.node._table.find(view.request_id).is_known is is_member
    assert len(panel.wraps) == len(panel.members) < len(workers)
    assert asker.reported(RoundDecided)


@pytest.mark.parametrize("moment", [Kind.PANEL, Kind.COMMIT, Kind.QUORUM, Kind.REVEAL, Kind.CLOSE])
def test_after_a_restart_everybody_still_has_the_key(network, drawn, publish, moment):
    asker, _ = drawn()
    publish(2)
    network.settle_until(lambda: bool(network.sent(moment)))
    panel = READER.body(parse_packet(network.sent(Kind.PANEL)[0]))
    member = next(host for host in network.hosts if host.identity.node_id in panel.members)
    for host in (asker, member):
        network.restart(host)
    publish(2)
    network.run_for(30_000)
    ready = asker.reported(CertificateReady)[-1]
    assert verify(ready.certificate, embed).verdict.outcome == "accepted"


@pytest.mark.parametrize("change", ["none", "short", "crossed"])
def test_a_panel_whose_wraps_are_wrong_is_sealed_and_nobody_is_blamed(network, drawn, publish, change):
    asker, workers = drawn()
    asker.alive = False
    publish(2)
    network.settle()
    asker.alive = True
    network.drop = lambda host, wire: True
    publish(2)
    network.settle()
    [wire] = network.sent(Kind.PANEL)[:1]
    packet = parse_packet(wire)
    body = READER.body(packet)
    wraps = {"none": (), "short": body.wraps[1:], "crossed": (*body.wraps[1:], *body.wraps[:1])}[change]
    if len(body.members) == 1 and change == "crossed":
        pytest.fail("the draw of this test seats several keys")
    panel = Panel(v=1, beacon=body.beacon, candidates=body.candidates, members=body.members, wraps=wraps)
    hostile = make_packet(asker.identity.key, TOPIC, panel, network.now, packet.predecessor).wire
    for worker in workers:
        network.give(worker, PacketReceived(hostile, "test"))
        if worker.identity.node_id in body.members:
            assert worker.reported(PacketRefused)[-1].reason == Refusal.SEALED
    assert all("standing" not in worker.tables for worker in workers)


def test_a_draw_of_more_than_64_seats_is_refused(network, question, publish):
    asker = network.add(roles=())
    publish(1)
    network.ask(asker, question(seats=65, quorum=50, admission="drawn", beacon_round=2, encrypted=True))
    assert asker.reported(AskRefused)
