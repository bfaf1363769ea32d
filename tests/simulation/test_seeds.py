"""Every kept seed, and a few fresh ones; the sweep over thousands is `dicast simulate --seeds`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dicast.cli.simulate import simulate_command
from dicast.simulator.scenario import make_world
from dicast.simulator.sweep import run_seed, sweep

KEPT = [
    tuple(map(int, line.split()[:3]))
    for line in (Path(__file__).parent / "seeds.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
FRESH = range(10_000, 10_012)
PYTHONS = [
    path
    for path in (sys.executable, os.environ.get("DICAST_OTHER_PYTHON", ""))
    if path and Path(path).exists()
]


@pytest.mark.parametrize(("seed", "nodes", "minutes"), KEPT)
def test_a_seed_that_once_failed_holds(seed, nodes, minutes):
    assert run_seed(seed, nodes, minutes).failure == ""


def test_fresh_seeds_hold():
    assert [run.replay for run in sweep(FRESH, 25, 1, processes=1) if run.failure] == []


@pytest.mark.parametrize(("nodes", "minutes"), [(1, 1), (2, 1), (3, 2), (60, 1)])
def test_worlds_of_other_sizes_hold(nodes, minutes):
    assert [run.failure for run in sweep(range(3), nodes, minutes, processes=1) if run.failure] == []


@pytest.mark.parametrize("seed", range(4))
def test_every_round_is_forgotten_in_the_end(seed):
    world = make_world(seed, 25, 1)
    world.run()
    world.heap.run(260_000)
    for host in world.hosts:
        if host.node is not None and not host.conduct.name:
            tables = host.disk.tables()
            assert (host.node.rounds(), tables.get("round", {}), tables.get("packet", {})) == ((), {}, {})


def _digest(python: str, hash_seed: str) -> str:
    script = "from dicast.simulator.sweep import run_seed; print(run_seed(5, 12, 1).digest)"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run([python, "-c", script], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_digest_is_the_same_under_two_hash_seeds_and_two_pythons():
    expected = run_seed(5, 12, 1).digest
    assert {_digest(python, hash_seed) for python in PYTHONS for hash_seed in ("1", "2")} == {expected}


def test_one_world_prints_its_trace_and_its_digest(capsys):
    assert simulate_command(1, 5, 1) == 0
    shown = capsys.readouterr().out
    assert f"digest {run_seed(1, 5, 1).digest}" in shown
    assert " sends REQUEST " in shown


def test_a_sweep_over_processes_prints_a_summary(capsys):
    assert simulate_command(0, 5, 1, "20..27") == 0
    assert capsys.readouterr().out.startswith("8 worlds, 0 failed; ")
