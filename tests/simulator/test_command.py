"""`dicast simulate`: what it prints, what it refuses, and what it says when a property fails."""

from __future__ import annotations

import io
import json

import pytest

from dicast.base.errors import ConfigurationError
from dicast.cli.simulate import simulate_command
from dicast.simulator.report import sweep_report, world_text
from dicast.simulator.sweep import Run

FAILED = Run(
    seed=7, nodes=5, minutes=1, failure="one_verdict at 3.000 s: two verdicts", digest="ab" * 32,
    handled=10, packets=2, rounds={"agreed": 1}, seconds=0.5, lines=("    1.000 n1 up",),
)  # fmt: skip
REPLAY = "dicast simulate --seed 7 --nodes 5 --minutes 1"


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        ((1, 0, 1, ""), "out_of_range"),
        ((1, 3_001, 1, ""), "out_of_range"),
        ((1, 5, 0, ""), "out_of_range"),
        ((1, 5, 1, "7"), "bad_seeds"),
        ((1, 5, 1, "9..3"), "bad_seeds"),
    ],
)
def test_numbers_out_of_range_are_refused_with_a_next_step(flags, code):
    with pytest.raises(ConfigurationError) as caught:
        simulate_command(*flags)
    assert caught.value.code == code
    assert caught.value.next_step


def test_a_failed_world_prints_its_replay_line():
    text = world_text(FAILED)
    assert text.splitlines()[0] == "    1.000 n1 up"
    assert text.splitlines()[-2:] == ["FAILED one_verdict at 3.000 s: two verdicts", f"replay: {REPLAY}"]


def test_a_sweep_counts_failures_and_prints_their_replay_lines():
    out = io.StringIO()
    assert sweep_report([FAILED, FAILED], out, json_output=False) == 2
    assert out.getvalue().splitlines()[-2:] == [
        "2 worlds, 2 failed; 4 packets, 20 inputs, 20 inputs/s",
        "questions ended: 2 agreed",
    ]
    assert out.getvalue().count(f"replay: {REPLAY}") == 2


def test_json_is_one_line_a_world(capsys):
    assert simulate_command(3, 4, 1, "3..4", True) == 0
    worlds = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(world["seed"], world["failure"]) for world in worlds] == [(3, ""), (4, "")]
    assert simulate_command(3, 4, 1, "", True) == 0
    assert json.loads(capsys.readouterr().out) == worlds[0]
