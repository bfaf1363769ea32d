"""Worlds whose listed questions are streamed: every checker holds, and what is told is one text."""

from __future__ import annotations

from dicast.protocol.messages import Kind
from dicast.protocol.outputs import StreamRestarted, Token
from dicast.simulator.scenario import make_world
from dicast.simulator.sweep import check_world, run_seed

SEEDS = range(20)


def test_worlds_that_stream_hold():
    assert [
        run.replay for run in (run_seed(seed, 25, 1, streams=True) for seed in SEEDS) if run.failure
    ] == []


def test_what_is_told_goes_on_where_it_stands_whoever_dies_or_lies():
    told = wishes = 0
    for seed in SEEDS:
        world = make_world(seed, 25, 1, streams=True)
        world.run()
        check_world(world)
        texts: dict[tuple[int, str], str] = {}
        for one in world.ledger.told:
            match one.report:
                case Token() as token:
                    text = texts.get((one.host, token.request_id), "")
                    assert token.offset == len(text)
                    texts[one.host, token.request_id] = text + token.text
                    told += 1
                case StreamRestarted(request_id=request_id):
                    texts[one.host, request_id] = ""
                case _:
                    pass
        wishes += sum(sent.packet.kind is Kind.CONTINUE for sent in world.ledger.sent)
    assert told > 100
    assert wishes > 0
