"""How fast the simulator is, and how large its worlds may be.

Run `python benchmarks/simulator.py`; one core is enough. Rates are inputs handled by nodes in a second of
processor time: real nodes, real signatures, real judges. "Remembered" checks a signature once a world,
whoever receives the packet; "each time" checks it at every node. Worlds run in processes of their own, so
that the memory shown is theirs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable

from dicast.consensus.constants import EMBEDDER
from dicast.consensus.frame import Frame
from dicast.protocol.envelope import PacketReader
from dicast.simulator.faults import no_faults
from dicast.simulator.scenario import bare_world
from dicast.simulator.sweep import check_world, run_seed
from dicast.simulator.workload import ask, question
from dicast.simulator.world import World

RATE_MIN, PLAIN_RATE_MIN = 25_000, 8_000
MEMORY_MIB_MAX = 1_024
CI_SEEDS, CI_PROCESSES = 2_000, 2
FRAME = Frame(
    quorum=7,
    sec_percentage_bp=6_600,
    sec_distance_bits={EMBEDDER: 100},
    gates=(),
    faults=2,
    deadline_ms=4_000,
)
SEATS = 9


def main() -> int:
    """Print the table; 1 when a number is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=100)
    flags = parser.parse_args()
    missed = _rates(flags.repeats) + _sizes() + _seeds(flags.seeds)
    for line in missed:
        print(f"MISSED {line}")
    return 1 if missed else 0


def asking_world(nodes: int, rounds: int) -> World:
    """Honest nodes on a healthy network that ask each other every half second."""
    world = bare_world(7, nodes, no_faults(nodes, 1))
    for number in range(rounds):
        asked = question(f"Which tree is it, number {number}?", FRAME, SEATS)
        world.ask(ask(1_500 + 500 * number, number % nodes, number, asked))
    return world


def _rates(repeats: int) -> list[str]:
    print(
        f"25 nodes, 40 rounds of {SEATS} seats, 60 s of virtual time; median of {repeats} (slowest … fastest)"
    )
    found: dict[str, float] = {}
    for name, plain in (("remembered", False), ("each time", True)):
        rates = [_in_process(_rate, plain) for _ in range(repeats)]
        found[name] = statistics.median(rates)
        spread = f"{min(rates):,.0f} … {max(rates):,.0f}"
        print(f"  signatures {name:<12}{found[name]:>10,.0f} inputs/s   ({spread})")
    print(f"  ratio{found['remembered'] / found['each time']:>27.1f}\n")
    limits = {"remembered": RATE_MIN, "each time": PLAIN_RATE_MIN}
    return [
        f"{name}: {found[name]:,.0f} < {least:,}" for name, least in limits.items() if found[name] < least
    ]


def _rate(plain: bool) -> float:
    world = asking_world(25, 40)
    if plain:
        world.reader = PacketReader()
    began = time.process_time()
    world.run()
    return world.handled / (time.process_time() - began)


def _sizes() -> list[str]:
    print("large worlds (memory is the process's peak)")
    missed: list[str] = []
    for name, job in (("300 nodes × 60 s", _three_hundred), ("3,000 nodes × one round", _three_thousand)):
        inputs, seconds, mebibytes, agreed = _in_process(job, None)
        print(f"  {name:<26}{inputs:>10,} inputs {seconds:>7.1f} s {mebibytes:>7.0f} MiB  {agreed} agreed")
        if mebibytes > MEMORY_MIB_MAX or not agreed:
            missed.append(f"{name}: {mebibytes:.0f} MiB, {agreed} agreed")
    print()
    return missed


def _three_hundred(_: None) -> tuple[int, float, float, int]:
    return _measured(asking_world(300, 20))


def _three_thousand(_: None) -> tuple[int, float, float, int]:
    """One host hears every announcement: the directory that 3,000 nodes share; it asks."""
    world = asking_world(3_000, 1)
    world.librarian = world.hosts[0]
    return _measured(world)


def _measured(world: World) -> tuple[int, float, float, int]:
    began = time.perf_counter()
    world.run()
    check_world(world)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return world.handled, time.perf_counter() - began, peak, world.ledger.endings().get("agreed", 0)


def _seeds(count: int) -> list[str]:
    runs = [run_seed(seed, 25, 1) for seed in range(count)]
    each_ms = 1000 * statistics.mean(run.seconds for run in runs)
    failed = [run.replay for run in runs if run.failure]
    whole_s = each_ms * CI_SEEDS / CI_PROCESSES / 1000
    print(f"{count} seeds of 25 nodes with every fault, adversary and checker: {each_ms:.0f} ms each,")
    print(f"  so {CI_SEEDS:,} of them on {CI_PROCESSES} cores take {whole_s:.0f} s; {len(failed)} failed")
    return failed


def _in_process(job: Callable[..., object], argument: object) -> object:  # type: ignore[misc]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(job, (argument,))


if __name__ == "__main__":
    sys.exit(main())
