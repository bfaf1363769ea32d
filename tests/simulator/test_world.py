"""The world itself, tried with nodes of ten lines: time, disks, deaths, the network, and one seed for all."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest

from dicast.protocol.outputs import Batch, Deadline
from dicast.simulator.faults import Crash, Jump, Partition, Stage, no_faults
from dicast.simulator.ledger import Violation
from dicast.simulator.network import Rates


def test_the_same_seed_gives_the_same_history(gossip_world):
    first, second, other = gossip_world(7), gossip_world(7), gossip_world(8)
    for world in (first, second, other):
        world.run()
    assert first.trace.digest() == second.trace.digest()
    assert first.trace.lines == second.trace.lines
    assert first.handled == second.handled > 500
    assert first.trace.digest() != other.trace.digest()


def test_without_faults_everybody_hears_everything_once(gossip_world):
    world = gossip_world(1, nodes=3, faults=no_faults(3, 1))
    world.run()
    heard = [host.disk.tables()["heard"] for host in world.hosts]
    assert [sorted(rows) for rows in heard] == [
        ["word of 1", "word of 2"],
        ["word of 0", "word of 2"],
        ["word of 0", "word of 1"],
    ]
    assert {int(count) for rows in heard for count in rows.values()} == {59}


def test_loss_and_partitions_silence_and_heal(gossip_world):
    quiet = no_faults(2, 1)
    apart = msgspec.structs.replace(quiet, partitions=(Partition(10_000, 20_000, (0, 1)),))
    lossy = msgspec.structs.replace(quiet, rates=Rates(loss_pm=500))
    counts = []
    for faults in (apart, lossy):
        world = gossip_world(3, nodes=2, faults=faults)
        world.run()
        counts.append(int(world.hosts[0].disk.tables()["heard"]["word of 1"]))
    assert counts[0] == 49
    assert 38 <= counts[1] <= 52


def test_flips_and_duplicates_reach_the_node(gossip_world):
    rates = Rates(duplicate_pm=200, flip_pm=200, straggle_pm=100, straggle_ms_max=3_000)
    world = gossip_world(3, faults=msgspec.structs.replace(no_faults(5, 1), rates=rates))
    world.run()
    assert world.ledger.refused["shape"] > 20
    assert max(int(count) for count in world.hosts[0].disk.tables()["heard"].values()) > 55


@pytest.mark.parametrize("stage", list(Stage))
def test_a_death_keeps_exactly_what_its_stage_allows(gossip_world, stage):
    crash = Crash(at_ms=5_000, host=0, batches=0, stage=stage, down_ms=2_000)
    world = gossip_world(5, nodes=2, faults=msgspec.structs.replace(no_faults(2, 1), crashes=(crash,)))
    world.run()
    assert world.hosts[0].boots == 2
    told = [line.split(maxsplit=1)[1] for line in world.trace.lines if " n0 " in line]
    assert told == ["n0 up", "n0 dies for 2000 ms", "n0 up again"]
    heard = int(world.hosts[0].disk.tables()["heard"]["word of 1"])
    assert 55 <= heard <= 58


def test_unix_time_jumps_and_is_corrected_but_monotonic_time_only_grows(gossip_world):
    seen = []

    class Watch:
        deadline = None

        def start(self, now):
            self.deadline = Deadline(now.monotonic_ms + 1_000, "look")
            return Batch()

        def handle(self, input, now):
            seen.append((now.monotonic_ms, now.unix_ms))
            self.deadline = Deadline(now.monotonic_ms + 1_000, "look")
            return Batch()

    faults = msgspec.structs.replace(no_faults(1, 1), jumps=(Jump(10_500, 0, -5_000),))
    gossip_world(1, nodes=1, faults=faults, make_node=lambda *parts: Watch()).run()
    steps = [(after[0] - before[0], after[1] - before[1]) for before, after in pairwise(seen)]
    assert {step[0] for step in steps} == {1_000}
    assert [step[1] for step in steps if step[1] != 1_000] == [-4_000, 6_000]


def test_a_node_that_raises_is_a_violation(gossip_world):
    class Broken:
        deadline = Deadline(5, "now")

        def start(self, now):
            return Batch()

        def handle(self, input, now):
            raise ValueError("no")

    world = gossip_world(1, nodes=1, faults=no_faults(1, 1), make_node=lambda *parts: Broken())
    with pytest.raises(Violation, match=r"(?s)never_raises .*ValueError: no"):
        world.run()


def test_a_node_that_wants_to_be_woken_in_the_past_is_a_violation(gossip_world):
    class Hot:
        deadline = Deadline(0, "stuck")

        def start(self, now):
            return Batch()

        def handle(self, input, now):
            return Batch()

    world = gossip_world(1, nodes=1, faults=no_faults(1, 1), make_node=lambda *parts: Hot())
    with pytest.raises(Violation, match=r"hot_loop .*stuck"):
        world.run()
