"""Whole conversations. When the protocol changed: `python -m pytest tests/scenarios --rewrite`, then read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dicast.base.types import EventId
from dicast.protocol.envelope import make_packet, topic_of
from dicast.protocol.inputs import PacketReceived
from dicast.protocol.messages import Commit, Kind

HERE = Path(__file__).resolve().parent


def accepted(network, question, _beacon):
    """Three nodes agree."""
    asker, _ = network.begin(3)
    network.ask(asker, question(seats=3, quorum=3))
    network.settle()


def undetermined(network, question, _beacon):
    """Nobody agrees, and the second attempt ends as the first."""
    asker, workers = network.begin(3)
    answers = ("Lions hunt at night.", "Bread needs some yeast.", "Copper conducts heat well.")
    for worker, answer in zip(workers, answers, strict=True):
        worker.answer = lambda _, answer=answer: answer
    network.ask(asker, question(seats=3, quorum=3, attempts=2))
    network.settle()


def silent(network, question, _beacon):
    """One of three does not answer: the quorum is not reached, nobody reveals and nobody is blamed."""
    asker, workers = network.begin(3)
    workers[0].answer = lambda _: None
    network.ask(asker, question(seats=3, quorum=3, deadline_ms=2_500))
    network.run_for(4_000)


def withheld(network, question, _beacon):
    """A member dies between its commit and its reveal."""
    asker, workers = network.begin(4)
    network.ask(asker, question(seats=4, quorum=3, reveal_ms=2_500))
    network.settle_until(lambda: len(network.sent(Kind.COMMIT)) == 4)
    network.note("w1 dies")
    workers[0].alive = False
    network.run_for(3_000)


def equivocation(network, question, _beacon):
    """A member signs two commits: neither is sealed, and everybody hears of it."""
    asker, workers = network.begin(4)
    workers[3].answer = lambda _: None
    network.ask(asker, question(seats=4, quorum=2, percentage_bp=5_000, grace_ms=500))
    network.settle_until(lambda: len(network.sent(Kind.COMMIT)) == 3)
    network.settle()
    opened = EventId(json.loads(network.sent(Kind.REQUEST)[0])["id"])
    lie = make_packet(workers[0].identity.key, topic_of("main"), Commit(1, "ab" * 32), network.now, opened)
    network.note("w1 shows another commit to the asker")
    network.give(asker, PacketReceived(lie.wire, "test"))
    network.run_for(500)


def lost(network, question, _beacon):
    """One member hears no commit and no reveal of the others: it fetches what the close names."""
    asker, workers = network.begin(3)
    heard = set()

    def is_lost(host, wire):
        first = host is workers[0] and wire not in heard
        heard.add(wire if host is workers[0] else None)
        return first and json.loads(wire)["kind"] in {Kind.COMMIT, Kind.REVEAL}

    network.drop = is_lost
    network.ask(asker, question(seats=3, quorum=3))
    network.settle()


def declined(network, question, _beacon):
    """A member cannot run the model: nobody waits for it."""
    asker, workers = network.begin(3)
    workers[0].node._context.models = ()
    network.ask(asker, question(seats=3, quorum=2, grace_ms=5_000))
    network.settle()


def drawn(network, question, beacon):
    """Two of three keys are drawn by a beacon that was not public when the request was signed."""
    asker, _ = network.begin(3)
    prove, publish = beacon
    prove(asker, 1)
    publish(1)
    network.lines.clear()
    network.ask(asker, question(seats=2, quorum=2, admission="drawn"))
    network.settle()
    network.note("the beacon publishes round 2")
    publish(2)
    network.settle()


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (accepted, undetermined, silent, withheld, equivocation, lost, declined, drawn)
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_conversation_is_the_one_written_down(network, question, prove, publish, compare, name):
    scenario = SCENARIOS[name]
    scenario(network, question, (prove, publish))
    compare(name, scenario.__doc__, network)


def test_every_file_is_a_scenario():
    assert {path.stem for path in HERE.glob("*.txt")} == set(SCENARIOS)
