"""Runs seeds: one with everything checked, or many over processes."""

from __future__ import annotations

import gc
import multiprocessing
import time
from collections.abc import Iterable, Iterator

import msgspec

from dicast.simulator.checkers import CHECKERS
from dicast.simulator.ledger import Violation
from dicast.simulator.round_checkers import check_rounds
from dicast.simulator.scenario import make_world, replay_line
from dicast.simulator.watchers import RebuiltIsTheSame, RefusalsChangeNothing, check_blobs, check_memory
from dicast.simulator.world import World

PROCESSES = 2
"""What the smallest machine of CI has."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What one seed gave. `failure` is empty when every property held."""

    seed: int
    nodes: int
    minutes: int
    failure: str
    digest: str
    handled: int
    packets: int
    rounds: dict[str, int]
    seconds: float
    lines: tuple[str, ...] = ()

    @property
    def replay(self) -> str:
        """The command that shows this world again."""
        return replay_line(self.seed, self.nodes, self.minutes)


def run_seed(seed: int, nodes: int, minutes: int, *, keep_lines: bool = False, streams: bool = False) -> Run:
    """World `seed` from start to end, every checker on it."""
    began = time.process_time()
    world = make_world(seed, nodes, minutes, keep_lines=keep_lines, streams=streams)
    world.watchers += [RefusalsChangeNothing(seed), RebuiltIsTheSame(seed)]
    failure = ""
    try:
        world.run()
        check_world(world)
    except Violation as violation:
        failure = str(violation)
    except Exception as error:
        # The simulator's own bug: the seed must be named all the same.
        failure = f"simulator at {world.heap.now_ms / 1000:.3f} s: {error!r}"
    if failure:
        world.trace.line(world.heap.now_ms, f"VIOLATION {failure}")
    return Run(
        seed=seed,
        nodes=nodes,
        minutes=minutes,
        failure=failure,
        digest=world.trace.digest(),
        handled=world.handled,
        packets=len(world.ledger.sent),
        rounds=world.ledger.endings(),
        seconds=time.process_time() - began,
        lines=tuple(world.trace.lines),
    )


def check_world(world: World) -> None:
    """Every checker on a world that ran."""
    for checker in CHECKERS:
        checker(world.ledger, world.faults)
    check_rounds(world.ledger, world.faults)
    check_memory(world)
    check_blobs(world)


def sweep(seeds: Iterable[int], nodes: int, minutes: int, processes: int = PROCESSES) -> Iterator[Run]:
    """Many worlds, in the order of their seeds."""
    jobs = [(seed, nodes, minutes) for seed in seeds]
    if processes == 1 or len(jobs) < 4:
        yield from map(_job, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(processes, initializer=gc.disable) as pool:
        yield from pool.imap(_job, jobs, chunksize=8)


def _job(job: tuple[int, int, int]) -> Run:
    seed, nodes, minutes = job
    found = run_seed(seed, nodes, minutes)
    gc.collect()
    return found
